"""Redemptions: a reward redeemed at once or in two steps, its code looked up, used, and given back."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.balances import ledger_problems
from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at, place_of
from web.api.problems import Fault, Problem, invalid, invalid_parameter
from web.api.rewards import A_REWARD, require_reward
from web.api.shapes import A_CUSTOMER, A_LOCATION, A_MOMENT, Id, Input, Output, PointsShown, shown
from web.foundation.schema import is_id, new_id
from web.loyalty.assigning import CannotAssign, CouponNotGood
from web.loyalty.booking import Order
from web.loyalty.location import shops_of
from web.loyalty.offer import CannotRedeem, CodeNotGood
from web.loyalty.program import Program
from web.loyalty.redeeming import cancel, issue, mark_used, redeem
from web.loyalty.redemption import Redemption, State, Where, find_redemption, redemptions_of
from web.loyalty.reward import find_reward

TAG = "Redemptions"
A_REDEMPTION = "0199a1b2-92a3-74b5-8f20-3b4c5d6e7f80"

Place = Annotated[str, Meta(min_length=1, max_length=40, description="The location's slug or id.")]
Who = Annotated[str, Meta(min_length=1, max_length=80, description="Who did it, in your own words.")]
OrderId = Annotated[str, Meta(min_length=1, max_length=160, description="The order in your own system.")]
Customer = Annotated[
    str, Meta(min_length=1, max_length=254, description="E-mail address, our id, or theirs in your system.")
]


class NewRedemption(Input):
    """What to redeem. With `hold` the points are set aside for ten minutes, until it is issued or cancelled."""

    reward_id: Id
    channel: Where = "online"
    hold: bool = False
    location: Place | None = None
    staff: Who | None = None


class RedeemBy(Input):
    """For whom; a customer's own token needs no name."""

    customer_email: Customer | None = None
    channel: Where = "online"
    hold: bool = False
    location: Place | None = None
    staff: Who | None = None


class Use(Input):
    """Where and for what a code was used. `orderId` lets the order come back, and the reward with it.

    `customer` is needed for a code that all holders of a coupon share.
    """

    order_id: OrderId | None = None
    location: Place | None = None
    staff: Who | None = None
    device: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    customer: Customer | None = None


class Cancellation(Input):
    reason: Annotated[str, Meta(min_length=1, max_length=120, description="The customer reads it.")] = (
        "Given back"
    )


class RedemptionShown(Output):
    """A redemption. `code` is null until it is issued, `expiresAt` where the code is good until it is used."""

    id: Id
    customer_id: Id
    reward_id: Id
    reward_title: str
    state: State
    channel: Where
    cost: PointsShown
    code: str | None
    discount_type: str
    value: int | None
    transaction_id: Id | None
    created_at: datetime
    reserved_until: datetime | None
    expires_at: datetime | None
    used_at: datetime | None
    ended_at: datetime | None
    location_id: Id | None
    order_id: str | None


class RedemptionsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which redemptions."""

    state: State | None = None


EXAMPLE = RedemptionShown(
    id=A_REDEMPTION,
    customer_id=A_CUSTOMER,
    reward_id=A_REWARD,
    reward_title="Free coffee",
    state="issued",
    channel="in_store",
    cost=100,
    code="7K3M9QXA2",
    discount_type="free_product",
    value=None,
    transaction_id=A_LOCATION,
    created_at=A_MOMENT,
    reserved_until=None,
    expires_at=A_MOMENT,
    used_at=None,
    ended_at=None,
    location_id=None,
    order_id=None,
)
_REFUSED = ("conflict", "refused", "not-enough")


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/redemptions",
    scope="write",
    tag=TAG,
    status=201,
    example=NewRedemption(reward_id=A_REWARD, channel="in_store", location="malasana"),
    answer=EXAMPLE,
    failures=_REFUSED,
    customers=True,
)
async def redeem_for_customer(call: Call, data: NewRedemption) -> RedemptionShown:
    """Redeem a reward for a customer.

    Points, stock, limit and code in one transaction: all of it, or nothing. For a till or a checkout that may fail,
    redeem with `hold`, then issue or cancel; what is neither within ten minutes is given back by itself.
    """
    return await call.write(_redeem, call, call.path["customer"], data)


@operation(
    "POST",
    "/v1/programs/{program}/rewards/{reward}/redeem",
    scope="write",
    tag=TAG,
    status=201,
    example=RedeemBy(customer_email="ana@example.com", channel="online"),
    answer=EXAMPLE,
    failures=_REFUSED,
    customers=True,
)
async def redeem_reward(call: Call, data: RedeemBy) -> RedemptionShown:
    """Redeem a reward.

    The same, named by the reward.
    """
    named = data.customer_email or call.customer_id
    if named is None:
        raise invalid("/customerEmail", "Say for whom; only a customer's own token needs no name.")
    wanted = NewRedemption(
        reward_id=call.path["reward"],
        channel=data.channel,
        hold=data.hold,
        location=data.location,
        staff=data.staff,
    )
    return await call.write(_redeem, call, named, wanted)


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/redemptions",
    scope="read",
    tag=TAG,
    answer=Page[RedemptionShown](items=[EXAMPLE], next_cursor=None),
    customers=True,
)
async def list_redemptions(call: Call, query: RedemptionsQuery) -> Page[RedemptionShown]:
    """List a customer's redemptions.

    The newest first.
    """
    return await call.read(_list, call, call.path["customer"], query)


@operation(
    "GET",
    "/v1/programs/{program}/redemptions/{redemption}",
    scope="read",
    tag=TAG,
    answer=EXAMPLE,
    customers=True,
)
async def get_redemption(call: Call) -> RedemptionShown:
    """Get a redemption."""
    return await call.read(
        lambda conn: show_redemption(conn, call.program, _require(conn, call, call.path["redemption"]))
    )


@operation(
    "POST",
    "/v1/programs/{program}/redemptions/{redemption}/issue",
    scope="write",
    tag=TAG,
    answer=EXAMPLE,
    failures=_REFUSED,
)
async def issue_redemption(call: Call) -> RedemptionShown:
    """Issue a held redemption.

    The second step: the points are spent, and the code is good. Done twice it is done once.
    """
    return await _step(call, lambda conn, its: issue(conn, call.program, its, actor=call.actor))


@operation(
    "POST",
    "/v1/programs/{program}/redemptions/{redemption}/cancel",
    scope="write",
    tag=TAG,
    example=Cancellation(reason="Order 1001 was returned"),
    answer=EXAMPLE,
    failures=_REFUSED,
)
async def cancel_redemption(call: Call, data: Cancellation) -> RedemptionShown:
    """Cancel a redemption.

    Whether it was held, issued or used: the points go back to where they came from, and run out when they would have.
    Done twice it is done once.
    """
    order = Order(key=None, reason=data.reason, source="api", actor=call.actor)
    return await _step(call, lambda conn, its: cancel(conn, call.program, its, order))


@operation(
    "POST",
    "/v1/programs/{program}/redemptions/{redemption}/use",
    scope="write",
    tag=TAG,
    example=Use(order_id="1001", location="malasana", staff="Ana"),
    answer=EXAMPLE,
    failures=_REFUSED,
)
async def use_redemption(call: Call, data: Use) -> RedemptionShown:
    """Use a redemption.

    The reward was handed over. The same order may say so again; anything else is refused.
    """
    return await _step(call, lambda conn, its: use_of(conn, call, its, data))


@contextmanager
def refusals_shown(call: Call) -> Iterator[None]:
    """What rewards, coupons and the ledger refuse, as problems."""
    try:
        with ledger_problems(call.program.settings.scale, "/rewardId"):
            yield
    except (CodeNotGood, CouponNotGood) as error:
        kind = "not-found" if error.state == "unknown" else "refused"
        raise Problem(
            kind, f"This code is {error.state}.", Fault(detail=error.advice, code=error.code)
        ) from None
    except (CannotRedeem, CannotAssign) as error:
        raise Problem("refused", error.advice, Fault(detail=error.advice, code=error.code)) from None


def use_of(conn: Connection, call: Call, which: str, data: Use) -> Redemption:
    """Raises: CodeNotGood, Problem."""
    return mark_used(
        conn,
        call.program,
        which,
        location_id=place_id(conn, call.program, data.location),
        order_ref=data.order_id,
        actor=data.staff or call.actor,
        device_id=data.device,
    )


def place_id(conn: Connection, program: Program, named: str | None) -> str | None:
    """The id of a location that is named by its slug or id. Raises: Problem."""
    if named is None:
        return None
    for shop in shops_of(conn, program.id):
        if named in (shop.slug, shop.id):
            return shop.id
    raise invalid("/location", "There is no location of that name.")


def key_of(call: Call) -> str:
    """The caller's own key, for good: also when the answer to it is kept no longer."""
    given = call.request.headers.get("idempotency-key")
    return f"api:{hashlib.sha256(given.encode()).hexdigest()}" if given else f"api:{new_id()}"


def show_redemption(conn: Connection, program: Program, its: Redemption) -> RedemptionShown:
    bought = find_reward(conn, program.id, its.reward_id)
    assert bought is not None, "rewards are put away, never deleted"
    return RedemptionShown(
        id=its.id,
        customer_id=its.customer_id,
        reward_id=its.reward_id,
        reward_title=program.settings.say(bought.title, program.settings.default_language),
        state=its.state,
        channel=its.channel,
        cost=shown(its.cost, program.settings.scale),
        code=its.code,
        discount_type=bought.kind,
        value=bought.value,
        transaction_id=its.entry_id,
        created_at=its.created_at,
        reserved_until=its.reserved_until,
        expires_at=its.expires_at,
        used_at=its.used_at,
        ended_at=its.ended_at,
        location_id=its.location_id,
        order_id=its.order_ref,
    )


def _redeem(conn: Connection, call: Call, customer: str, data: NewRedemption) -> RedemptionShown:
    customer_id = require_customer(conn, call, customer)
    wanted = require_reward(conn, call.program, data.reward_id)
    with refusals_shown(call):
        made = redeem(
            conn,
            call.program,
            customer_id,
            wanted.id,
            channel=data.channel,
            key=key_of(call),
            actor=data.staff or call.actor,
            hold=data.hold,
            location_id=place_id(conn, call.program, data.location),
        )
    return show_redemption(conn, call.program, made)


async def _step(call: Call, step: Callable[[Connection, str], Redemption]) -> RedemptionShown:
    def work(conn: Connection) -> RedemptionShown:
        its = _require(conn, call, call.path["redemption"])
        with refusals_shown(call):
            return show_redemption(conn, call.program, step(conn, its.id))

    return await call.write(work)


def _require(conn: Connection, call: Call, redemption_id: str) -> Redemption:
    found = (
        find_redemption(conn, call.program.id, redemption_id, call.customer_id)
        if is_id(redemption_id)
        else None
    )
    if found is None:
        raise Problem("not-found", "There is no such redemption in this programme.")
    return found


def _list(conn: Connection, call: Call, customer: str, query: RedemptionsQuery) -> Page[RedemptionShown]:
    before = place_before(query)
    found = redemptions_of(
        conn,
        call.program.id,
        require_customer(conn, call, customer),
        states=(query.state,) if query.state else None,
        before=before,
        most=query.limit + 1,
    )
    page = found[: query.limit]
    return Page(
        items=[show_redemption(conn, call.program, each) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
    )


def place_before(query: PageQuery) -> str | None:
    """The id that a page goes on from. Raises: Problem."""
    before = place_of(query.cursor)
    if before is not None and not is_id(before):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.")
    return before


ROUTES = (
    redeem_for_customer,
    redeem_reward,
    list_redemptions,
    get_redemption,
    issue_redemption,
    cancel_redemption,
    use_redemption,
)
