"""Redemptions as they are kept: what a customer redeemed, with its code, and what became of it.

    reserved → issued → used
        ↓         ↓       ↓
    expired or returned: the points are in their lots again, and the reward in its stock

How one comes about and changes is written in redeeming.py.
"""

import contextlib
from collections.abc import Collection, Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Select,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from web.foundation.document import list_of
from web.foundation.schema import Id, Moment, metadata
from web.foundation.short_code import NotACodeError, normalise
from web.loyalty.code_pool import LONGEST_CODE
from web.loyalty.ledger import Amount
from web.loyalty.period import Period, period_on
from web.loyalty.program import Program

State = Literal["reserved", "issued", "used", "returned", "expired"]
Where = Literal["online", "in_store"]
# 40 random bits and a check character: short enough to be read out over a counter.
CODE_LENGTH = 9

redemption = Table(
    "redemption",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("reward_id", Id, nullable=False),
    # Who asks twice with the same key redeems once.
    Column("key", String(200), nullable=False),
    Column("state", String(8), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("cost", Amount, nullable=False),
    # The entry that took the points; none where it cost nothing.
    Column("entry_id", Id),
    Column("code", String(LONGEST_CODE)),
    Column("created_at", Moment, nullable=False),
    Column("reserved_until", Moment),
    Column("issued_at", Moment),
    Column("expires_at", Moment),
    Column("used_at", Moment),
    Column("ended_at", Moment),
    Column("location_id", Id),
    Column("order_ref", String(160)),
    Column("actor", String(120)),
    UniqueConstraint("program_id", "key"),
    UniqueConstraint("program_id", "code"),
    CheckConstraint("state in ('reserved', 'issued', 'used', 'returned', 'expired')", name="state_is_known"),
    CheckConstraint("channel in ('online', 'in_store')", name="channel_is_known"),
    CheckConstraint("cost >= 0", name="cost_not_negative"),
)
# Written out, not bound: a database uses an index of some rows only where it sees that they are meant.
_COUNTS = redemption.c.state.in_([literal_column(f"'{state}'") for state in ("reserved", "issued", "used")])
_RESERVED = redemption.c.state == literal_column("'reserved'")
_RUNNING = (redemption.c.state == literal_column("'issued'")) & redemption.c.expires_at.is_not(None)
Index("ix_redemption_customer", redemption.c.program_id, redemption.c.customer_id, redemption.c.id)
Index(
    "ix_redemption_counts",
    redemption.c.program_id,
    redemption.c.customer_id,
    redemption.c.reward_id,
    redemption.c.created_at,
    sqlite_where=_COUNTS,
    postgresql_where=_COUNTS,
)
Index(
    "ix_redemption_reserved", redemption.c.reserved_until, sqlite_where=_RESERVED, postgresql_where=_RESERVED
)
Index("ix_redemption_running", redemption.c.expires_at, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
Index(
    "ix_redemption_order",
    redemption.c.program_id,
    redemption.c.order_ref,
    sqlite_where=redemption.c.order_ref.is_not(None),
    postgresql_where=redemption.c.order_ref.is_not(None),
)


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """One redemption as it is kept. `cost` in minor units; `code` is None until it is issued.

    `expires_at` is when an issued code stops being good, `ended_at` when the points went back.
    """

    id: str
    customer_id: str
    reward_id: str
    state: State
    channel: Where
    cost: int
    entry_id: str | None
    code: str | None
    created_at: datetime
    reserved_until: datetime | None
    issued_at: datetime | None
    expires_at: datetime | None
    used_at: datetime | None
    ended_at: datetime | None
    location_id: str | None
    order_ref: str | None
    actor: str | None


_COLUMNS = tuple(
    case((_RESERVED, None), else_=redemption.c.code).label("code") if name == "code" else redemption.c[name]
    for name in Redemption.__struct_fields__
)

PERIODS: tuple[Period, ...] = ("year", "month", "week", "day")


class Had(msgspec.Struct, frozen=True):
    """How often a customer had a reward: ever, and in each period that runs now."""

    reward_id: str
    life: int
    year: int
    month: int
    week: int
    day: int


def _had(program_id: ColumnElement[str], customer_id: ColumnElement[str]) -> Select[Any]:
    """One statement for all rewards, whatever their periods, answered from the index alone."""
    return (
        select(
            redemption.c.reward_id,
            func.count().label("life"),
            *(
                func.sum(
                    case(
                        (redemption.c.created_at >= bindparam(f"{period}_began", type_=Moment()), 1), else_=0
                    )
                ).label(period)
                for period in PERIODS
            ),
        )
        .where(redemption.c.program_id == program_id, redemption.c.customer_id == customer_id, _COUNTS)
        .group_by(redemption.c.reward_id)
    )


_HAD = _had(bindparam("of_program"), bindparam("of_customer"))


def had_in(program_id: ColumnElement[str], customer_id: ColumnElement[str]) -> ColumnElement[str]:
    """How often a customer had each reward, as a part of a document: a list of `Had`. Wants `period_starts`."""
    return list_of(_had(program_id, customer_id))


def codes_in(
    program_id: ColumnElement[str], customer_id: ColumnElement[str], most: int
) -> ColumnElement[str]:
    """The newest codes that can still be used, as a part of a document: a list of `Redemption`."""
    return list_of(
        select(*_COLUMNS)
        .where(
            redemption.c.program_id == program_id,
            redemption.c.customer_id == customer_id,
            redemption.c.state == "issued",
        )
        .order_by(redemption.c.id.desc())
        .limit(most)
    )


def redemptions_of(
    conn: Connection,
    program_id: str,
    customer_id: str,
    *,
    states: Collection[State] | None = None,
    before: str | None = None,
    most: int = 30,
) -> list[Redemption]:
    """A customer's redemptions, the newest first; `before` is the id of the last one seen."""
    wanted = select(*_COLUMNS).where(
        redemption.c.program_id == program_id, redemption.c.customer_id == customer_id
    )
    if states is not None:
        wanted = wanted.where(redemption.c.state.in_(tuple(states)))
    if before is not None:
        wanted = wanted.where(redemption.c.id < before)
    rows = conn.execute(wanted.order_by(redemption.c.id.desc()).limit(most))
    return [Redemption(**row._mapping) for row in rows]


def find_redemption(
    conn: Connection, program_id: str, redemption_id: str, customer_id: str | None = None
) -> Redemption | None:
    """One redemption; with `customer_id` only if it is theirs."""
    theirs = (redemption.c.customer_id == customer_id,) if customer_id is not None else ()
    return find_where(conn, program_id, redemption.c.id == redemption_id, *theirs)


def find_by_code(conn: Connection, program_id: str, typed: str) -> Redemption | None:
    """The redemption of a code as somebody typed it. The caller limits how often anybody may guess."""
    return find_where(conn, program_id, redemption.c.code.in_(spellings_of(typed)), ~_RESERVED)


def spellings_of(typed: str) -> set[str]:
    """The codes that somebody may have meant: one of a pool as it was typed, one of ours read with forgiveness."""
    spellings = {typed.strip()}
    with contextlib.suppress(NotACodeError):
        spellings.add(normalise(typed, CODE_LENGTH))
    return spellings


def redemptions_in(
    conn: Connection, program_id: str, order_ref: str, customer_id: str | None = None
) -> list[Redemption]:
    """What was redeemed in an order and not given back, by one customer or by anybody, the earliest first."""
    wanted = select(*_COLUMNS).where(
        redemption.c.program_id == program_id, redemption.c.order_ref == order_ref, _COUNTS
    )
    if customer_id is not None:
        wanted = wanted.where(redemption.c.customer_id == customer_id)
    rows = conn.execute(wanted.order_by(redemption.c.reward_id, redemption.c.id))
    return [Redemption(**row._mapping) for row in rows]


def due_redemptions(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """Programme and redemption of what was held or issued, and whose time is over, the longest waiting first.

    `lapse` each of them, in a transaction of its own.
    """
    held = select(redemption.c.program_id, redemption.c.id, redemption.c.reserved_until.label("due")).where(
        _RESERVED, redemption.c.reserved_until <= now
    )
    running = select(redemption.c.program_id, redemption.c.id, redemption.c.expires_at.label("due")).where(
        _RUNNING, redemption.c.expires_at <= now
    )
    found = [row for part in (held, running) for row in conn.execute(part.order_by("due").limit(most))]
    return [(row.program_id, row.id) for row in sorted(found, key=lambda row: row.due)[:most]]


def counts_for(conn: Connection, program: Program, customer_id: str, now: datetime) -> dict[str, int]:
    """How often a customer had each reward in the period of its limit: what `offers_for` wants to know."""
    starts = {"of_program": program.id, "of_customer": customer_id, **period_starts(program, now)}
    return counts_of(program, [Had(**row._mapping) for row in conn.execute(_HAD, starts)])


def counts_of(program: Program, had: Iterable[Had]) -> dict[str, int]:
    """The same of rows that were read already."""
    periods = {each.id: each.limit_period for each in program.rewards}
    return {each.reward_id: getattr(each, periods.get(each.reward_id, "life")) for each in had}


def count_of(
    conn: Connection, program: Program, customer_id: str, reward_id: str, period: Period, now: datetime
) -> int:
    """How often a customer had one reward in the period that runs now."""
    starts = {"of_program": program.id, "of_customer": customer_id, **period_starts(program, now)}
    row = conn.execute(_HAD.where(redemption.c.reward_id == reward_id), starts).one_or_none()
    return 0 if row is None else int(getattr(row, period))


def find_where(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> Redemption | None:
    row = conn.execute(
        select(*_COLUMNS).where(redemption.c.program_id == program_id, *where).limit(1)
    ).first()
    return None if row is None else Redemption(**row._mapping)


def period_starts(program: Program, now: datetime) -> dict[str, datetime]:
    """The parameters that say when each period began."""
    timezone = program.settings.timezone
    return _starts_on(timezone, now.astimezone(ZoneInfo(timezone)).date()).copy()


@lru_cache(maxsize=256)  # one day of a time zone is asked for again and again
def _starts_on(timezone: str, day: date) -> dict[str, datetime]:
    starts = {}
    for period in PERIODS:
        around = period_on(period, timezone, day)
        assert around is not None, "only a life has no beginning"
        starts[f"{period}_began"] = around[0]
    return starts
