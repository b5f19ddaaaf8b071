"""Coupons, gift cards and memberships as passes, and card numbers that a lost phone made worthless."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0014"
down_revision = "0013"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pass_item",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("reference", sa.String(length=120), nullable=True),
        sa.Column("title", Json(), nullable=False),
        sa.Column("number", sa.String(length=80), nullable=False),
        sa.Column("amount", BIG, nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("coupon_code_id", Id(), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("voided_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "kind in ('coupon', 'gift_card', 'membership')", name=op.f("ck_pass_item_kind_is_known")
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_pass_item_amount_not_negative")),
        sa.CheckConstraint(
            "(kind = 'gift_card') = (amount is not null)", name=op.f("ck_pass_item_gift_cards_have_an_amount")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_pass_item")),
    )
    op.create_index("uq_pass_item_code", "pass_item", ["program_id", "code"], unique=True)
    op.create_index("uq_pass_item_reference", "pass_item", ["program_id", "reference"], unique=True)
    op.create_index("uq_pass_item_coupon", "pass_item", ["program_id", "coupon_code_id"], unique=True)
    op.create_index("ix_pass_item_customer", "pass_item", ["program_id", "customer_id"])
    op.create_index(
        "ix_pass_item_running",
        "pass_item",
        ["expires_at"],
        sqlite_where=sa.text("voided_at IS NULL AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("voided_at IS NULL AND expires_at IS NOT NULL"),
    )
    op.add_column("wallet_pass", sa.Column("item_id", Id(), nullable=True))
    living_item = sa.text("voided_at IS NULL AND item_id IS NOT NULL")
    op.create_index(
        "uq_wallet_pass_item",
        "wallet_pass",
        ["program_id", "item_id", "platform"],
        unique=True,
        sqlite_where=living_item,
        postgresql_where=living_item,
    )
    op.create_table(
        "replaced_number",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("card_number", sa.String(length=16), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("replaced_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "card_number", name=op.f("pk_replaced_number")),
    )
