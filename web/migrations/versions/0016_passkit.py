"""What phones fetched, and what they complain of."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Moment

revision = "0016"
down_revision = "0015"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
VOIDED = sa.text("voided_at is not null")


def upgrade() -> None:
    op.add_column("wallet_pass", sa.Column("fetched_version", BIG, nullable=True))
    op.add_column("wallet_pass", sa.Column("fetched_at", Moment(), nullable=True))
    op.create_index(
        "ix_wallet_pass_voided",
        "wallet_pass",
        ["voided_at"],
        sqlite_where=VOIDED,
        postgresql_where=VOIDED,
    )
    op.create_table(
        "phone_log",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=400), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", Moment(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_phone_log")),
    )
    op.create_index("ix_phone_log_last_at", "phone_log", ["last_at"])
