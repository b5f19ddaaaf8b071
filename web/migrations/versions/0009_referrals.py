"""Referrals: a code for each customer who shares, who brought whom, and one key for all spellings of an inbox."""

import sqlalchemy as sa
from alembic import op

from web.foundation.address import inbox_key
from web.foundation.schema import Id, Json, Moment

revision = "0009"
down_revision = "0008"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = "'joined', 'qualified', 'flagged', 'blocked', 'rewarded', 'reversed'"
AT_ONCE = 10_000


def upgrade() -> None:
    _widen_customer()
    _make_codes()
    _make_referrals()


def _widen_customer() -> None:
    op.add_column("customer", sa.Column("inbox_key", sa.String(length=254), nullable=True))
    conn = op.get_bind()
    known = sa.table(
        "customer",
        sa.column("program_id", Id()),
        sa.column("id", Id()),
        sa.column("email_key", sa.String()),
        sa.column("inbox_key", sa.String()),
    )
    fill = (
        sa.update(known)
        .where(known.c.program_id == sa.bindparam("its_program"), known.c.id == sa.bindparam("its_id"))
        .values(inbox_key=sa.bindparam("its_inbox"))
    )
    waiting = sa.select(known.c.program_id, known.c.id, known.c.email_key).where(
        known.c.email_key.is_not(None), known.c.inbox_key.is_(None)
    )
    while rows := conn.execute(waiting.limit(AT_ONCE)).all():
        conn.execute(
            fill,
            [
                {"its_program": row.program_id, "its_id": row.id, "its_inbox": inbox_key(row.email_key)}
                for row in rows
            ],
        )
    op.create_index("ix_customer_inbox_key", "customer", ["program_id", "inbox_key"])


def _make_codes() -> None:
    op.create_table(
        "referral_code",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "customer_id", name=op.f("pk_referral_code")),
        sa.UniqueConstraint("program_id", "code", name=op.f("uq_referral_code_program_id_code")),
    )


def _make_referrals() -> None:
    op.create_table(
        "referral",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("advocate_id", Id(), nullable=False),
        sa.Column("friend_id", Id(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("blocked_by", sa.String(length=24), nullable=True),
        sa.Column("signals", Json(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("min_amount", BIG, nullable=False),
        sa.Column("advocate_points", BIG, nullable=False),
        sa.Column("friend_points", BIG, nullable=False),
        sa.Column("hold_days", sa.Integer(), nullable=False),
        sa.Column("action_ref", sa.String(length=200), nullable=True),
        sa.Column("network_tag", sa.String(length=64), nullable=True),
        sa.Column("device", sa.String(length=40), nullable=True),
        sa.Column("advocate_entry_id", Id(), nullable=True),
        sa.Column("friend_entry_id", Id(), nullable=True),
        sa.Column("paid_day", sa.String(length=10), nullable=True),
        sa.Column("day_turn", sa.Integer(), nullable=True),
        sa.Column("paid_month", sa.String(length=7), nullable=True),
        sa.Column("month_turn", sa.Integer(), nullable=True),
        sa.Column("life_turn", sa.Integer(), nullable=True),
        sa.Column("reviewed_by", sa.String(length=120), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("qualified_at", Moment(), nullable=True),
        sa.Column("rewarded_at", Moment(), nullable=True),
        sa.Column("held_until", Moment(), nullable=True),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint(f"state in ({STATES})", name=op.f("ck_referral_state_is_known")),
        sa.CheckConstraint(
            "advocate_id <> friend_id or state = 'blocked'", name=op.f("ck_referral_nobody_refers_themselves")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_referral")),
        sa.UniqueConstraint("program_id", "friend_id", name="uq_referral_friend"),
        sa.UniqueConstraint("program_id", "advocate_id", "paid_day", "day_turn", name="uq_referral_day_turn"),
        sa.UniqueConstraint(
            "program_id", "advocate_id", "paid_month", "month_turn", name="uq_referral_month_turn"
        ),
        sa.UniqueConstraint("program_id", "advocate_id", "life_turn", name="uq_referral_life_turn"),
    )
    op.create_index("ix_referral_advocate", "referral", ["program_id", "advocate_id", "id"])
    for name, columns, where in (
        ("ix_referral_network", ["program_id", "network_tag", "created_at"], "network_tag IS NOT NULL"),
        ("ix_referral_action_ref", ["program_id", "action_ref"], "action_ref IS NOT NULL"),
        ("ix_referral_flagged", ["program_id", "id"], "state = 'flagged'"),
    ):
        op.create_index(
            name, "referral", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
