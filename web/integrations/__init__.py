"""One cupboard for each of the systems outside that a merchant connects: everything of it, and nothing else."""
