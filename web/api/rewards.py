"""Rewards: what points buy, as a merchant writes it, and as one customer can have it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.problems import Fault, Problem, invalid
from web.api.shapes import (
    A_MOMENT,
    Id,
    Input,
    Output,
    PointsGiven,
    PointsShown,
    minor_units,
    shown,
)
from web.foundation.schema import is_id, utc_now
from web.loyalty.balance import find_balance
from web.loyalty.code_pool import BadLine, Loaded, codes_left, load_codes
from web.loyalty.coupon import InvalidCoupon
from web.loyalty.offer import Offer, State, level_of, offers_for
from web.loyalty.period import Period
from web.loyalty.program import Program
from web.loyalty.redemption import counts_for
from web.loyalty.reward import (
    Channel,
    CodeSource,
    InvalidReward,
    NewReward,
    Reward,
    RewardKind,
    add_rewards,
    change_reward,
    find_reward,
    retire_reward,
    rewards_of,
)

TAG = "Rewards"
A_REWARD = "0199a1b2-8192-73a4-8e1f-2a3b4c5d6e7f"
MOST_COUNTED = 1_000_000_000

Text = Annotated[
    dict[Annotated[str, Meta(max_length=16)], Annotated[str, Meta(max_length=500)]],
    Meta(min_length=1, max_length=12, description="By language, like `en`."),
]
Value = Annotated[
    int, Meta(ge=0, le=10**12, description="Minor units of the currency; per cent for `percent`.")
]
Counted = Annotated[int, Meta(ge=0, le=MOST_COUNTED)]
Moment = Annotated[datetime, Meta(tz=True)]
Minutes = Annotated[int, Meta(ge=1, le=525_600, description="How long a code is good; null for ever.")]


class RewardChange(Input):
    """What is named is changed; null takes a limit away."""

    title: Text | UnsetType = UNSET
    cost: PointsGiven | UnsetType = UNSET
    description: dict[str, Annotated[str, Meta(max_length=500)]] | UnsetType = UNSET
    kind: RewardKind | UnsetType = UNSET
    value: Value | UnsetType | None = UNSET
    stock: Counted | UnsetType | None = UNSET
    limit_count: Annotated[int, Meta(ge=1, le=MOST_COUNTED)] | UnsetType | None = UNSET
    limit_period: Period | UnsetType = UNSET
    visible_from: PointsGiven | UnsetType | None = UNSET
    visible_to: PointsGiven | UnsetType | None = UNSET
    redeemable_from: PointsGiven | UnsetType | None = UNSET
    redeemable_to: PointsGiven | UnsetType | None = UNSET
    starts_at: Moment | UnsetType | None = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    tier_level: Annotated[int, Meta(ge=0, le=100)] | UnsetType | None = UNSET
    channel: Channel | UnsetType = UNSET
    code_source: CodeSource | UnsetType = UNSET
    code_minutes: Minutes | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class RewardGiven(RewardChange):
    """A reward: its title and cost, and whatever else limits it."""

    title: Text
    cost: PointsGiven


class RewardShown(Output):
    """A reward. `codesLeft` counts the pool, null where codes are made by us."""

    id: Id
    title: dict[str, str]
    description: dict[str, str]
    cost: PointsShown
    kind: RewardKind
    value: int | None
    stock: int | None
    limit_count: int | None
    limit_period: Period
    visible_from: PointsShown | None
    visible_to: PointsShown | None
    redeemable_from: PointsShown | None
    redeemable_to: PointsShown | None
    starts_at: datetime | None
    ends_at: datetime | None
    tier_level: int | None
    channel: Channel
    code_source: CodeSource
    code_minutes: int | None
    active: bool
    codes_left: int | None


class Rewards(Output):
    items: list[RewardShown]


class OfferShown(Output):
    """A reward as one customer can have it, or why not yet: `state` says it, `missing` how many points are.

    `leftForYou`: how often they may still have it in this period. `until`: when it ends, begins or can be had again.
    """

    reward: RewardShown
    state: State
    missing: PointsShown
    percent: int
    left_for_you: int | None
    until: datetime | None


class Offers(Output):
    items: list[OfferShown]


class CodesLoaded(Output):
    """What came of a file: codes added, lines left out, and the first hundred of those."""

    added: int
    left_out: int
    codes_left: int
    problems: list[BadLine]


EXAMPLE = RewardShown(
    id=A_REWARD,
    title={"en": "Free coffee"},
    description={},
    cost=100,
    kind="free_product",
    value=None,
    stock=None,
    limit_count=2,
    limit_period="day",
    visible_from=None,
    visible_to=None,
    redeemable_from=None,
    redeemable_to=None,
    starts_at=None,
    ends_at=None,
    tier_level=None,
    channel="in_store",
    code_source="generated",
    code_minutes=15,
    active=True,
    codes_left=None,
)
EXAMPLE_OFFER = OfferShown(reward=EXAMPLE, state="short", missing=30, percent=70, left_for_you=2, until=None)
EXAMPLE_LOADED = CodesLoaded(added=2, left_out=1, codes_left=2, problems=[BadLine(3, "repeated")])
EXAMPLE_FILE = "code\nBEANS-7F3K\nBEANS-9QXA\nBEANS-7F3K\n"

_POINTS = ("cost", "visible_from", "visible_to", "redeemable_from", "redeemable_to")


@operation("GET", "/v1/programs/{program}/rewards", scope="read", tag=TAG, answer=Rewards(items=[EXAMPLE]))
async def list_rewards(call: Call) -> Rewards:
    """List the rewards.

    The cheapest first; those that are retired, too.
    """
    return await call.read(_list, call.program)


@operation(
    "POST",
    "/v1/programs/{program}/rewards",
    scope="admin",
    tag=TAG,
    status=201,
    example=RewardGiven(
        title={"en": "Free coffee", "es": "Café gratis"},
        cost=100,
        kind="free_product",
        limit_count=2,
        limit_period="day",
        channel="in_store",
        code_minutes=15,
    ),
    answer=EXAMPLE,
)
async def add_reward(call: Call, data: RewardGiven) -> RewardShown:
    """Offer a reward."""
    return await call.write(_add, call.program, data)


@operation("GET", "/v1/programs/{program}/rewards/{reward}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_reward(call: Call) -> RewardShown:
    """Get a reward."""
    return await call.read(_read, call.program, call.path["reward"])


@operation(
    "PATCH",
    "/v1/programs/{program}/rewards/{reward}",
    scope="admin",
    tag=TAG,
    example=RewardChange(stock=50, ends_at=A_MOMENT),
    answer=EXAMPLE,
)
async def change_offered_reward(call: Call, data: RewardChange) -> RewardShown:
    """Change a reward.

    It holds for the next one who redeems it; what was redeemed stays as it was.
    """
    return await call.write(_change, call.program, call.path["reward"], data)


@operation("DELETE", "/v1/programs/{program}/rewards/{reward}", scope="admin", tag=TAG, answer=EXAMPLE)
async def retire_offered_reward(call: Call) -> RewardShown:
    """Retire a reward.

    Nobody can redeem it any more; codes that were issued stay good.
    """
    return await call.write(_retire, call.program, call.path["reward"])


@operation(
    "POST",
    "/v1/programs/{program}/rewards/{reward}/codes",
    scope="admin",
    tag=TAG,
    csv=True,
    example=EXAMPLE_FILE,
    answer=EXAMPLE_LOADED,
)
async def load_reward_codes(call: Call) -> CodesLoaded:
    """Load codes for a reward.

    One code on each line, or a CSV's first column. What is good is taken, what is not is named by its line; a file
    may be loaded again.
    """
    return await call.write(_load, call.program, call.path["reward"], lines_of(call.body))


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/rewards",
    scope="read",
    tag=TAG,
    answer=Offers(items=[EXAMPLE_OFFER]),
    customers=True,
)
async def list_offers(call: Call) -> Offers:
    """List what a customer can have.

    What can be had comes first, then what is next, with what is missing; then what is not for them, and why.
    """
    return await call.read(_offers, call, call.path["customer"])


def lines_of(body: bytes) -> list[str]:
    """The lines of an uploaded file. Raises: Problem."""
    try:
        return body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Problem("bad-request", "The file is not in UTF-8.") from None


def show_loaded(loaded: Loaded, left: int) -> CodesLoaded:
    return CodesLoaded(
        added=loaded.added, left_out=loaded.left_out, codes_left=left, problems=loaded.problems
    )


@contextmanager
def faults_shown() -> Iterator[None]:
    """What a reward or a coupon says of its own faults, as a problem with a pointer to each."""
    try:
        yield
    except (InvalidReward, InvalidCoupon) as error:
        faults = [each.partition(": ") for each in error.problems]
        raise Problem(
            "invalid",
            error.problems[0],
            *(Fault(pointer=f"/{camel(name)}", detail=detail) for name, _, detail in faults),
        ) from None


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def fields_given(data: Input, program: Program) -> dict[str, Any]:
    """What a body names, as a reward or a coupon keeps it: points in minor units. Raises: Problem."""
    given: dict[str, Any] = {}
    for name in data.__struct_fields__:
        value = getattr(data, name)
        if value is UNSET:
            continue
        if name in _POINTS and value is not None:
            value = minor_units(value, program.settings.scale, f"/{camel(name)}")
            if value < 0:
                raise invalid(f"/{camel(name)}", "Points are not negative here.")
        if isinstance(value, datetime) and not 1970 < value.year < 9000:
            raise invalid(f"/{camel(name)}", "No calendar of ours reaches that far.")
        if isinstance(value, dict) and (strange := sorted(value.keys() - set(program.settings.languages))):
            raise invalid(
                f"/{camel(name)}",
                f"{strange[0]!a}: the programme speaks {', '.join(program.settings.languages)}.",
            )
        given[name] = value
    return given


def require_reward(conn: Connection, program: Program, reward_id: str, *, lock: bool = False) -> Reward:
    """Raises: Problem."""
    found = find_reward(conn, program.id, reward_id, lock=lock) if is_id(reward_id) else None
    if found is None:
        raise Problem("not-found", "There is no such reward in this programme.")
    return found


def _list(conn: Connection, program: Program) -> Rewards:
    return Rewards(items=[_shown(conn, program, each) for each in rewards_of(conn, program.id)])


def _add(conn: Connection, program: Program, data: RewardGiven) -> RewardShown:
    with faults_shown():
        [made] = add_rewards(conn, program.id, [NewReward(**fields_given(data, program))])
    return _read(conn, program, made)


def _read(conn: Connection, program: Program, reward_id: str) -> RewardShown:
    return _shown(conn, program, require_reward(conn, program, reward_id))


def _change(conn: Connection, program: Program, reward_id: str, data: RewardChange) -> RewardShown:
    # Locked: whoever redeems it meanwhile counts down the stock that is written back here.
    was = require_reward(conn, program, reward_id, lock=True)
    with faults_shown():
        change_reward(conn, program.id, msgspec.structs.replace(was, **fields_given(data, program)))
    return _read(conn, program, reward_id)


def _retire(conn: Connection, program: Program, reward_id: str) -> RewardShown:
    retire_reward(conn, program.id, require_reward(conn, program, reward_id).id)
    return _read(conn, program, reward_id)


def _load(conn: Connection, program: Program, reward_id: str, lines: list[str]) -> CodesLoaded:
    its = require_reward(conn, program, reward_id)
    if its.code_source != "pool":
        raise Problem("conflict", "This reward makes its codes itself; set its codeSource to pool first.")
    loaded = load_codes(conn, program.id, its.id, lines)
    return show_loaded(loaded, codes_left(conn, program.id, its.id))


def _offers(conn: Connection, call: Call, customer: str) -> Offers:
    # Read anew, not from memory: a system that has just changed a reward asks for what it wrote.
    program = msgspec.structs.replace(call.program, rewards=tuple(rewards_of(conn, call.program.id)))
    now = utc_now()
    customer_id = require_customer(conn, call, customer)
    held = find_balance(conn, program.id, customer_id)
    available = held.available if held else 0
    level = level_of(program, held.tier_id if held else None, held.tier_points if held else 0)
    used = counts_for(conn, program, customer_id, now)
    return Offers(
        items=[_show_offer(conn, program, each) for each in offers_for(program, available, level, used, now)]
    )


def _show_offer(conn: Connection, program: Program, offer: Offer) -> OfferShown:
    return OfferShown(
        reward=_shown(conn, program, offer.reward),
        state=offer.state,
        missing=shown(offer.missing, program.settings.scale),
        percent=offer.percent,
        left_for_you=offer.left_for_you,
        until=offer.until,
    )


def _shown(conn: Connection, program: Program, its: Reward) -> RewardShown:
    fields = msgspec.structs.asdict(its)
    for name in _POINTS:
        fields[name] = None if fields[name] is None else shown(fields[name], program.settings.scale)
    left = codes_left(conn, program.id, its.id) if its.code_source == "pool" else None
    return RewardShown(**fields, codes_left=left)


ROUTES = (
    list_rewards,
    add_reward,
    get_reward,
    change_offered_reward,
    retire_offered_reward,
    load_reward_codes,
    list_offers,
)
