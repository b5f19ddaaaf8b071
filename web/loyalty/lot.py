"""Lots: the points of one earning, from the day they can be spent to the day they run out.

What is spent comes from the lot that runs out soonest; of those that run out together, from the one earned first; of
those earned in one moment, from the one booked first, which the lots' ids tell. A debt is paid in the same order,
whatever brings the points. What is given back returns to the lots that it came from. `lot_use` keeps what each entry
took (positive) or returned (negative), and is never changed.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.document import object_of, one_of
from web.foundation.schema import DayAfter, Id, Moment, metadata, new_id, utc_now
from web.loyalty.ledger import EXPIRED, Amount, ledger_entry

lot = Table(
    "lot",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    # The entry that earned it.
    Column("entry_id", Id, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("remaining", Amount, nullable=False),
    # Taken back when it was spent or had run out already, and borne by the programme: it never returns.
    Column("written_off", Amount, nullable=False),
    # Held back until `available_from`.
    Column("is_pending", Boolean(name="is_pending_is_boolean"), nullable=False),
    Column("available_from", Moment),
    Column("expires_at", Moment),
    # When they are told next that it runs out.
    Column("warn_at", Moment),
    # When it was earned, which may be long before it was booked.
    Column("created_at", Moment, nullable=False),
    CheckConstraint(
        "amount > 0 and remaining >= 0 and remaining <= amount", name="remaining_is_part_of_amount"
    ),
    CheckConstraint(
        "written_off >= 0 and remaining + written_off <= amount", name="written_off_is_part_of_the_rest"
    ),
)
# Written out: SQLite compiles a statement anew for each value that decides whether a partial index will do.
_SOME_LEFT = lot.c.remaining > literal_column("0")
_OPEN = _SOME_LEFT & lot.c.is_pending.is_(False)
_HELD = _SOME_LEFT & lot.c.is_pending.is_(True)
Index("ix_lot_entry", lot.c.program_id, lot.c.entry_id)
Index(
    "ix_lot_open",
    lot.c.program_id,
    lot.c.customer_id,
    lot.c.expires_at,
    lot.c.id,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index("ix_lot_expiring", lot.c.expires_at, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_lot_held", lot.c.available_from, sqlite_where=_HELD, postgresql_where=_HELD)
_TO_WARN_OF = _OPEN & lot.c.warn_at.is_not(None)
Index("ix_lot_to_warn_of", lot.c.warn_at, sqlite_where=_TO_WARN_OF, postgresql_where=_TO_WARN_OF)

# What can become due of a lot: it is released, it runs out, somebody is warned of that.
What = Literal["release", "expiry", "warning"]
_BECOMES_DUE: dict[What, tuple[Column[Any], ColumnElement[bool]]] = {
    "release": (lot.c.available_from, _HELD),
    "expiry": (lot.c.expires_at, _OPEN),
    "warning": (lot.c.warn_at, _TO_WARN_OF),
}

lot_use = Table(
    "lot_use",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("entry_id", Id, primary_key=True),
    Column("lot_id", Id, primary_key=True),
    Column("amount", Amount, nullable=False),
    CheckConstraint("amount <> 0", name="amount_moves_something"),
)
Index("ix_lot_use_lot", lot_use.c.program_id, lot_use.c.lot_id)

# How many lots are looked at in one statement; a spend rarely needs more than a few.
CHUNK = 50


class Expiring(msgspec.Struct, frozen=True):
    """What runs out next; None where nothing ever does."""

    at: datetime | None
    amount: int | None


class Lot(msgspec.Struct, kw_only=True):
    """One lot as a transaction holds it."""

    program_id: str
    id: str
    customer_id: str
    entry_id: str
    amount: int
    remaining: int
    written_off: int = 0
    is_pending: bool = False
    available_from: datetime | None = None
    expires_at: datetime | None = None
    warn_at: datetime | None = None
    created_at: datetime


_COLUMNS = tuple(lot.c[name] for name in Lot.__struct_fields__)
_TAKE = (
    update(lot)
    .where(lot.c.program_id == bindparam("of_program"), lot.c.id == bindparam("of_lot"))
    .values(remaining=lot.c.remaining - bindparam("taken"))
)
_SPENDING_ORDER = (lot.c.expires_at.is_(None), lot.c.expires_at, lot.c.created_at, lot.c.id)


def open_lot(
    conn: Connection,
    program_id: str,
    customer_id: str,
    entry_id: str,
    amount: int,
    *,
    at: datetime,
    available_from: datetime | None = None,
    expires_at: datetime | None = None,
    warn_at: datetime | None = None,
) -> Lot:
    """The lot of an earning; one that is available later is held back until then."""
    opened = Lot(
        program_id=program_id,
        id=new_id(),
        customer_id=customer_id,
        entry_id=entry_id,
        amount=amount,
        remaining=amount,
        is_pending=available_from is not None,
        available_from=available_from,
        expires_at=expires_at,
        warn_at=warn_at,
        created_at=at,
    )
    conn.execute(insert(lot), msgspec.structs.asdict(opened))
    return opened


def take(conn: Connection, program_id: str, customer_id: str, entry_id: str, amount: int) -> None:
    """Take `amount` out of the customer's open lots for an entry: in the order of spending (L10).

    The balance must be locked, and the lots must hold as much.
    """
    its = (lot.c.program_id == program_id, lot.c.customer_id == customer_id, _OPEN)
    missing, chosen = amount, list[tuple[Lot, int]]()
    while missing:
        found = conn.execute(
            select(*_COLUMNS).where(*its).order_by(*_SPENDING_ORDER).limit(CHUNK).offset(len(chosen))
        ).all()
        assert found, f"{missing} are in the balance and in no lot"
        for row in found:
            if missing:
                part = min(missing, row.remaining)
                chosen.append((Lot(**row._mapping), part))
                missing -= part
    use(conn, entry_id, chosen)


def use(conn: Connection, entry_id: str, parts: list[tuple[Lot, int]]) -> None:
    """Take a part of each of some lots for an entry; a negative part gives back."""
    parts = [(its, part) for its, part in parts if part]
    if not parts:
        return
    conn.execute(
        _TAKE, [{"of_program": its.program_id, "of_lot": its.id, "taken": part} for its, part in parts]
    )
    conn.execute(
        insert(lot_use),
        [
            {"program_id": its.program_id, "entry_id": entry_id, "lot_id": its.id, "amount": part}
            for its, part in parts
        ],
    )


def used_by(conn: Connection, program_id: str, entry_id: str) -> list[tuple[Lot, int]]:
    """The lots that an entry took from, and how much of each; in the order in which they would be spent now."""
    rows = conn.execute(
        select(*_COLUMNS, lot_use.c.amount.label("part"))
        .join(lot_use, (lot_use.c.program_id == lot.c.program_id) & (lot_use.c.lot_id == lot.c.id))
        .where(lot_use.c.program_id == program_id, lot_use.c.entry_id == entry_id)
        .order_by(*_SPENDING_ORDER)
    ).all()
    return [(Lot(**{name: getattr(row, name) for name in Lot.__struct_fields__}), row.part) for row in rows]


def give_back(
    conn: Connection, entry_id: str, parts: list[tuple[Lot, int]], grace_ends: datetime
) -> list[Lot]:
    """Return to each lot its part, for an entry (L13); returns the lots as they are then.

    A lot that has run out in the meantime may be spent until `grace_ends`.
    """
    now, returned = utc_now(), []
    for its, part in parts:
        if its.expires_at is not None and its.expires_at <= now:
            its.expires_at = grace_ends
            change_end(conn, its.program_id, [its], grace_ends, None)
        its.remaining += part
        returned.append((its, -part))
    use(conn, entry_id, returned)
    return [its for its, _ in returned]


def write_off(conn: Connection, its: Lot, amount: int) -> None:
    """Bear what can never be taken from this lot any more; below zero, what is had after all."""
    its.written_off += amount
    conn.execute(
        update(lot)
        .where(lot.c.program_id == its.program_id, lot.c.id == its.id)
        .values(written_off=its.written_off)
    )


def ran_out(conn: Connection, its: Lot) -> int:
    """How much of a lot has run out, and was not given back."""
    amount = conn.scalar(
        select(func.sum(lot_use.c.amount))
        .join(
            ledger_entry,
            (ledger_entry.c.program_id == lot_use.c.program_id) & (ledger_entry.c.id == lot_use.c.entry_id),
        )
        .where(
            lot_use.c.program_id == its.program_id,
            lot_use.c.lot_id == its.id,
            (ledger_entry.c.debit == EXPIRED) | (ledger_entry.c.credit == EXPIRED),
        )
    )
    return int(amount or 0)


def lot_of(conn: Connection, program_id: str, entry_id: str) -> Lot | None:
    """The lot that an entry earned."""
    row = conn.execute(
        select(*_COLUMNS).where(lot.c.program_id == program_id, lot.c.entry_id == entry_id)
    ).one_or_none()
    return None if row is None else Lot(**row._mapping)


def open_lots(conn: Connection, program_id: str, customer_id: str, *, held: bool = False) -> list[Lot]:
    """A customer's lots that hold something, in the order in which they are spent; the `held` ones instead."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(lot.c.program_id == program_id, lot.c.customer_id == customer_id, _HELD if held else _OPEN)
        .order_by(*_SPENDING_ORDER)
    )
    return [Lot(**row._mapping) for row in rows]


def due_lots(conn: Connection, program_id: str, customer_id: str, now: datetime, what: What) -> list[Lot]:
    """The lots of one customer for which `what` is due by `now`, in the order in which they are spent."""
    moment, which = _BECOMES_DUE[what]
    rows = conn.execute(
        select(*_COLUMNS)
        .where(lot.c.program_id == program_id, lot.c.customer_id == customer_id, which, moment <= now)
        .order_by(*_SPENDING_ORDER)
    )
    return [Lot(**row._mapping) for row in rows]


def whose_lots_are_due(conn: Connection, now: datetime, most: int, *, what: What) -> list[tuple[str, str]]:
    """Programme and customer of lots for which `what` is due by `now`; the most urgent first."""
    moment, which = _BECOMES_DUE[what]
    rows = conn.execute(
        select(lot.c.program_id, lot.c.customer_id)
        .where(which, moment <= now)
        .group_by(lot.c.program_id, lot.c.customer_id)
        .order_by(func.min(moment))
        .limit(most)
    )
    return [(row.program_id, row.customer_id) for row in rows]


def release(conn: Connection, lots: list[Lot]) -> None:
    """Let held lots be spent."""
    for its in lots:
        conn.execute(
            update(lot).where(lot.c.program_id == its.program_id, lot.c.id == its.id).values(is_pending=False)
        )


def hand_over(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """Let all lots of one customer, empty ones too, be another's, with their dates."""
    conn.execute(
        update(lot)
        .where(lot.c.program_id == program_id, lot.c.customer_id == from_id)
        .values(customer_id=into_id)
    )


def change_end(
    conn: Connection, program_id: str, lots: list[Lot], expires_at: datetime | None, warn_at: datetime | None
) -> None:
    """Let some lots run out at another moment, or never."""
    for its in lots:
        conn.execute(
            update(lot)
            .where(lot.c.program_id == program_id, lot.c.id == its.id)
            .values(expires_at=expires_at, warn_at=warn_at)
        )


def renew(
    conn: Connection, program_id: str, customer_id: str, expires_at: datetime, warn_at: datetime | None
) -> None:
    """Move the day on which a customer's open lots run out, where each visit keeps them all alive."""
    conn.execute(
        update(lot)
        .where(
            lot.c.program_id == program_id,
            lot.c.customer_id == customer_id,
            _OPEN,
            lot.c.expires_at < expires_at,
        )
        .values(expires_at=expires_at, warn_at=warn_at)
    )


def amount_expiring(
    conn: Connection, program_id: str, customer_id: str, after: datetime, until: datetime
) -> int:
    """How much runs out after one moment and until another."""
    amount = conn.scalar(
        select(func.sum(lot.c.remaining)).where(
            lot.c.program_id == program_id,
            lot.c.customer_id == customer_id,
            _OPEN,
            lot.c.expires_at > after,
            lot.c.expires_at <= until,
        )
    )
    return int(amount or 0)


def expiring_next_in(program_id: ColumnElement[str], customer_id: ColumnElement[str]) -> ColumnElement[str]:
    """When the next points run out, and how many do within a day of it, as a part of a document: an `Expiring`."""
    soonest = lot.alias("soonest")
    first = (
        select(soonest.c.expires_at)
        .where(
            soonest.c.program_id == program_id,
            soonest.c.customer_id == customer_id,
            soonest.c.remaining > 0,
            soonest.c.is_pending.is_(False),
            soonest.c.expires_at.is_not(None),
        )
        .order_by(soonest.c.expires_at)
        .limit(1)
        .scalar_subquery()
    )
    return one_of(
        object_of(at=first, amount=func.sum(lot.c.remaining)),
        lot.c.program_id == program_id,
        lot.c.customer_id == customer_id,
        _OPEN,
        lot.c.expires_at <= DayAfter(first),
    )
