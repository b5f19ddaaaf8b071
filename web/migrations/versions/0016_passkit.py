"""What phones fetched, and what they complain of."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Moment

revision = "0016"
down_revision = "0012"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("wallet_pass", sa.Column("fetched_version", BIG, nullable=True))
    op.add_column("wallet_pass", sa.Column("fetched_at", Moment(), nullable=True))
