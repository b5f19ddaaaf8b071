"""A balance: what a customer's entries add up to. A projection, kept for speed and as the lock on one customer.

Whoever books locks this row first. It is the head of the customer's chain of entries, and where the tier stands.
"""

from datetime import datetime

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, bindparam, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now
from web.loyalty.ledger import GENESIS, Amount
from web.loyalty.wallet_pass import BALANCE, card_changed

balance = Table(
    "balance",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    # Below zero only where the programme lets a reversal take back what was spent already.
    Column("available", Amount, nullable=False),
    Column("pending", Amount, nullable=False),
    Column("reserved", Amount, nullable=False),
    Column("lifetime_earned", Amount, nullable=False),
    # The tier held, what counts towards it in this cycle, and what the last one left over.
    Column("tier_id", Id),
    Column("tier_points", Amount, nullable=False),
    Column("tier_money", Amount, nullable=False),
    Column("tier_carry", Amount, nullable=False),
    Column("tier_entered_at", Moment),
    Column("tier_kept_until", Moment),
    # What entitles to it: see tiering.py.
    Column("tier_secured_id", Id),
    Column("tier_won_id", Id),
    Column("tier_grace_id", Id),
    Column("tier_grace_until", Moment),
    Column("tier_granted_id", Id),
    Column("tier_granted_until", Moment),
    Column("enrolled_at", Moment),
    Column("cycle_started_at", Moment),
    Column("cycle_ends_at", Moment),
    # When the clock has to look at the tier again.
    Column("tier_due_at", Moment),
    # Whose everything is that was theirs: the customer that this one turned out to be.
    Column("merged_into", Id),
    # The last entry of this customer, and its hash.
    Column("number", Integer, nullable=False),
    Column("head_hash", String(64), nullable=False),
    # Grows with every change that a card shows.
    Column("version", Integer, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("pending >= 0 and reserved >= 0", name="nothing_held_below_zero"),
)
_DUE = balance.c.tier_due_at.is_not(None)
Index("ix_balance_tier_due", balance.c.tier_due_at, sqlite_where=_DUE, postgresql_where=_DUE)


class Balance(msgspec.Struct, kw_only=True):
    """The row as a transaction holds it, locked; `save_balance` writes it back.

    `speaks` is no part of it: which field of the card may tell of what is being changed.
    """

    program_id: str
    customer_id: str
    available: int = 0
    pending: int = 0
    reserved: int = 0
    lifetime_earned: int = 0
    tier_id: str | None = None
    tier_points: int = 0
    tier_money: int = 0
    tier_carry: int = 0
    tier_entered_at: datetime | None = None
    tier_kept_until: datetime | None = None
    tier_secured_id: str | None = None
    tier_won_id: str | None = None
    tier_grace_id: str | None = None
    tier_grace_until: datetime | None = None
    tier_granted_id: str | None = None
    tier_granted_until: datetime | None = None
    enrolled_at: datetime | None = None
    cycle_started_at: datetime | None = None
    cycle_ends_at: datetime | None = None
    tier_due_at: datetime | None = None
    merged_into: str | None = None
    number: int = 0
    head_hash: str = GENESIS
    version: int = 0
    updated_at: datetime
    speaks: int = BALANCE


_COLUMNS = tuple(balance.c[name] for name in Balance.__struct_fields__ if name != "speaks")
_FIND = select(*_COLUMNS).where(
    balance.c.program_id == bindparam("program"), balance.c.customer_id == bindparam("customer")
)
_LOCK = _FIND.with_for_update()
_CHANGING = tuple(column.key for column in _COLUMNS if column.key not in ("program_id", "customer_id"))
_SAVE = (
    update(balance)
    .where(balance.c.program_id == bindparam("of_program"), balance.c.customer_id == bindparam("of_customer"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


def find_balance(conn: Connection, program_id: str, customer_id: str) -> Balance | None:
    """What a customer has; None for one who never had anything booked."""
    row = conn.execute(_FIND, {"program": program_id, "customer": customer_id}).one_or_none()
    return None if row is None else Balance(**row._mapping)


def lock_balance(conn: Connection, program_id: str, customer_id: str) -> Balance:
    """The customer's balance, locked until the commit: of one customer, one thing is booked at a time.

    Of one who was merged into another it is the other's: book with its `customer_id`.
    """
    found = lock_row(conn, program_id, customer_id)
    while found.merged_into is not None:
        found = lock_row(conn, program_id, found.merged_into)
    return found


def lock_row(conn: Connection, program_id: str, customer_id: str) -> Balance:
    """The row of this very customer, locked, made where there is none."""
    whose = {"program": program_id, "customer": customer_id}
    row = conn.execute(_LOCK, whose).one_or_none()
    if row is None:
        empty = Balance(program_id=program_id, customer_id=customer_id, updated_at=utc_now())
        conn.execute(
            insert_or_skip(conn, balance).values(
                {column.key: getattr(empty, column.key) for column in _COLUMNS}
            )
        )
        row = conn.execute(_LOCK, whose).one()
    return Balance(**row._mapping)


def save_balance(conn: Connection, changed: Balance) -> None:
    """Write back a locked balance; its version moves on, and so do the cards that show it."""
    changed.version += 1
    changed.updated_at = max(utc_now(), changed.updated_at)
    conn.execute(
        _SAVE,
        {
            "of_program": changed.program_id,
            "of_customer": changed.customer_id,
            **{f"new_{name}": getattr(changed, name) for name in _CHANGING},
        },
    )
    card_changed(conn, changed.program_id, changed.customer_id, changed.speaks)
