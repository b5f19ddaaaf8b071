"""The ledger: what was booked, never changed, each entry tied to the one before it.

One row is one entry, and one entry moves an amount from one account to another, as in any double-entry book: what
leaves `debit` arrives in `credit`, so that the sum of all accounts is nought whatever is written. A customer has the
accounts `available`, `pending` and `reserved`; the others are the programme's own sides of the trade.

Amounts are integers in the programme's minor units (scale 0: whole points, 2: hundredths).
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    case,
    select,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata

Amount = BigInteger().with_variant(Integer, "sqlite")

# No single entry is larger, and no balance: far from where 64 bits end.
LARGEST = 10**15

AVAILABLE, PENDING, RESERVED = "available", "pending", "reserved"
ISSUED, REDEEMED, EXPIRED, ADJUSTED, TRANSFER = "issued", "redeemed", "expired", "adjusted", "transfer"
CUSTOMERS_ACCOUNTS = (AVAILABLE, PENDING, RESERVED)
ACCOUNTS = (*CUSTOMERS_ACCOUNTS, ISSUED, REDEEMED, EXPIRED, ADJUSTED, TRANSFER)

# What an entry is: earned at once or held back first, released; spent at once or set aside, settled, given back;
# corrected by hand, set from outside, run out, reversed, moved to the same person's other card.
KINDS = (
    "earn",
    "hold",
    "release",
    "spend",
    "reserve",
    "settle",
    "give_back",
    "adjust",
    "opening",
    "sync",
    "expire",
    "reverse",
    "merge",
)
GENESIS = "0" * 64

_ACCOUNTS = ", ".join(f"'{name}'" for name in ACCOUNTS)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    # 1, 2, 3 … of this customer: two entries cannot both follow the same one.
    Column("number", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("debit", String(12), nullable=False),
    Column("credit", String(12), nullable=False),
    Column("amount", Amount, nullable=False),
    Column("available_after", Amount, nullable=False),
    Column("pending_after", Amount, nullable=False),
    Column("reserved_after", Amount, nullable=False),
    # What it did to the tier's count, in points and in the currency's minor units.
    Column("tier_points", Amount, nullable=False),
    Column("tier_money", Amount, nullable=False),
    # What the customer reads.
    Column("reason", String(120), nullable=False),
    Column("source", String(40), nullable=False),
    Column("source_ref", String(160)),
    Column("actor", String(120)),
    # Who asks twice with the same key books once; the sum of what was asked tells a repeat from a mistake.
    Column("key", String(200)),
    Column("asked_hash", String(64), nullable=False),
    Column("reverses_id", Id),
    Column("effective_at", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", Json, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    CheckConstraint(f"amount > 0 and amount <= {LARGEST}", name="amount_moves_something"),
    CheckConstraint("debit <> credit", name="amount_goes_elsewhere"),
    CheckConstraint(f"debit in ({_ACCOUNTS}) and credit in ({_ACCOUNTS})", name="accounts_are_known"),
    # Only taking back what was never theirs may leave somebody in debt, and only where the programme allows it.
    CheckConstraint(
        "available_after >= 0 or debit <> 'available' or kind in ('reverse', 'merge')",
        name="never_spent_below_zero",
    ),
    CheckConstraint("pending_after >= 0 and reserved_after >= 0", name="nothing_held_below_zero"),
    UniqueConstraint("program_id", "customer_id", "number", name="uq_ledger_entry_number"),
    UniqueConstraint("program_id", "key", name="uq_ledger_entry_key"),
)
Index(
    "ix_ledger_entry_reverses",
    ledger_entry.c.program_id,
    ledger_entry.c.reverses_id,
    sqlite_where=ledger_entry.c.reverses_id.is_not(None),
    postgresql_where=ledger_entry.c.reverses_id.is_not(None),
)
Index(
    "ix_ledger_entry_source_ref",
    ledger_entry.c.program_id,
    ledger_entry.c.source_ref,
    sqlite_where=ledger_entry.c.source_ref.is_not(None),
    postgresql_where=ledger_entry.c.source_ref.is_not(None),
)

# What an entry did to the points that can be spent: the signed amount that people read.
EFFECT = case(
    (ledger_entry.c.credit == AVAILABLE, ledger_entry.c.amount),
    (ledger_entry.c.debit == AVAILABLE, -ledger_entry.c.amount),
    else_=0,
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it stands in the ledger."""

    program_id: str
    id: str
    customer_id: str
    number: int
    kind: str
    debit: str
    credit: str
    amount: int
    available_after: int
    pending_after: int
    reserved_after: int
    tier_points: int
    tier_money: int
    reason: str
    source: str
    source_ref: str | None
    actor: str | None
    key: str | None
    asked_hash: str
    reverses_id: str | None
    effective_at: datetime
    at: datetime
    detail: dict[str, Any]
    previous_hash: str
    hash: str

    @property
    def effect(self) -> int:
        """What it did to the points that can be spent."""
        return (self.credit == AVAILABLE) * self.amount - (self.debit == AVAILABLE) * self.amount


COLUMNS = tuple(ledger_entry.c[name] for name in Entry.__struct_fields__)


def hash_of(row: dict[str, Any]) -> str:
    """The SHA-256 that seals an entry: over each of its columns and the hash of the entry before it.

    Moments count to the microsecond in UTC, which is what both databases keep.
    """
    values = [
        spelt(value) if isinstance(value := row[name], datetime) else value
        for name in Entry.__struct_fields__
        if name != "hash"
    ]
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()


def spelt(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def find_entry(conn: Connection, program_id: str, entry_id: str) -> Entry | None:
    row = conn.execute(
        select(*COLUMNS).where(ledger_entry.c.program_id == program_id, ledger_entry.c.id == entry_id)
    ).one_or_none()
    return None if row is None else Entry(**row._mapping)


def find_by_key(conn: Connection, program_id: str, key: str) -> Entry | None:
    row = conn.execute(
        select(*COLUMNS).where(ledger_entry.c.program_id == program_id, ledger_entry.c.key == key)
    ).one_or_none()
    return None if row is None else Entry(**row._mapping)


def entry_at(conn: Connection, program_id: str, customer_id: str, moment: datetime) -> Entry | None:
    """The last entry that was there at `moment`; its `…_after` columns are what the customer had then."""
    row = conn.execute(
        select(*COLUMNS)
        .where(
            ledger_entry.c.program_id == program_id,
            ledger_entry.c.customer_id == customer_id,
            ledger_entry.c.at <= moment,
        )
        .order_by(ledger_entry.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Entry(**row._mapping)


def has_entries(conn: Connection, program_id: str) -> bool:
    """Whether anything was ever booked in the programme; its scale is fixed from then on."""
    return (
        conn.scalar(select(ledger_entry.c.number).where(ledger_entry.c.program_id == program_id).limit(1))
        is not None
    )
