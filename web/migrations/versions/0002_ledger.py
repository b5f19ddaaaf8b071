"""The ledger in full: two accounts to each entry, a chain of hashes, lots; tiers and rewards with all their rules."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment, new_id, utc_now

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ACCOUNTS = "'available', 'pending', 'reserved', 'issued', 'redeemed', 'expired', 'adjusted', 'transfer'"
GENESIS = "0" * 64


def upgrade() -> None:
    conn = op.get_bind()
    old = conn.execute(
        sa.text("SELECT * FROM ledger_entry ORDER BY program_id, customer_id, id").columns(
            program_id=Id, id=Id, customer_id=Id, at=Moment
        )
    ).all()
    op.drop_table("ledger_entry")
    if conn.dialect.name == "postgresql":
        op.execute("DROP FUNCTION ledger_is_append_only()")
    op.drop_table("balance")
    _make_ledger()
    _make_balance()
    _make_lots()
    _carry_over(conn, old)
    for statement in _append_only("ledger_entry", conn.dialect.name):
        op.execute(statement)
    for statement in _append_only("lot_use", conn.dialect.name):
        op.execute(statement)
    _widen_customer()
    _widen_tier()
    _widen_reward()


def _make_ledger() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("debit", sa.String(length=12), nullable=False),
        sa.Column("credit", sa.String(length=12), nullable=False),
        sa.Column("amount", BIG, nullable=False),
        sa.Column("available_after", BIG, nullable=False),
        sa.Column("pending_after", BIG, nullable=False),
        sa.Column("reserved_after", BIG, nullable=False),
        sa.Column("tier_points", BIG, nullable=False),
        sa.Column("tier_money", BIG, nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("source_ref", sa.String(length=160), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("asked_hash", sa.String(length=64), nullable=False),
        sa.Column("reverses_id", Id(), nullable=True),
        sa.Column("effective_at", Moment(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("detail", Json(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "amount > 0 and amount <= 1000000000000000", name=op.f("ck_ledger_entry_amount_moves_something")
        ),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_ledger_entry_amount_goes_elsewhere")),
        sa.CheckConstraint(
            f"debit in ({ACCOUNTS}) and credit in ({ACCOUNTS})",
            name=op.f("ck_ledger_entry_accounts_are_known"),
        ),
        sa.CheckConstraint(
            "available_after >= 0 or debit <> 'available' or kind in ('reverse', 'merge')",
            name=op.f("ck_ledger_entry_never_spent_below_zero"),
        ),
        sa.CheckConstraint(
            "pending_after >= 0 and reserved_after >= 0", name=op.f("ck_ledger_entry_nothing_held_below_zero")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("program_id", "customer_id", "number", name="uq_ledger_entry_number"),
        sa.UniqueConstraint("program_id", "key", name="uq_ledger_entry_key"),
    )
    for column in ("reverses_id", "source_ref"):
        op.create_index(
            f"ix_ledger_entry_{column.removesuffix('_id')}",
            "ledger_entry",
            ["program_id", column],
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def _make_balance() -> None:
    op.create_table(
        "balance",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("available", BIG, nullable=False),
        sa.Column("pending", BIG, nullable=False),
        sa.Column("reserved", BIG, nullable=False),
        sa.Column("lifetime_earned", BIG, nullable=False),
        sa.Column("tier_id", Id(), nullable=True),
        sa.Column("tier_points", BIG, nullable=False),
        sa.Column("tier_money", BIG, nullable=False),
        sa.Column("tier_carry", BIG, nullable=False),
        sa.Column("tier_entered_at", Moment(), nullable=True),
        sa.Column("tier_kept_until", Moment(), nullable=True),
        sa.Column("tier_granted_until", Moment(), nullable=True),
        sa.Column("cycle_started_at", Moment(), nullable=True),
        sa.Column("cycle_ends_at", Moment(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("head_hash", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint("pending >= 0 and reserved >= 0", name=op.f("ck_balance_nothing_held_below_zero")),
        sa.PrimaryKeyConstraint("program_id", "customer_id", name=op.f("pk_balance")),
    )


def _make_lots() -> None:
    op.create_table(
        "lot",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("entry_id", Id(), nullable=False),
        sa.Column("amount", BIG, nullable=False),
        sa.Column("remaining", BIG, nullable=False),
        sa.Column("is_pending", sa.Boolean(), nullable=False),
        sa.Column("available_from", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "amount > 0 and remaining >= 0 and remaining <= amount",
            name=op.f("ck_lot_remaining_is_part_of_amount"),
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_lot")),
    )
    op.create_index("ix_lot_entry", "lot", ["program_id", "entry_id"])
    for name, columns, pending in (
        ("ix_lot_open", ["program_id", "customer_id", "expires_at", "id"], "false"),
        ("ix_lot_expiring", ["expires_at"], "false"),
        ("ix_lot_held", ["available_from"], "true"),
    ):
        op.create_index(
            name,
            "lot",
            columns,
            sqlite_where=sa.text(f"remaining > 0 AND is_pending IS {'1' if pending == 'true' else '0'}"),
            postgresql_where=sa.text(f"remaining > 0 AND is_pending IS {pending}"),
        )
    op.create_table(
        "lot_use",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("entry_id", Id(), nullable=False),
        sa.Column("lot_id", Id(), nullable=False),
        sa.Column("amount", BIG, nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_lot_use_amount_moves_something")),
        sa.PrimaryKeyConstraint("program_id", "entry_id", "lot_id", name=op.f("pk_lot_use")),
    )


def _widen_customer() -> None:
    with op.batch_alter_table("customer") as customer:
        customer.add_column(sa.Column("merged_into", Id(), nullable=True))
        customer.drop_constraint(op.f("ck_customer_reachable_somehow"), type_="check")
        customer.create_check_constraint(
            op.f("ck_customer_reachable_somehow"),
            "email_key is not null or phone is not null or merged_into is not null",
        )


def _widen_tier() -> None:
    with op.batch_alter_table("tier") as tier:
        tier.add_column(sa.Column("benefits", Json(), nullable=True))
        tier.add_column(sa.Column("multiplier", sa.Integer(), nullable=True))
        tier.add_column(sa.Column("updated_at", Moment(), nullable=True))
    op.execute("UPDATE tier SET benefits = '{}', multiplier = 100, updated_at = created_at")
    op.drop_index("ix_tier_required_points", "tier")
    op.create_index("ix_tier_required_points", "tier", ["program_id", "required_points"], unique=True)
    with op.batch_alter_table("tier") as tier:
        for name, kind in (("benefits", Json()), ("multiplier", sa.Integer()), ("updated_at", Moment())):
            tier.alter_column(name, existing_type=kind, nullable=False)
        tier.create_check_constraint(op.f("ck_tier_multiplier_is_sane"), "multiplier between 1 and 10000")


def _widen_reward() -> None:
    with op.batch_alter_table("reward") as reward:
        for column in (
            sa.Column("kind", sa.String(length=16)),
            sa.Column("value", BIG),
            sa.Column("stock", sa.Integer()),
            sa.Column("limit_count", sa.Integer()),
            sa.Column("limit_period", sa.String(length=8)),
            sa.Column("visible_from", BIG),
            sa.Column("visible_to", BIG),
            sa.Column("redeemable_from", BIG),
            sa.Column("redeemable_to", BIG),
            sa.Column("starts_at", Moment()),
            sa.Column("ends_at", Moment()),
            sa.Column("tier_level", sa.Integer()),
            sa.Column("channel", sa.String(length=8)),
            sa.Column("code_source", sa.String(length=12)),
            sa.Column("code_minutes", sa.Integer()),
            sa.Column("updated_at", Moment()),
        ):
            reward.add_column(column)
    op.execute(
        "UPDATE reward SET kind = 'custom', limit_period = 'life', channel = 'both', code_source = 'generated',"
        " updated_at = created_at"
    )
    with op.batch_alter_table("reward") as reward:
        for name, kind in (
            ("kind", sa.String(length=16)),
            ("limit_period", sa.String(length=8)),
            ("channel", sa.String(length=8)),
            ("code_source", sa.String(length=12)),
            ("updated_at", Moment()),
        ):
            reward.alter_column(name, existing_type=kind, nullable=False)
        for name, rule in (
            ("stock_not_negative", "stock >= 0"),
            ("limit_is_positive", "limit_count > 0"),
            ("code_lives", "code_minutes > 0"),
            (
                "kind_is_known",
                "kind in ('fixed', 'percent', 'free_shipping', 'free_product', 'gift_card', 'custom')",
            ),
            ("limit_period_is_known", "limit_period in ('life', 'year', 'month', 'week', 'day')"),
            ("channel_is_known", "channel in ('both', 'online', 'in_store')"),
            ("code_source_is_known", "code_source in ('generated', 'pool')"),
        ):
            reward.create_check_constraint(op.f(f"ck_reward_{name}"), rule)


def _append_only(table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("update", "delete")
        ]
    return [
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()",
    ]


def _carry_over(conn: sa.Connection, old: Any) -> None:
    """Book what was booked before anew, in its order: each customer's chain begins with their first entry."""
    from web.loyalty.ledger import hash_of

    of_customer: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in old:
        of_customer[row.program_id, row.customer_id].append(row)
    tables = sa.MetaData()
    names = ("ledger_entry", "lot", "lot_use", "balance")
    entry, lot, use, balance = (_typed(conn, tables, name) for name in names)
    for (program_id, customer_id), rows in of_customer.items():
        head, lots, earned = GENESIS, list[dict[str, Any]](), 0
        for number, row in enumerate(rows, 1):
            written = _entry(row, number, head)
            head = written["hash"] = hash_of(written)
            conn.execute(entry.insert(), written)
            if row.amount > 0:
                earned += row.amount
                lots.append(_lot(row))
            else:
                uses = _spend(lots, row)
                if uses:
                    conn.execute(use.insert(), uses)
        if lots:
            conn.execute(lot.insert(), lots)
        conn.execute(
            balance.insert(),
            {
                "program_id": program_id,
                "customer_id": customer_id,
                "available": rows[-1].balance_after,
                "pending": 0,
                "reserved": 0,
                "lifetime_earned": earned,
                "tier_points": earned,
                "tier_money": 0,
                "tier_carry": 0,
                "number": len(rows),
                "head_hash": head,
                "version": len(rows),
                "updated_at": utc_now(),
            },
        )


def _typed(conn: sa.Connection, tables: sa.MetaData, name: str) -> sa.Table:
    """A table as it was just made, with columns that take moments and documents as the code writes them."""
    table = sa.Table(name, tables, autoload_with=conn)
    for column in table.c:
        if column.name.endswith("_at") or column.name in ("at", "available_from", "tier_kept_until"):
            column.type = Moment()
        elif column.name == "detail":
            column.type = Json()
        elif column.name == "id" or column.name.endswith("_id"):
            column.type = Id()
    return table


def _entry(row: Any, number: int, head: str) -> dict[str, Any]:
    gain = row.amount > 0
    at: datetime = row.at
    return {
        "program_id": row.program_id,
        "id": row.id,
        "customer_id": row.customer_id,
        "number": number,
        "kind": "earn" if gain else "spend",
        "debit": "issued" if gain else "available",
        "credit": "available" if gain else "redeemed",
        "amount": abs(row.amount),
        "available_after": row.balance_after,
        "pending_after": 0,
        "reserved_after": 0,
        "tier_points": max(row.amount, 0),
        "tier_money": 0,
        "reason": row.reason,
        "source": row.source,
        "source_ref": None,
        "actor": None,
        "key": row.key,
        # What was asked for then is not known any more: a repeat under this key is refused, not answered.
        "asked_hash": GENESIS,
        "reverses_id": None,
        "effective_at": at,
        "at": at,
        "detail": {},
        "previous_hash": head,
    }


def _lot(row: Any) -> dict[str, Any]:
    return {
        "program_id": row.program_id,
        "id": new_id(),
        "customer_id": row.customer_id,
        "entry_id": row.id,
        "amount": row.amount,
        "remaining": row.amount,
        "is_pending": False,
        "created_at": row.at,
    }


def _spend(lots: list[dict[str, Any]], row: Any) -> list[dict[str, Any]]:
    missing, uses = -row.amount, []
    for lot in lots:
        part = min(missing, lot["remaining"])
        if part:
            lot["remaining"] -= part
            missing -= part
            uses.append(
                {"program_id": row.program_id, "entry_id": row.id, "lot_id": lot["id"], "amount": part}
            )
    return uses
