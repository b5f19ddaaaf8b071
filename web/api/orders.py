"""Orders: what was paid earns, what is refunded is taken back."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.balances import ledger_problems
from web.api.call import Call
from web.api.customers import require_customer
from web.api.earning_flows import A_FLOW, Names
from web.api.locations import require_location
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_MOMENT, Id, Input, Output, PointsShown, require_moment, shown
from web.api.traces import CheckShown, checks_of
from web.loyalty.earning_rules import Channel, Line, Trace
from web.loyalty.purchase import NoSuchOrder, Outcome, order_cancelled, order_paid, order_refunded
from web.loyalty.purchase_record import Paid, Refund

TAG = "Orders"
SOURCE = "api"

# Ids in addresses are as strict as headers: what is sent in a path comes back in one.
OrderId = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:-]+$")]
LineId = Annotated[str, Meta(min_length=1, max_length=80)]
LocationName = Annotated[str, Meta(min_length=1, max_length=120, description="A location's id or slug.")]
# 10 million in a currency with hundredths: a line beyond it is a mistake.
Money = Annotated[int, Meta(ge=0, le=10**9, description="Minor units of the currency.")]


class LineGiven(Input):
    """One line: what was paid for it after discounts. Gift cards earn nothing."""

    id: LineId
    amount: Money
    product_id: Annotated[str, Meta(max_length=120)] | None = None
    collections: Names = ()
    gift_card: bool = False


class OrderGiven(Input):
    """An order that was paid. Name the customer by `email` or by `customerId`: ours, or theirs in your own system.

    Give `lines`, or `amount` alone for an order of one. `buyer…` and `orderNumber` (1 is this buyer's first order in
    your shop) help to judge a friend's first purchase, and are not kept.
    """

    id: OrderId
    paid_at: Annotated[datetime, Meta(tz=True)]
    email: Annotated[str, Meta(max_length=254)] | None = None
    customer_id: Annotated[str, Meta(max_length=254)] | None = None
    amount: Money | None = None
    lines: Annotated[tuple[LineGiven, ...], Meta(max_length=500)] = ()
    location_id: LocationName | None = None
    channel: Channel | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    order_number: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    buyer_email: Annotated[str, Meta(max_length=254)] | None = None
    buyer_name: Annotated[str, Meta(max_length=160)] | None = None


class RefundGiven(Input):
    """A refund: minor units by line, or without `lines` all that is left of the order."""

    id: OrderId
    lines: Annotated[dict[LineId, Money], Meta(max_length=500)] = msgspec.field(default_factory=dict)


class FlowVerdict(Output):
    """What one earning flow gave, and each condition that it looked at."""

    flow_id: Id
    points: PointsShown
    checks: list[CheckShown]


class OrderOutcome(Output):
    """What an order earned, or what a refund took back. `flows` say why, also where nothing came of it."""

    id: str
    points: PointsShown
    transaction_id: Id | None
    flows: list[FlowVerdict]


EXAMPLE = OrderOutcome(
    id="1001",
    points=20,
    transaction_id=A_FLOW,
    flows=[
        FlowVerdict(
            flow_id=A_FLOW,
            points=20,
            checks=[CheckShown(rule="eligible", passed=True, needed=None, found=2000)],
        )
    ],
)
TAKEN_BACK = OrderOutcome(id="1001", points=5, transaction_id=A_FLOW, flows=[])


@operation(
    "POST",
    "/v1/programs/{program}/orders",
    scope="write",
    tag=TAG,
    status=201,
    example=OrderGiven(
        id="1001",
        email="ana@example.com",
        paid_at=A_MOMENT,
        lines=(LineGiven(id="1", amount=1500, product_id="beans-250"), LineGiven(id="2", amount=500)),
        channel="online",
    ),
    answer=EXAMPLE,
    failures=("conflict",),
)
async def record_paid_order(call: Call, data: OrderGiven) -> OrderOutcome:
    """Record an order that was paid.

    Every purchase flow judges it, and a friend's first purchase may complete a referral. The same order again gives the
    same answer and nothing more; another one of the same `id` is refused with 409.
    """
    return await call.write(_pay, call, data)


@operation(
    "POST",
    "/v1/programs/{program}/orders/{order}/refunds",
    scope="write",
    tag=TAG,
    status=201,
    example=RefundGiven(id="r-1", lines={"2": 500}),
    answer=TAKEN_BACK,
    failures=("conflict",),
)
async def refund_order(call: Call, data: RefundGiven) -> OrderOutcome:
    """Refund an order, in part or in full.

    What the money earned is taken back, rounded on all refunds of the order together: never more than it earned.
    """
    return await call.write(_refund, call, data)


@operation(
    "POST",
    "/v1/programs/{program}/orders/{order}/cancel",
    scope="write",
    tag=TAG,
    answer=TAKEN_BACK,
    failures=("conflict",),
)
async def cancel_order(call: Call) -> OrderOutcome:
    """Cancel an order.

    All that is left of what it earned is taken back. Again, it does nothing more.
    """
    return await call.write(_cancel, call)


def _pay(conn: Connection, call: Call, data: OrderGiven) -> OrderOutcome:
    named = data.email or data.customer_id
    if named is None:
        raise invalid("/email", "Name the customer by `email` or `customerId`.")
    require_moment(data.paid_at, "/paidAt")
    customer_id = require_customer(conn, call, named)
    named_shop = data.location_id
    shop = require_location(conn, call.program.id, named_shop, "/locationId") if named_shop else None
    order = Paid(
        source=SOURCE,
        id=data.id,
        paid_at=data.paid_at,
        lines=_lines(data),
        location_id=shop.id if shop else None,
        channel=data.channel,
        reason=data.reason,
        number=data.order_number,
        email=data.buyer_email,
        name=data.buyer_name,
    )
    with ledger_problems(call.program.settings.scale, "/lines"):
        done = order_paid(conn, call.program, customer_id, order)
    return _shown(data.id, done, call)


def _refund(conn: Connection, call: Call, data: RefundGiven) -> OrderOutcome:
    order_id = call.path["order"]
    try:
        with ledger_problems(call.program.settings.scale, "/lines"):
            refund = Refund(id=data.id, lines=data.lines)
            return _shown(order_id, order_refunded(conn, call.program, SOURCE, order_id, refund), call)
    except NoSuchOrder:
        raise _unknown() from None
    except ValueError:
        raise invalid("/lines", "The order has no such line.") from None


def _cancel(conn: Connection, call: Call) -> OrderOutcome:
    order_id = call.path["order"]
    try:
        with ledger_problems(call.program.settings.scale, ""):
            return _shown(order_id, order_cancelled(conn, call.program, SOURCE, order_id), call)
    except NoSuchOrder:
        raise _unknown() from None


def _lines(data: OrderGiven) -> tuple[Line, ...]:
    if bool(data.lines) == (data.amount is not None):
        raise invalid("/lines", "Give `lines`, or `amount` alone.")
    if data.amount is not None:
        return (Line(id="1", amount=data.amount),)
    ids = [line.id for line in data.lines]
    if len(set(ids)) < len(ids):
        raise invalid("/lines", "Each line needs an id of its own.")
    return tuple(Line(**msgspec.structs.asdict(line)) for line in data.lines)


def _unknown() -> Problem:
    return Problem("not-found", "No order of this id was recorded here.")


def _shown(order_id: str, done: Outcome, call: Call) -> OrderOutcome:
    scale = call.program.settings.scale
    return OrderOutcome(
        id=order_id,
        points=shown(done.points, scale),
        transaction_id=done.entry_id,
        flows=[_verdict(trace, scale) for trace in done.traces],
    )


def _verdict(trace: Trace, scale: int) -> FlowVerdict:
    return FlowVerdict(flow_id=trace.flow_id, points=shown(trace.points, scale), checks=checks_of(trace))


ROUTES = (record_paid_order, refund_order, cancel_order)
