"""A campaign that multiplies what purchases earn: double-point days, a triple happy hour."""

from datetime import datetime, tzinfo
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import CheckConstraint, Column, DateTime, Integer, Table, delete, insert, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.earning_rules import Factor
from web.loyalty.program_settings import Localised

multiplier = Table(
    "multiplier",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("name", Json, nullable=False),
    Column("percent", Integer, nullable=False),
    # As the clock in the shop shows it: the programme's time zone says which moments these are.
    Column("starts", DateTime, nullable=False),
    Column("ends", DateTime, nullable=False),
    Column("weekdays", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("percent between 101 and 10000", name="percent_multiplies"),
    CheckConstraint("starts < ends", name="ends_after_start"),
)


class NewMultiplier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """200 `percent` doubles. From `starts` until just before `ends`, in the programme's time zone and without offset.

    On all days, or on those `weekdays` only (1 is Monday).
    """

    name: Localised
    percent: Annotated[int, Meta(ge=101, le=10000)]
    starts: datetime
    ends: datetime
    weekdays: tuple[Annotated[int, Meta(ge=1, le=7)], ...] = ()


class Multiplier(NewMultiplier, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str


class InvalidMultiplier(Exception):
    """A multiplier that cannot work; the text says why."""


_COLUMNS = tuple(multiplier.c[name] for name in Multiplier.__struct_fields__)


def add_multiplier(conn: Connection, program_id: str, new: NewMultiplier) -> str:
    """Announce a campaign; returns its id. Raises: InvalidMultiplier."""
    if new.starts.tzinfo or new.ends.tzinfo:
        raise InvalidMultiplier("starts, ends: write them without offset; they are the programme's own time.")
    if new.starts >= new.ends:
        raise InvalidMultiplier("ends: must be later than starts.")
    multiplier_id = new_id()
    row = {"program_id": program_id, "id": multiplier_id, "created_at": utc_now()}
    conn.execute(insert(multiplier).values(**row, **msgspec.structs.asdict(new)))
    return multiplier_id


def remove_multiplier(conn: Connection, program_id: str, multiplier_id: str) -> bool:
    """Call a campaign off; what it multiplied stays. False if there was none."""
    return bool(
        conn.execute(
            delete(multiplier).where(multiplier.c.program_id == program_id, multiplier.c.id == multiplier_id)
        ).rowcount
    )


def multipliers_of(conn: Connection, program_id: str) -> list[Multiplier]:
    """A programme's campaigns, the earliest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(multiplier.c.program_id == program_id).order_by(multiplier.c.starts)
    )
    return [Multiplier(**{**row._mapping, "weekdays": tuple(row.weekdays)}) for row in rows]


def factor_at(multipliers: list[Multiplier], at: datetime, zone: tzinfo) -> Factor | None:
    """The best campaign that runs at this moment; they do not add up."""
    local = at.astimezone(zone).replace(tzinfo=None)
    running = [
        each
        for each in multipliers
        if each.starts <= local < each.ends and (not each.weekdays or local.isoweekday() in each.weekdays)
    ]
    best = max(running, key=lambda each: each.percent, default=None)
    return None if best is None else Factor(kind="campaign", name=best.name, percent=best.percent)
