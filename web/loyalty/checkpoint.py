"""Checkpoints: once a day the heads of all chains are summed up and signed, each checkpoint on the one before.

The root is a SHA-256 over the checkpoint before and over every head that moved since: customer, number and hash. So
the last one stands for all entries ever written, and costs a day's entries to make. Whoever keeps the public key, or
a root, outside the database can prove that nothing written before was changed, nor left out.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Column, Index, Integer, String, Table, exists, func, insert, select, text
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.ledger import GENESIS, ledger_entry, spelt
from web.loyalty.program import Program, program

log = structlog.get_logger("ledger")

# Every transaction that stamped an entry so long ago has ended.
SETTLED = timedelta(minutes=10)
CLOCKS_DIFFER = timedelta(minutes=1)
EVERY = timedelta(days=1)

ledger_checkpoint = Table(
    "ledger_checkpoint",
    metadata,
    Column("program_id", Id, primary_key=True),
    # 1, 2, 3 …: of two workers at once, one makes it.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    # It covers every entry stamped after the one before and not after this moment.
    Column("until", Moment, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("root", String(64), nullable=False),
    Column("previous_root", String(64), nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)
Index("ix_ledger_entry_at", ledger_entry.c.program_id, ledger_entry.c.at)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint. Keys, roots and signatures are hexadecimal."""

    program_id: str
    number: int
    at: datetime
    until: datetime
    customers: int
    entries: int
    root: str
    previous_root: str
    public_key: str
    signature: str

    @property
    def what_is_signed(self) -> bytes:
        values = [
            spelt(value) if isinstance(value := getattr(self, name), datetime) else value
            for name in self.__struct_fields__
            if name != "signature"
        ]
        return msgspec.json.encode(values)

    def is_signed(self) -> bool:
        """Whether the signature is that of the key that it names."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(self.signature), self.what_is_signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class Root:
    """Sums up the heads of one checkpoint. They must come in the order of their customers."""

    def __init__(self, before: Checkpoint | None) -> None:
        signature = before.signature if before else ""
        self._sum = hashlib.sha256(f"{root_of(before)} {signature}\n".encode())
        self.customers = 0

    def add(self, customer_id: str, number: int, head: str) -> None:
        self.customers += 1
        self._sum.update(f"{customer_id} {number} {head}\n".encode())

    def hex(self) -> str:
        return self._sum.hexdigest()


_OLDEST_TRANSACTION = text(
    "SELECT min(xact_start) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL"
)
_COLUMNS = tuple(ledger_checkpoint.c[name] for name in Checkpoint.__struct_fields__)


def root_of(checkpoint: Checkpoint | None) -> str:
    return checkpoint.root if checkpoint else GENESIS


def public_keys(sealer: Sealer, program_id: str) -> list[str]:
    """The keys that this installation signs a programme's checkpoints with; the first is the present one."""
    return [_public(key) for key in _keys(sealer, program_id)]


def checkpoints_of(conn: Connection, program_id: str) -> list[Checkpoint]:
    rows = conn.execute(
        select(*_COLUMNS)
        .where(ledger_checkpoint.c.program_id == program_id)
        .order_by(ledger_checkpoint.c.number)
    )
    return [Checkpoint(**row._mapping) for row in rows]


def last_checkpoint(conn: Connection, program_id: str) -> Checkpoint | None:
    row = conn.execute(
        select(*_COLUMNS)
        .where(ledger_checkpoint.c.program_id == program_id)
        .order_by(ledger_checkpoint.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Checkpoint(**row._mapping)


def checkpoints_due(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """The programmes that have a ledger, and no checkpoint within a day."""
    had = exists().where(ledger_checkpoint.c.program_id == program.c.id, ledger_checkpoint.c.at > now - EVERY)
    any_entry = exists().where(ledger_entry.c.program_id == program.c.id)
    due = conn.scalars(select(program.c.id).where(~had, any_entry).order_by(program.c.id).limit(most))
    return [(each, each) for each in due]


def make_checkpoint(
    conn: Connection, its: Program, sealer: Sealer, now: datetime | None = None
) -> Checkpoint:
    """Sum up and sign what was booked since the last one, but for the last ten minutes."""
    before = last_checkpoint(conn, its.id)
    at = utc_now()
    until = _settled(conn, min(now or at, at))
    if before is not None and before.until >= until:
        return before
    root, entries = Root(before), 0
    for head in _heads(conn, its.id, before.until if before else None, until):
        root.add(head.customer_id, head.number, head.hash)
        entries += head.entries
    key = _keys(sealer, its.id)[0]
    unsigned = Checkpoint(
        program_id=its.id,
        number=before.number + 1 if before else 1,
        at=at,
        until=until,
        customers=root.customers,
        entries=entries,
        root=root.hex(),
        previous_root=root_of(before),
        public_key=_public(key),
        signature="",
    )
    made = msgspec.structs.replace(unsigned, signature=key.sign(unsigned.what_is_signed).hex())
    conn.execute(insert(ledger_checkpoint).values(**msgspec.structs.asdict(made)))
    # A log that is kept elsewhere keeps the root where nobody who changes the database can reach it.
    log.info("checkpoint", program=its.slug, number=made.number, root=made.root)
    return made


def _settled(conn: Connection, now: datetime) -> datetime:
    """Up to which moment nobody can come with an entry any more that was stamped then."""
    until = now - SETTLED
    if conn.dialect.name == "postgresql":
        # An import may take longer than that, in one transaction.
        oldest = conn.scalar(_OLDEST_TRANSACTION)
        until = min(until, oldest - CLOCKS_DIFFER) if oldest else until
    return until


def _heads(conn: Connection, program_id: str, after: datetime | None, until: datetime) -> Iterable[Any]:
    """The last entry of each customer who had any in that time, and how many they had, in the customers' order."""
    chosen = [ledger_entry.c.program_id == program_id, ledger_entry.c.at <= until]
    if after is not None:
        chosen.append(ledger_entry.c.at > after)
    last = (
        select(
            ledger_entry.c.customer_id,
            func.max(ledger_entry.c.number).label("number"),
            func.count().label("entries"),
        )
        .where(*chosen)
        .group_by(ledger_entry.c.customer_id)
        .subquery()
    )
    return conn.execute(
        select(last.c.customer_id, last.c.number, last.c.entries, ledger_entry.c.hash)
        .join(
            ledger_entry,
            (ledger_entry.c.program_id == program_id)
            & (ledger_entry.c.customer_id == last.c.customer_id)
            & (ledger_entry.c.number == last.c.number),
        )
        .order_by(last.c.customer_id)
    )


def _keys(sealer: Sealer, program_id: str) -> list[Ed25519PrivateKey]:
    return [
        Ed25519PrivateKey.from_private_bytes(seed) for seed in sealer.seeds(f"ledger checkpoint/{program_id}")
    ]


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
