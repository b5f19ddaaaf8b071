"""The clock's own book, and when somebody is told that points run out."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0007"
down_revision = "0005"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


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
    with op.batch_alter_table("lot") as lot:
        lot.add_column(sa.Column("warn_at", Moment(), nullable=True))
        lot.add_column(sa.Column("written_off", BIG, nullable=False, server_default="0"))
        lot.create_check_constraint(
            op.f("ck_lot_written_off_is_part_of_the_rest"),
            "written_off >= 0 and remaining + written_off <= amount",
        )
    with op.batch_alter_table("lot") as lot:
        lot.alter_column("written_off", existing_type=BIG, server_default=None)
    op.create_index("ix_lot_use_lot", "lot_use", ["program_id", "lot_id"])
    op.add_column("balance", sa.Column("merged_into", Id(), nullable=True))
    is_open = "remaining > 0 AND is_pending IS {} AND warn_at IS NOT NULL"
    op.create_index(
        "ix_lot_to_warn_of",
        "lot",
        ["warn_at"],
        sqlite_where=sa.text(is_open.format("0")),
        postgresql_where=sa.text(is_open.format("false")),
    )
