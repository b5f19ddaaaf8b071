"""Multipliers: campaigns such as double-point days, which multiply what purchases earn."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.earning_flows import Removed, Texts, fault_of
from web.api.operation import operation
from web.api.problems import Problem
from web.api.shapes import Id, Input, Output, require_moment
from web.loyalty.multiplier import (
    InvalidMultiplier,
    Multiplier,
    NewMultiplier,
    add_multiplier,
    multipliers_of,
    remove_multiplier,
)

TAG = "Tiers"
A_MULTIPLIER = "0199a1b2-a4b6-75c6-9031-4c5d6e7f8091"

# Without offset: the clock on the shop's wall.
Local = Annotated[
    datetime, Meta(tz=False, description="In the programme's time zone, without offset: 2026-11-27T00:00:00.")
]
Weekdays = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=7)], ...],
    Meta(max_length=7, description="1 is Monday; none is every day."),
]


class MultiplierGiven(Input):
    """A campaign such as a double-point day: 200 per cent, from `starts` until just before `ends`."""

    name: Texts
    percent: Annotated[int, Meta(ge=101, le=10000)]
    starts: Local
    ends: Local
    weekdays: Weekdays = ()


class MultiplierShown(Output):
    id: Id
    name: dict[str, str]
    percent: int
    starts: Local
    ends: Local
    weekdays: Weekdays


class Multipliers(Output):
    items: list[MultiplierShown]


DOUBLE = MultiplierGiven(
    name={"en": "Double-point day"},
    percent=200,
    starts=datetime(2026, 11, 27),  # noqa: DTZ001 - the programme's own time
    ends=datetime(2026, 11, 28),  # noqa: DTZ001
)
EXAMPLE_MULTIPLIER = MultiplierShown(
    id=A_MULTIPLIER,
    name=DOUBLE.name,
    percent=DOUBLE.percent,
    starts=DOUBLE.starts,
    ends=DOUBLE.ends,
    weekdays=(),
)


@operation(
    "GET",
    "/v1/programs/{program}/multipliers",
    scope="read",
    tag=TAG,
    answer=Multipliers(items=[EXAMPLE_MULTIPLIER]),
)
async def list_multipliers(call: Call) -> Multipliers:
    """List the campaigns that multiply."""
    found = await call.read(multipliers_of, call.program.id)
    return Multipliers(items=[_multiplier(each) for each in found])


@operation(
    "POST",
    "/v1/programs/{program}/multipliers",
    scope="admin",
    tag=TAG,
    status=201,
    example=DOUBLE,
    answer=EXAMPLE_MULTIPLIER,
)
async def announce_multiplier(call: Call, data: MultiplierGiven) -> MultiplierShown:
    """Announce a campaign that multiplies what purchases earn.

    Of several at once the best one counts; it multiplies with the tier's own.
    """
    return await call.write(_announce, call.program.id, data)


@operation(
    "DELETE",
    "/v1/programs/{program}/multipliers/{multiplier}",
    scope="admin",
    tag=TAG,
    answer=Removed(id=A_MULTIPLIER),
)
async def call_multiplier_off(call: Call) -> Removed:
    """Call a campaign off.

    What it multiplied stays.
    """
    return await call.write(_call_off, call.program.id, call.path["multiplier"])


def _announce(conn: Connection, program_id: str, data: MultiplierGiven) -> MultiplierShown:
    require_moment(data.starts, "/starts")
    require_moment(data.ends, "/ends")
    try:
        made = add_multiplier(conn, program_id, NewMultiplier(**msgspec.structs.asdict(data)))
    except InvalidMultiplier as error:
        fault = fault_of(str(error))
        raise Problem("invalid", fault.detail, fault) from None
    return next(_multiplier(each) for each in multipliers_of(conn, program_id) if each.id == made)


def _call_off(conn: Connection, program_id: str, multiplier_id: str) -> Removed:
    if not any(each.id == multiplier_id for each in multipliers_of(conn, program_id)):
        raise Problem("not-found", "There is no such multiplier.")
    remove_multiplier(conn, program_id, multiplier_id)
    return Removed(id=multiplier_id)


def _multiplier(each: Multiplier) -> MultiplierShown:
    return MultiplierShown(**msgspec.structs.asdict(each))


ROUTES = (list_multipliers, announce_multiplier, call_multiplier_off)
