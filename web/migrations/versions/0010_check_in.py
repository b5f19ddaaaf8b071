"""Who was in which shop, and which purchases earned nothing."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0010"
down_revision = "0009"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "check_in",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("location_id", Id(), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("points", BIG, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_check_in")),
        sa.UniqueConstraint("program_id", "key", name="uq_check_in_key"),
    )
    op.create_index("ix_check_in_customer", "check_in", ["program_id", "customer_id", "location_id"])
    op.create_index(
        "ix_earning_nothing",
        "earning",
        ["program_id", "customer_id", "id"],
        sqlite_where=sa.text("points = 0 AND purchase_id IS NOT NULL"),
        postgresql_where=sa.text("points = 0 AND purchase_id IS NOT NULL"),
    )
