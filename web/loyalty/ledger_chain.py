"""A programme's ledger, read from end to end: the chain of each customer with its lots and its balance.

Everything is read in batches by key and in the order of the customers, so that memory stays the same however much
was booked. What cannot even be read is handed on as such: a proof must not end at the first broken byte.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Row, Select, Text, func, select, tuple_, type_coerce
from sqlalchemy.engine import Connection

from web.loyalty.balance import balance
from web.loyalty.ledger import COLUMNS, ledger_entry
from web.loyalty.lot import lot, lot_use

BATCH = 1000

Unreadable = tuple[str, Any, str]


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, what its uses took from lots, what it opened as a lot, and what was reversed of it."""

    row: dict[str, Any]
    used: int
    opened: int | None
    reversed: int


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A lot, and what all its uses took. `entry_amount` is None where no entry gave it."""

    id: str
    entry_id: str
    amount: int
    remaining: int
    is_pending: bool
    used: int
    entry_amount: int | None


class Chain(msgspec.Struct, kw_only=True):
    """All that is kept of one customer's points. The entries and lots can be gone through once, in this order."""

    customer_id: str
    entries: Iterator[Booked | Unreadable]
    lots: Iterator[Opened]
    balance: dict[str, Any] | None
    # What those had earned in their life who were merged into this customer.
    lifetime_of_merged: int


class _Stream:
    """Rows in the order of their customers, of whom each is asked for in turn."""

    def __init__(self, rows: Iterator[tuple[str, Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    @property
    def customer_id(self) -> str | None:
        return None if self._next is None else self._next[0]

    def of(self, customer_id: str) -> Iterator[Any]:
        while self._next is not None and self._next[0] == customer_id:
            found = self._next[1]
            self._next = next(self._rows, None)
            yield found


class _Broken:
    """A row of which only the key can be read."""

    def __init__(self, key: Row[Any]) -> None:
        self.customer_id: str = key.customer_id
        self.number: int = key.number
        self.id: str = key.id


def chains(conn: Connection, program_id: str) -> Iterator[Chain]:
    """Every customer of whom there is an entry, a lot or a balance."""
    entries = _Stream(_entries(conn, program_id))
    lots = _Stream(_lots(conn, program_id))
    balances = _Stream(_balances(conn, program_id))
    while True:
        heads = [stream.customer_id for stream in (entries, lots, balances) if stream.customer_id is not None]
        if not heads:
            return
        customer_id = min(heads)
        its_balance = next(balances.of(customer_id), None)
        chain = Chain(
            customer_id=customer_id,
            entries=entries.of(customer_id),
            lots=lots.of(customer_id),
            balance=its_balance,
            lifetime_of_merged=_lifetime_of_merged(conn, program_id, customer_id),
        )
        yield chain
        for _ in (*chain.entries, *chain.lots):
            pass


def _entries(conn: Connection, program_id: str) -> Iterator[tuple[str, Booked | Unreadable]]:
    used = (
        select(func.coalesce(func.sum(lot_use.c.amount), 0))
        .where(lot_use.c.program_id == ledger_entry.c.program_id, lot_use.c.entry_id == ledger_entry.c.id)
        .scalar_subquery()
    )
    opened = (
        select(func.sum(lot.c.amount))
        .where(lot.c.program_id == ledger_entry.c.program_id, lot.c.entry_id == ledger_entry.c.id)
        .scalar_subquery()
    )
    undoing = ledger_entry.alias("undoing")
    undone = (
        select(func.coalesce(func.sum(undoing.c.amount), 0))
        .where(undoing.c.program_id == ledger_entry.c.program_id, undoing.c.reverses_id == ledger_entry.c.id)
        .scalar_subquery()
    )
    its = ledger_entry.c
    # As text: a document that is none any more is a finding, and no reason to stop.
    columns = [type_coerce(its.detail, Text).label("detail") if c is its.detail else c for c in COLUMNS]
    wanted = select(*columns, used.label("used"), opened.label("opened"), undone.label("undone"))
    bare = select(its.customer_id, its.number, its.id)
    key = (its.customer_id, its.number, its.id)
    for row in _pages(conn, wanted, bare, key, its.program_id == program_id):
        yield row.customer_id, _entry(row)


def _entry(row: Row[Any] | _Broken) -> Booked | Unreadable:
    if isinstance(row, _Broken):
        return row.id, None, "cannot be read any more"
    try:
        values = dict(row._mapping)
        values["detail"] = msgspec.json.decode(values["detail"])
        sums = int(values.pop("used")), values.pop("opened"), int(values.pop("undone"))
    except (TypeError, ValueError, msgspec.DecodeError):
        return row.id, row.at, "its detail cannot be read any more"
    return Booked(
        row=values, used=sums[0], opened=None if sums[1] is None else int(sums[1]), reversed=sums[2]
    )


def _lots(conn: Connection, program_id: str) -> Iterator[tuple[str, Opened]]:
    used = (
        select(func.coalesce(func.sum(lot_use.c.amount), 0))
        .where(lot_use.c.program_id == lot.c.program_id, lot_use.c.lot_id == lot.c.id)
        .scalar_subquery()
    )
    given = (
        select(ledger_entry.c.amount)
        .where(ledger_entry.c.program_id == lot.c.program_id, ledger_entry.c.id == lot.c.entry_id)
        .scalar_subquery()
    )
    its = lot.c
    shown = (its.customer_id, its.id, its.entry_id, its.amount, its.remaining, its.is_pending)
    wanted = select(*shown, used.label("used"), given.label("entry_amount"))
    for row in _pages(conn, wanted, None, (its.customer_id, its.id), its.program_id == program_id):
        values = {name: getattr(row, name) for name in Opened.__struct_fields__}
        yield row.customer_id, Opened(**{**values, "used": int(row.used)})


def _balances(conn: Connection, program_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    its = balance.c
    names = ("available", "pending", "reserved", "lifetime_earned", "number", "head_hash", "merged_into")
    wanted = select(its.customer_id, *(its[name] for name in names))
    for row in _pages(conn, wanted, None, (its.customer_id,), its.program_id == program_id):
        yield row.customer_id, dict(row._mapping)


def _lifetime_of_merged(conn: Connection, program_id: str, customer_id: str) -> int:
    amount = conn.scalar(
        select(func.sum(balance.c.lifetime_earned)).where(
            balance.c.program_id == program_id, balance.c.merged_into == customer_id
        )
    )
    return int(amount or 0)


def _pages(
    conn: Connection, wanted: Select[Any], bare: Select[Any] | None, key: tuple[Any, ...], where: Any
) -> Iterator[Any]:
    """All rows, a batch at a time; those that cannot be read one by one, and by `bare` if not even so."""
    last: tuple[Any, ...] | None = None
    while True:
        after = [where] if last is None else [where, tuple_(*key) > last]

        rows = _read(conn, wanted.where(*after).order_by(*key).limit(BATCH))
        if rows is None and bare is not None:
            rows = []
            for one in conn.execute(bare.where(*after).order_by(*key).limit(BATCH)):
                found = _read(conn, wanted.where(where, tuple_(*key) == tuple(one)))
                rows += found if found is not None else [_Broken(one)]
        if not rows:
            return
        yield from rows
        last = tuple(getattr(rows[-1], column.name) for column in key)


def _read(conn: Connection, statement: Select[Any]) -> list[Any] | None:
    try:
        return list(conn.execute(statement))
    except (ValueError, TypeError):
        return None
