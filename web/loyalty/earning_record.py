"""What earning flows found: each verdict with its trace, and the fractions that are carried to the next time.

The limits of flows are held by the unique rules of these tables.
"""

from collections.abc import Collection
from datetime import datetime
from fractions import Fraction

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    delete,
    insert,
    select,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.earning_rules import NOTHING, Evaluation, Happening, Trace
from web.loyalty.ledger import Amount


class Exact(TypeDecorator[Fraction]):
    """A fraction of a minor unit, as text: no column of numbers holds all of them exactly."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Fraction | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Fraction | None:
        return None if value is None else Fraction(value)


earning = Table(
    "earning",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("flow_id", Id, nullable=False),
    Column("customer_id", Id, nullable=False),
    # What happened; one flow judges it once.
    Column("key", String(200), nullable=False),
    # Its place under the flow's limits, for the period and in all: nobody else can have the same.
    Column("slot", String(160)),
    Column("turn", Integer),
    Column("entry_id", Id),
    Column("purchase_id", Id),
    # Of a purchase: the money that earned, by which lines, what that is exactly, and what was taken back since.
    Column("base", Amount, nullable=False),
    Column("line_ids", Json, nullable=False),
    Column("exact", Exact, nullable=False),
    Column("points", Amount, nullable=False),
    Column("taken_back", Amount, nullable=False),
    Column("trace", Json, nullable=False),
    Column("at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "flow_id", "customer_id", "slot", name="uq_earning_slot"),
    UniqueConstraint("program_id", "flow_id", "customer_id", "turn", name="uq_earning_turn"),
    UniqueConstraint("program_id", "key", "flow_id", name="uq_earning_key"),
    CheckConstraint(
        "points >= 0 and taken_back >= 0 and taken_back <= points", name="never_takes_more_than_it_gave"
    ),
)
Index("ix_earning_customer", earning.c.program_id, earning.c.customer_id, earning.c.id)
Index(
    "ix_earning_purchase",
    earning.c.program_id,
    earning.c.purchase_id,
    sqlite_where=earning.c.purchase_id.is_not(None),
    postgresql_where=earning.c.purchase_id.is_not(None),
)

_NOTHING = (earning.c.points == 0) & earning.c.purchase_id.is_not(None)
Index(
    "ix_earning_nothing",
    earning.c.program_id,
    earning.c.customer_id,
    earning.c.id,
    sqlite_where=_NOTHING,
    postgresql_where=_NOTHING,
)

# What did not make a whole point; below zero where a refund took back less than it was worth.
carry = Table(
    "carry",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("flow_id", Id, primary_key=True),
    Column("amount", Exact, nullable=False),
)


def carried(conn: Connection, program_id: str, customer_id: str, flow_id: str) -> Fraction:
    """What a flow's earnings left over so far, as an exact fraction of a minor unit."""
    found = conn.scalar(
        select(carry.c.amount).where(
            carry.c.program_id == program_id, carry.c.customer_id == customer_id, carry.c.flow_id == flow_id
        )
    )
    return NOTHING if found is None else found


def keep_carried(conn: Connection, program_id: str, customer_id: str, flow_id: str, amount: Fraction) -> None:
    """What is carried from now on. Under the lock of the balance."""
    where = (
        carry.c.program_id == program_id,
        carry.c.customer_id == customer_id,
        carry.c.flow_id == flow_id,
    )
    conn.execute(delete(carry).where(*where))
    if amount:
        conn.execute(
            insert(carry).values(
                program_id=program_id, customer_id=customer_id, flow_id=flow_id, amount=amount
            )
        )


def hand_over_carried(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """What one customer's earnings left over adds to another's. Under the locks of both balances."""
    rows = conn.execute(
        select(carry.c.flow_id, carry.c.amount).where(
            carry.c.program_id == program_id, carry.c.customer_id == from_id
        )
    ).all()
    for flow_id, amount in rows:
        own = carried(conn, program_id, into_id, flow_id)
        keep_carried(conn, program_id, into_id, flow_id, own + amount)
        keep_carried(conn, program_id, from_id, flow_id, NOTHING)


def keep_earning(
    conn: Connection,
    program_id: str,
    customer_id: str,
    key: str,
    happened: Happening,
    judged: Evaluation,
    *,
    entry_id: str | None,
    purchase_id: str | None = None,
) -> None:
    """Write down what a flow found, and take its place under the flow's limits."""
    conn.execute(
        insert(earning).values(
            program_id=program_id,
            id=new_id(),
            flow_id=judged.trace.flow_id,
            customer_id=customer_id,
            key=key,
            slot=judged.slot,
            turn=judged.turn,
            entry_id=entry_id,
            purchase_id=purchase_id,
            base=judged.base,
            line_ids=judged.line_ids,
            exact=judged.exact,
            points=judged.points,
            taken_back=0,
            trace=msgspec.to_builtins(judged.trace),
            at=happened.at,
            created_at=utc_now(),
        )
    )


def traces_of(
    conn: Connection, program_id: str, customer_id: str, entry_ids: Collection[str]
) -> dict[str, list[Trace]]:
    """The traces of the flows that led to some of a customer's entries, by entry; none where no flow did."""
    found: dict[str, list[Trace]] = {}
    if entry_ids:
        rows = conn.execute(
            select(earning.c.entry_id, earning.c.trace).where(
                earning.c.program_id == program_id,
                earning.c.customer_id == customer_id,
                earning.c.entry_id.in_(entry_ids),
            )
        )
        for row in rows:
            found.setdefault(row.entry_id, []).append(msgspec.convert(row.trace, Trace))
    return found


class Unrewarded(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase for which a flow gave nothing, and why."""

    at: datetime
    trace: Trace


def earned_nothing(conn: Connection, program_id: str, customer_id: str, most: int) -> list[Unrewarded]:
    """The latest purchases for which a flow gave nothing, the newest first (C6)."""
    rows = conn.execute(
        select(earning.c.at, earning.c.trace)
        .where(earning.c.program_id == program_id, earning.c.customer_id == customer_id, _NOTHING)
        .order_by(earning.c.id.desc())
        .limit(most)
    )
    return [Unrewarded(at=row.at, trace=msgspec.convert(row.trace, Trace)) for row in rows]
