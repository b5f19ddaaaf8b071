"""Visits: a card shown at a till, and a customer who checks in at a location."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.balances import ledger_problems
from web.api.call import Call
from web.api.customers import require_customer
from web.api.locations import require_location
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_CUSTOMER, A_LOCATION, A_MOMENT, Id, Input, Output, PointsShown, shown
from web.api.traces import CheckShown, checks_of
from web.foundation.schema import new_id
from web.loyalty.check_in import check_in_at
from web.loyalty.held_tier import tier_named
from web.loyalty.program import Program
from web.loyalty.scan import Method, ReplacedCard, Scanned, UnknownCard, scan_card

TAG = "Visits"
A_SCAN = "0199a1b2-c6d8-77e8-8253-6e7f8091a2b3"

LocationName = Annotated[str, Meta(min_length=1, max_length=120, description="A location's id or slug.")]
Device = Annotated[str, Meta(min_length=1, max_length=80, description="The reader, in your own words.")]


class ScanGiven(Input):
    """A card that was shown: the number in its barcode, or under it."""

    card_number: Annotated[str, Meta(min_length=1, max_length=80)]
    location_id: LocationName | None = None
    method: Method = "qr"
    device_id: Device | None = None


class Redeemable(Output):
    """A reward that the customer can have now, by its title in their programme's first language."""

    id: Id
    title: str
    cost: PointsShown
    kind: str
    channel: str


class CouponHeld(Output):
    """A coupon that is good now."""

    id: Id
    title: str
    code: str
    kind: str
    expires_at: datetime | None


class ScanShown(Output):
    """Whose card it is and what they can have. Scanned again within a minute at one location, it is the same scan."""

    id: Id
    scanned_at: datetime
    repeated: bool
    customer_id: Id
    external_customer_id: str | None
    name: str | None
    balance: PointsShown
    pending: PointsShown
    tier: str | None
    redeemables: list[Redeemable]
    coupons: list[CouponHeld]


class CheckInGiven(Input):
    """Who is where. With a key name the customer by `email` or `customerId`: ours, or theirs in your own system."""

    location_id: LocationName
    email: Annotated[str, Meta(max_length=254)] | None = None
    customer_id: Annotated[str, Meta(max_length=254)] | None = None


class CheckInVerdict(Output):
    """What one earning flow gave for it, and each condition that it looked at."""

    flow_id: Id
    points: PointsShown
    remaining: int | None
    checks: list[CheckShown]


class CheckInShown(Output):
    """A check-in counts as a visit also where it earns nothing; `flows` say why."""

    location_id: Id
    location_name: str
    points_awarded: PointsShown
    first_visit: bool
    flows: list[CheckInVerdict]


EXAMPLE_SCAN = ScanShown(
    id=A_SCAN,
    scanned_at=A_MOMENT,
    repeated=False,
    customer_id=A_CUSTOMER,
    external_customer_id="crm-4711",
    name="Ana López",
    balance=120,
    pending=0,
    tier="Gold",
    redeemables=[Redeemable(id=A_LOCATION, title="Free coffee", cost=100, kind="custom", channel="in_store")],
    coupons=[CouponHeld(id=A_SCAN, title="Two for one", code="7K3M9QXA", kind="custom", expires_at=None)],
)
EXAMPLE_CHECK_IN = CheckInShown(
    location_id=A_LOCATION,
    location_name="Malasaña",
    points_awarded=10,
    first_visit=True,
    flows=[
        CheckInVerdict(
            flow_id=A_SCAN,
            points=10,
            remaining=0,
            checks=[CheckShown(rule="period", passed=True, needed=1, found=0)],
        )
    ],
)


@operation(
    "POST",
    "/v1/programs/{program}/scans",
    scope="write",
    tag=TAG,
    status=201,
    example=ScanGiven(card_number="4T21 7730 9816", location_id="malasana"),
    answer=EXAMPLE_SCAN,
)
async def scan(call: Call, data: ScanGiven) -> ScanShown:
    """Scan a card at a till.

    Tells whose card it is, and what they can have now. What a scan may earn follows a moment later.
    """
    return await call.write(_scan, call, data)


@operation(
    "POST",
    "/v1/programs/{program}/check-ins",
    scope="write",
    tag=TAG,
    status=201,
    example=CheckInGiven(location_id="malasana", email="ana@example.com"),
    answer=EXAMPLE_CHECK_IN,
    failures=("conflict",),
)
async def check_in(call: Call, data: CheckInGiven) -> CheckInShown:
    """Check a customer in at a location."""
    return await call.write(_check_in, call, data)


def _scan(conn: Connection, call: Call, data: ScanGiven) -> ScanShown:
    try:
        found = scan_card(
            conn,
            call.program,
            data.card_number,
            location_id=_location(conn, call, data.location_id),
            method=data.method,
            device_id=data.device_id,
        )
    except ReplacedCard:
        raise Problem(
            "conflict", "This card was on a lost phone and is replaced: its owner shows the new one."
        ) from None
    except UnknownCard:
        raise Problem("not-found", "No customer of this programme has a card of this number.") from None
    return _shown(found, call.program)


def _check_in(conn: Connection, call: Call, data: CheckInGiven) -> CheckInShown:
    named = data.email or data.customer_id
    if named is None:
        raise invalid("/email", "Name the customer by `email` or `customerId`.")
    customer_id = require_customer(conn, call, named)
    shop = require_location(conn, call.program.id, data.location_id, "/locationId")
    scale = call.program.settings.scale
    with ledger_problems(scale, ""):
        done = check_in_at(conn, call.program, customer_id, shop.id, key=f"api:{new_id()}", source="api")
    return CheckInShown(
        location_id=shop.id,
        location_name=done.location_name,
        points_awarded=shown(done.points, scale),
        first_visit=done.is_first_visit,
        flows=[
            CheckInVerdict(
                flow_id=each.flow_id,
                points=shown(each.points, scale),
                remaining=each.remaining,
                checks=checks_of(each.trace),
            )
            for each in done.executions
        ],
    )


def _location(conn: Connection, call: Call, name: str | None) -> str | None:
    return require_location(conn, call.program.id, name, "/locationId").id if name else None


def _shown(found: Scanned, program: Program) -> ScanShown:
    settings = program.settings
    scale, language = settings.scale, settings.default_language
    tier = tier_named(program, found.tier_id)
    return ScanShown(
        id=found.id,
        scanned_at=found.at,
        repeated=found.is_repeat,
        customer_id=found.customer_id,
        external_customer_id=found.external_id,
        name=found.name,
        balance=shown(found.available, scale),
        pending=shown(found.pending, scale),
        tier=settings.say(tier.name, language) if tier else None,
        redeemables=[
            Redeemable(
                id=each.reward.id,
                title=settings.say(each.reward.title, language),
                cost=shown(each.reward.cost, scale),
                kind=each.reward.kind,
                channel=each.reward.channel,
            )
            for each in found.offers
        ],
        coupons=[
            CouponHeld(
                id=each.id,
                title=settings.say(each.name, language),
                code=each.code,
                kind=each.kind,
                expires_at=each.expires_at,
            )
            for each in found.coupons
        ],
    )


ROUTES = (scan, check_in)
