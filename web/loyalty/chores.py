"""Everything that the clock does, one line for each."""

from functools import partial

from web.foundation.sealing import Sealer
from web.loyalty.clock import Chore
from web.loyalty.due import expire_due, release_due, warn_due
from web.loyalty.lot import whose_lots_are_due


def chores(_sealer: Sealer) -> tuple[Chore, ...]:
    """In the order in which they are done: what was held back is released before it can run out."""
    return (
        Chore(name="release points", find=partial(whose_lots_are_due, what="release"), do=release_due),
        Chore(name="expire points", find=partial(whose_lots_are_due, what="expiry"), do=expire_due),
        Chore(name="warn of expiry", find=partial(whose_lots_are_due, what="warning"), do=warn_due),
    )
