"""Tiers, and who holds one by grant."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.earning_flows import Removed, Texts, fault_of
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_CUSTOMER, Id, Input, Output, require_moment
from web.loyalty.held_tier import grant_tier
from web.loyalty.tier import (
    InvalidTier,
    NewTier,
    NoSuchTier,
    Tier,
    add_tiers,
    archive_tier,
    change_tier,
    tiers_of,
)

TAG = "Tiers"
A_TIER = "0199a1b2-b5c7-76d7-9142-5d6e7f8091a2"
LANE = "/v1/programs/{program}/tiers"

Percent = Annotated[int, Meta(ge=1, le=10000, description="Per cent of what is earned: 150 makes 3 of 2.")]


class TierGiven(Input):
    """A tier. `requiredPoints` are minor units: of points, or of the currency where the tiers count money."""

    name: Texts
    required_points: Annotated[int, Meta(ge=0, le=10**15)]
    benefits: Texts = msgspec.field(default_factory=dict)
    multiplier: Percent = 100


class TierShown(Output):
    """A tier; `level` counts up from 0. One that is not `active` is kept by its holders and reached by nobody."""

    id: Id
    name: dict[str, str]
    benefits: dict[str, str]
    level: int
    required_points: int
    multiplier: int
    active: bool


class Tiers(Output):
    items: list[TierShown]


class GrantGiven(Input):
    """At least this tier until then, or for good; null ends a grant."""

    tier_id: Id | None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class GrantShown(Output):
    """The tier that the customer holds now."""

    customer_id: Id
    tier_id: Id | None


GOLD = TierGiven(
    name={"en": "Gold"}, required_points=1000, benefits={"en": "Half as much again"}, multiplier=150
)
EXAMPLE = TierShown(
    id=A_TIER,
    name={"en": "Gold"},
    benefits={"en": "Half as much again"},
    level=2,
    required_points=1000,
    multiplier=150,
    active=True,
)


@operation("GET", LANE, scope="read", tag=TAG, answer=Tiers(items=[EXAMPLE]))
async def list_tiers(call: Call) -> Tiers:
    """List the tiers.

    The lowest first, with those that were put away.
    """
    return Tiers(items=[_shown(each) for each in await call.read(tiers_of, call.program.id)])


@operation(
    "POST", LANE, scope="admin", tag=TAG, status=201, example=GOLD, answer=EXAMPLE, failures=("conflict",)
)
async def add_tier(call: Call, data: TierGiven) -> TierShown:
    """Add a tier.

    Who has gathered enough already gets there within minutes.
    """
    return await call.write(_add, call.program.id, data)


@operation(
    "PUT", LANE + "/{tier}", scope="admin", tag=TAG, example=GOLD, answer=EXAMPLE, failures=("conflict",)
)
async def replace_tier(call: Call, data: TierGiven) -> TierShown:
    """Replace a tier's values.

    Nobody loses it by that before their cycle ends.
    """
    return await call.write(_replace, call.program.id, call.path["tier"], data)


@operation("DELETE", LANE + "/{tier}", scope="admin", tag=TAG, answer=Removed(id=A_TIER))
async def put_tier_away(call: Call) -> Removed:
    """Put a tier away.

    Its holders keep it until their cycle ends, and nobody reaches it.
    """
    return await call.write(_archive, call.program.id, call.path["tier"])


@operation(
    "PUT",
    "/v1/programs/{program}/customers/{customer}/tier-grant",
    scope="write",
    tag=TAG,
    example=GrantGiven(tier_id=A_TIER),
    answer=GrantShown(customer_id=A_CUSTOMER, tier_id=A_TIER),
)
async def grant_customer_tier(call: Call, data: GrantGiven) -> GrantShown:
    """Grant a customer a tier."""
    return await call.write(_grant, call, data)


def _add(conn: Connection, program_id: str, data: TierGiven) -> TierShown:
    try:
        [tier_id] = add_tiers(conn, program_id, [NewTier(**msgspec.structs.asdict(data))])
    except InvalidTier as error:
        raise _invalid(str(error)) from None
    return _find(conn, program_id, tier_id)


def _replace(conn: Connection, program_id: str, tier_id: str, data: TierGiven) -> TierShown:
    found = _find(conn, program_id, tier_id)
    try:
        change_tier(conn, program_id, found.id, NewTier(**msgspec.structs.asdict(data)))
    except InvalidTier as error:
        raise _invalid(str(error)) from None
    return _find(conn, program_id, found.id)


def _archive(conn: Connection, program_id: str, tier_id: str) -> Removed:
    found = _find(conn, program_id, tier_id)
    try:
        archive_tier(conn, program_id, found.id)
    except NoSuchTier:
        raise _unknown() from None
    return Removed(id=found.id)


def _grant(conn: Connection, call: Call, data: GrantGiven) -> GrantShown:
    customer_id = require_customer(conn, call, call.path["customer"])
    require_moment(data.until, "/until")
    try:
        now = grant_tier(conn, call.program, customer_id, data.tier_id, data.until)
    except ValueError:
        raise invalid("/tierId", "The programme has no such tier.") from None
    return GrantShown(customer_id=customer_id, tier_id=now)


def _find(conn: Connection, program_id: str, tier_id: str) -> TierShown:
    for each in tiers_of(conn, program_id):
        if each.id == tier_id:
            return _shown(each)
    raise _unknown()


def _unknown() -> Problem:
    return Problem("not-found", "There is no such tier.")


def _invalid(problem: str) -> Problem:
    fault = fault_of(problem)
    return Problem("invalid", fault.detail, fault)


def _shown(each: Tier) -> TierShown:
    return TierShown(**msgspec.structs.asdict(each))


ROUTES = (
    list_tiers,
    add_tier,
    replace_tier,
    put_tier_away,
    grant_customer_tier,
)
