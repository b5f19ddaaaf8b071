"""Redemptions, coupons, who holds them, and the pools of codes that both take from."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0008"
down_revision = "0007"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _make_coupon()
    _make_coupon_code()
    _make_pool_code()
    _make_redemption()


def _make_coupon() -> None:
    op.create_table(
        "coupon",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("name", Json(), nullable=False),
        sa.Column("description", Json(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", BIG, nullable=True),
        sa.Column("starts_at", Moment(), nullable=True),
        sa.Column("ends_at", Moment(), nullable=True),
        sa.Column("good_days", sa.Integer(), nullable=True),
        sa.Column("most_each", sa.Integer(), nullable=False),
        sa.Column("needs_card", sa.Boolean(), nullable=False),
        sa.Column("code_source", sa.String(length=12), nullable=False),
        sa.Column("shared_code", sa.String(length=64), nullable=True),
        sa.Column("low_stock", sa.Integer(), nullable=True),
        sa.Column("told_low_at", Moment(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "code_source <> 'shared' or shared_code is not null", name=op.f("ck_coupon_shared_code_is_there")
        ),
        sa.CheckConstraint(
            "code_source in ('pool', 'generated', 'shared')", name=op.f("ck_coupon_code_source_is_known")
        ),
        sa.CheckConstraint(
            "kind in ('fixed', 'percent', 'free_shipping', 'free_product', 'gift_card', 'custom')",
            name=op.f("ck_coupon_kind_is_known"),
        ),
        sa.CheckConstraint("good_days > 0", name=op.f("ck_coupon_is_good_for_days")),
        sa.CheckConstraint("low_stock >= 0", name=op.f("ck_coupon_low_stock_not_negative")),
        sa.CheckConstraint("most_each > 0", name=op.f("ck_coupon_everybody_may_have_one")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_coupon")),
        sa.UniqueConstraint("program_id", "slug", name=op.f("uq_coupon_program_id_slug")),
    )


def _make_coupon_code() -> None:
    op.create_table(
        "coupon_code",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("coupon_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("assigned_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("used_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("location_id", Id(), nullable=True),
        sa.Column("order_ref", sa.String(length=160), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.CheckConstraint(
            "state in ('assigned', 'used', 'expired', 'revoked')", name=op.f("ck_coupon_code_state_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_coupon_code")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_coupon_code_program_id_code")),
        sa.UniqueConstraint(
            "program_id",
            "coupon_id",
            "customer_id",
            "key",
            name=op.f("uq_coupon_code_program_id_coupon_id_customer_id_key"),
        ),
    )
    op.create_index("ix_coupon_code_coupon", "coupon_code", ["program_id", "coupon_id", "id"])
    op.create_index("ix_coupon_code_customer", "coupon_code", ["program_id", "customer_id", "state", "id"])
    op.create_index(
        "ix_coupon_code_running",
        "coupon_code",
        ["expires_at"],
        **_where("state = 'assigned' AND expires_at IS NOT NULL"),
    )


def _make_pool_code() -> None:
    op.create_table(
        "pool_code",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("owner_id", Id(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("taken_by", Id(), nullable=True),
        sa.Column("taken_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_pool_code")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_pool_code_program_id_code")),
    )
    op.create_index(
        "ix_pool_code_free", "pool_code", ["program_id", "owner_id", "id"], **_where("taken_by IS NULL")
    )


def _make_redemption() -> None:
    op.create_table(
        "redemption",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("reward_id", Id(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("cost", BIG, nullable=False),
        sa.Column("entry_id", Id(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("reserved_until", Moment(), nullable=True),
        sa.Column("issued_at", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("used_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("location_id", Id(), nullable=True),
        sa.Column("order_ref", sa.String(length=160), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.CheckConstraint("channel in ('online', 'in_store')", name=op.f("ck_redemption_channel_is_known")),
        sa.CheckConstraint(
            "state in ('reserved', 'issued', 'used', 'returned', 'expired')",
            name=op.f("ck_redemption_state_is_known"),
        ),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_redemption_cost_not_negative")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_redemption")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_redemption_program_id_code")),
        sa.UniqueConstraint("program_id", "key", name=op.f("uq_redemption_program_id_key")),
    )
    op.create_index(
        "ix_redemption_counts",
        "redemption",
        ["program_id", "customer_id", "reward_id", "created_at"],
        **_where("state IN ('reserved', 'issued', 'used')"),
    )
    op.create_index("ix_redemption_customer", "redemption", ["program_id", "customer_id", "id"])
    op.create_index(
        "ix_redemption_order", "redemption", ["program_id", "order_ref"], **_where("order_ref IS NOT NULL")
    )
    op.create_index(
        "ix_redemption_reserved", "redemption", ["reserved_until"], **_where("state = 'reserved'")
    )
    op.create_index(
        "ix_redemption_running",
        "redemption",
        ["expires_at"],
        **_where("state = 'issued' AND expires_at IS NOT NULL"),
    )


def _where(rule: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(rule), "postgresql_where": sa.text(rule)}
