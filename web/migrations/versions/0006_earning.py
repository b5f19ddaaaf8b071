"""Earning flows, what they gave and why, purchases with their refunds, and campaigns that multiply."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0006"
down_revision = "0005"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _make_flow()
    _make_earning()
    _make_purchase()
    _make_multiplier()


def _make_flow() -> None:
    op.create_table(
        "earning_flow",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("type", sa.String(length=24), nullable=False),
        sa.Column("title", Json(), nullable=False),
        sa.Column("description", Json(), nullable=False),
        sa.Column("points", BIG, nullable=False),
        sa.Column("per_money", BIG, nullable=True),
        sa.Column("conditions", Json(), nullable=False),
        sa.Column("recurrence", sa.String(length=12), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("per", sa.String(length=12), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("starts_at", Moment(), nullable=True),
        sa.Column("ends_at", Moment(), nullable=True),
        sa.Column("links", Json(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("archived_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint("points >= 0", name=op.f("ck_earning_flow_points_not_negative")),
        sa.CheckConstraint("per_money > 0", name=op.f("ck_earning_flow_per_money_is_positive")),
        sa.CheckConstraint("times > 0 and most > 0", name=op.f("ck_earning_flow_limits_are_positive")),
        sa.CheckConstraint(
            "recurrence in ('once', 'day', 'week', 'month', 'quarter', 'year', 'unlimited')",
            name=op.f("ck_earning_flow_recurrence_is_known"),
        ),
        sa.CheckConstraint(
            "per in ('customer', 'location', 'network', 'link')", name=op.f("ck_earning_flow_per_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_earning_flow")),
    )
    op.create_index("ix_earning_flow_type", "earning_flow", ["program_id", "type"])


def _make_earning() -> None:
    op.create_table(
        "earning",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("slot", sa.String(length=160), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=True),
        sa.Column("entry_id", Id(), nullable=True),
        sa.Column("purchase_id", Id(), nullable=True),
        sa.Column("base", BIG, nullable=False),
        sa.Column("line_ids", Json(), nullable=False),
        sa.Column("exact", sa.String(), nullable=False),
        sa.Column("points", BIG, nullable=False),
        sa.Column("taken_back", BIG, nullable=False),
        sa.Column("trace", Json(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "points >= 0 and taken_back >= 0 and taken_back <= points",
            name=op.f("ck_earning_never_takes_more_than_it_gave"),
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_earning")),
        sa.UniqueConstraint("program_id", "flow_id", "customer_id", "slot", name="uq_earning_slot"),
        sa.UniqueConstraint("program_id", "flow_id", "customer_id", "turn", name="uq_earning_turn"),
        sa.UniqueConstraint("program_id", "key", "flow_id", name="uq_earning_key"),
    )
    op.create_index("ix_earning_customer", "earning", ["program_id", "customer_id", "id"])
    op.create_index(
        "ix_earning_purchase",
        "earning",
        ["program_id", "purchase_id"],
        sqlite_where=sa.text("purchase_id IS NOT NULL"),
        postgresql_where=sa.text("purchase_id IS NOT NULL"),
    )
    op.create_table(
        "carry",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("flow_id", Id(), nullable=False),
        sa.Column("amount", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "customer_id", "flow_id", name=op.f("pk_carry")),
    )


def _make_purchase() -> None:
    op.create_table(
        "purchase",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("order_ref", sa.String(length=80), nullable=False),
        sa.Column("paid_at", Moment(), nullable=False),
        sa.Column("location_id", Id(), nullable=True),
        sa.Column("channel", sa.String(length=8), nullable=True),
        sa.Column("lines", Json(), nullable=False),
        sa.Column("counted", BIG, nullable=False),
        sa.Column("refunded", Json(), nullable=False),
        sa.Column("entry_id", Id(), nullable=True),
        sa.Column("asked_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_purchase")),
        sa.UniqueConstraint("program_id", "source", "order_ref", name="uq_purchase_order"),
    )
    op.create_index("ix_purchase_customer", "purchase", ["program_id", "customer_id", "id"])
    op.create_table(
        "purchase_refund",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("purchase_id", Id(), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("lines", Json(), nullable=False),
        sa.Column("points", BIG, nullable=False),
        sa.Column("entry_id", Id(), nullable=True),
        sa.Column("asked_hash", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "purchase_id", "ref", name=op.f("pk_purchase_refund")),
    )


def _make_multiplier() -> None:
    op.create_table(
        "multiplier",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Json(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("starts", sa.DateTime(), nullable=False),
        sa.Column("ends", sa.DateTime(), nullable=False),
        sa.Column("weekdays", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("percent between 101 and 10000", name=op.f("ck_multiplier_percent_multiplies")),
        sa.CheckConstraint("starts < ends", name=op.f("ck_multiplier_ends_after_start")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_multiplier")),
    )
