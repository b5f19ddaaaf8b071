"""Earning flows: the ways to earn."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Fault, Problem
from web.api.shapes import (
    MOST_POINTS,
    Id,
    Input,
    Output,
    PointsShown,
    minor_units,
    require_moment,
    shown,
)
from web.loyalty.earning_flow import (
    EarningFlow,
    InvalidFlow,
    NewEarningFlow,
    NoSuchFlow,
    add_flow,
    archive_flow,
    change_flow,
    find_flow,
    flows_of,
)
from web.loyalty.earning_rules import (
    TYPE_PATTERN,
    Channel,
    Conditions,
    Recurrence,
    Scope,
)
from web.loyalty.program import Program

TAG = "Earning flows"
A_FLOW = "0199a1b2-93a5-74b5-8f20-3b4c5d6e7f80"

Texts = Annotated[
    dict[Annotated[str, Meta(max_length=16)], Annotated[str, Meta(max_length=500)]],
    Meta(max_length=12, description="By language.", examples=[{"en": "Every purchase"}]),
]
Names = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=120)], ...], Meta(max_length=100)]
Money = Annotated[int, Meta(ge=0, le=10**12, description="Minor units of the currency.")]
Moment = Annotated[datetime, Meta(tz=True)]


class ConditionsGiven(Input):
    """What must be so; what is left out asks for nothing. `weekdays`: 1 is Monday. Gift cards never earn."""

    min_amount: Money | None = None
    location_ids: Names = ()
    channels: tuple[Channel, ...] = ()
    networks: Names = ()
    tier_level: Annotated[int, Meta(ge=0, le=1000)] | None = None
    weekdays: Annotated[tuple[Annotated[int, Meta(ge=1, le=7)], ...], Meta(max_length=7)] = ()
    excluded_products: Names = ()
    excluded_collections: Names = ()


class EarningFlowGiven(Input):
    """A way to earn, as a whole.

    `points` are given each time, or for every `perMoney` minor units of money. `times` in each period of `recurrence`,
    for the customer or for each location, network or link (`per`), and `most` in all. Where `recurrence` and `per` are
    left out they are what the type suggests. `links`: the addresses of networks, by their names.
    """

    type: Annotated[str, Meta(pattern=TYPE_PATTERN)]
    title: Texts
    points: Annotated[float, Meta(ge=0, le=MOST_POINTS)]
    description: Texts = msgspec.field(default_factory=dict)
    per_money: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    conditions: ConditionsGiven = msgspec.field(default_factory=ConditionsGiven)
    recurrence: Recurrence | None = None
    times: Annotated[int, Meta(ge=1, le=1000)] = 1
    per: Scope | None = None
    most: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    links: Texts = msgspec.field(default_factory=dict)
    active: bool = True


class ConditionsShown(Output):
    min_amount: int | None
    location_ids: tuple[str, ...]
    channels: tuple[Channel, ...]
    networks: tuple[str, ...]
    tier_level: int | None
    weekdays: tuple[int, ...]
    excluded_products: tuple[str, ...]
    excluded_collections: tuple[str, ...]


class EarningFlowShown(Output):
    """A way to earn."""

    id: Id
    type: str
    title: dict[str, str]
    description: dict[str, str]
    points: PointsShown
    per_money: int | None
    conditions: ConditionsShown
    recurrence: Recurrence
    times: int
    per: Scope
    most: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    links: dict[str, str]
    active: bool


class EarningFlows(Output):
    items: list[EarningFlowShown]


class Removed(Output):
    """It is taken away; what came of it stays."""

    id: Id


EXAMPLE_GIVEN = EarningFlowGiven(
    type="CUSTOM_1", title={"en": "Bring your own cup"}, points=5, recurrence="day", most=100
)
EXAMPLE = EarningFlowShown(
    id=A_FLOW,
    type="CUSTOM_1",
    title={"en": "Bring your own cup"},
    description={},
    points=5,
    per_money=None,
    conditions=ConditionsShown(
        min_amount=None,
        location_ids=(),
        channels=(),
        networks=(),
        tier_level=None,
        weekdays=(),
        excluded_products=(),
        excluded_collections=(),
    ),
    recurrence="day",
    times=1,
    per="customer",
    most=100,
    starts_at=None,
    ends_at=None,
    links={},
    active=True,
)


@operation(
    "GET", "/v1/programs/{program}/earning-flows", scope="read", tag=TAG, answer=EarningFlows(items=[EXAMPLE])
)
async def list_earning_flows(call: Call) -> EarningFlows:
    """List the earning flows."""
    found = await call.read(flows_of, call.program.id)
    return EarningFlows(items=[_shown(each, call.program) for each in found])


@operation(
    "POST",
    "/v1/programs/{program}/earning-flows",
    scope="admin",
    tag=TAG,
    status=201,
    example=EXAMPLE_GIVEN,
    answer=EXAMPLE,
)
async def add_earning_flow(call: Call, data: EarningFlowGiven) -> EarningFlowShown:
    """Add an earning flow."""
    return await call.write(_add, call.program, data)


@operation("GET", "/v1/programs/{program}/earning-flows/{flow}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_earning_flow(call: Call) -> EarningFlowShown:
    """Get an earning flow."""
    return await call.read(_find, call.program, call.path["flow"])


@operation(
    "PUT",
    "/v1/programs/{program}/earning-flows/{flow}",
    scope="admin",
    tag=TAG,
    example=EXAMPLE_GIVEN,
    answer=EXAMPLE,
)
async def replace_earning_flow(call: Call, data: EarningFlowGiven) -> EarningFlowShown:
    """Replace an earning flow.

    What was earned by the old rules stays as it was.
    """
    return await call.write(_replace, call.program, call.path["flow"], data)


@operation(
    "DELETE",
    "/v1/programs/{program}/earning-flows/{flow}",
    scope="admin",
    tag=TAG,
    answer=Removed(id=A_FLOW),
)
async def remove_earning_flow(call: Call) -> Removed:
    """Take an earning flow away.

    Its history stays.
    """
    return await call.write(_remove, call.program, call.path["flow"])


def _add(conn: Connection, program: Program, data: EarningFlowGiven) -> EarningFlowShown:
    return _find(conn, program, _valid(lambda: add_flow(conn, program.id, _flow(data, program))))


def _replace(conn: Connection, program: Program, name: str, data: EarningFlowGiven) -> EarningFlowShown:
    flow_id = require_flow(conn, program, name).id
    _valid(lambda: change_flow(conn, program.id, flow_id, _flow(data, program)))
    return _find(conn, program, flow_id)


def _remove(conn: Connection, program: Program, name: str) -> Removed:
    flow_id = require_flow(conn, program, name).id
    archive_flow(conn, program.id, flow_id)
    return Removed(id=flow_id)


def _find(conn: Connection, program: Program, name: str) -> EarningFlowShown:
    return _shown(require_flow(conn, program, name), program)


def require_flow(conn: Connection, program: Program, name: str) -> EarningFlow:
    """The flow of this id or type. Raises: Problem."""
    try:
        return find_flow(conn, program.id, name)
    except NoSuchFlow:
        raise Problem("not-found", "There is no such earning flow, or several of that type.") from None


def _valid(do: Any) -> Any:
    try:
        return do()
    except InvalidFlow as error:
        faults = [fault_of(problem) for problem in error.problems]
        raise Problem("invalid", " ".join(fault.detail for fault in faults), *faults) from None


def fault_of(problem: str) -> Fault:
    """ "per_money: only …" says where before it says what; the first place of several is pointed at."""
    where, _, what = problem.partition(": ")
    first, *rest = where.partition(",")[0].split("_")
    return Fault(pointer="/" + first + "".join(word.capitalize() for word in rest), detail=what)


def _flow(data: EarningFlowGiven, program: Program) -> NewEarningFlow:
    require_moment(data.starts_at, "/startsAt")
    require_moment(data.ends_at, "/endsAt")
    given = msgspec.structs.asdict(data)
    given["points"] = minor_units(data.points, program.settings.scale, "/points")
    given["conditions"] = Conditions(**msgspec.structs.asdict(data.conditions))
    return NewEarningFlow(**given)


def _shown(flow: EarningFlow, program: Program) -> EarningFlowShown:
    kept = msgspec.structs.asdict(flow)
    del kept["archived_at"]
    kept["points"] = shown(flow.points, program.settings.scale)
    kept["conditions"] = ConditionsShown(**msgspec.structs.asdict(flow.conditions))
    return EarningFlowShown(**kept)


ROUTES = (
    list_earning_flows,
    add_earning_flow,
    get_earning_flow,
    replace_earning_flow,
    remove_earning_flow,
)
