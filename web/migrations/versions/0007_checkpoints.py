"""The clock's own book, and when somebody is told that points run out."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Moment

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "clock_run",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("leased_until", Moment(), nullable=True),
        sa.Column("ran_at", Moment(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_clock_run")),
    )
    op.add_column("lot", sa.Column("warn_at", Moment(), nullable=True))
    is_open = "remaining > 0 AND is_pending IS {} AND warn_at IS NOT NULL"
    op.create_index(
        "ix_lot_to_warn_of",
        "lot",
        ["warn_at"],
        sqlite_where=sa.text(is_open.format("0")),
        postgresql_where=sa.text(is_open.format("false")),
    )
