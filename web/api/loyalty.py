"""PassEntry's loyalty calls: a pass's balance read and changed, by the pass's id or the customer's own elsewhere."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.balances import change_by, ledger_problems
from web.api.call import Call
from web.api.customer_shown import tier_of
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import (
    A_LOCATION,
    A_MOMENT,
    A_PROGRAM,
    MOST_POINTS,
    Id,
    Input,
    Output,
    PointsGiven,
    PointsShown,
    minor_units,
    shown,
)
from web.foundation.schema import is_id
from web.loyalty.booking import Order
from web.loyalty.directory import Entrant, find_customer, find_entrant
from web.loyalty.points import set_balance
from web.loyalty.push_message import REASONS, Kind, Pushed, push
from web.loyalty.wallet_pass import Pass, find_pass_by_id, passes_of

TAG = "Loyalty passes"
PATHS = ("/v1/loyalty/{pass}", "/api/v1/loyalty/{pass}")
# Our own words for where a pass is, in PassEntry's.
STATUSES = {"created": "issued", "installed": "active", "uninstalled": "removed", "voided": "deactivated"}
# Why, where nobody said it: another system keeps these books.
SYNC = "external_sync"


class LoyaltyChange(Input):
    """`balance` is added, below zero taken away; `overrideBalance` is set. One of the two, or a `message` alone.

    `message` is sent to the phones that hold the pass; it counts as one about the balance beside a balance, else as
    marketing, unless `messageKind` says otherwise. `reason` is what the customer reads in their history.
    """

    balance: PointsGiven | None = None
    override_balance: Annotated[float, Meta(ge=0, le=MOST_POINTS)] | None = None
    message: Annotated[str, Meta(min_length=1, max_length=240)] | None = None
    message_kind: Kind | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=120)] | None = None


class LoyaltyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a number is read."""

    coerce: Annotated[bool, Meta(description="Cut off decimals that the programme does not have.")] = False


class Barcode(Output):
    enabled: bool
    type: Literal["qr"]
    source: Literal["custom"]
    value: str


class Nfc(Output):
    enabled: bool


class PassContent(Output):
    """What the pass shows."""

    name: str | None
    points: PointsShown
    tier: str | None


class PassAttributes(Output):
    """`downloadUrl` is where the owner has the card sent to them; `extId` their id in your own system."""

    download_url: str
    pass_type: Literal["storeCard"]
    device_type: Literal["apple", "google"] | None
    created_at: datetime
    status: Literal["issued", "active", "removed", "deactivated"]
    ext_id: str | None
    pass_template_uuid: Id
    nfc: Nfc
    barcode: Barcode
    pass_content: PassContent


class PassData(Output):
    """The pass; the customer stands for it where they hold none yet."""

    id: Id
    type: Literal["pass"]
    attributes: PassAttributes


class LoyaltyMeta(Output):
    balance: PointsShown


class Notifications(Output):
    """What became of a message: `queued` for the phones, or `notDelivered` and why."""

    status: Literal["queued", "notDelivered"]
    message: str


class MetaShown(Output, omit_defaults=True):
    """`notifications` is there where a message was sent along."""

    loyalty: LoyaltyMeta
    notifications: Notifications | None = None


class LoyaltyShown(Output):
    """A pass and its balance, as JSON:API writes it."""

    data: PassData
    meta: MetaShown


EXAMPLE = LoyaltyShown(
    data=PassData(
        id=A_LOCATION,
        type="pass",
        attributes=PassAttributes(
            download_url="https://cards.example.com/brewbar/card",
            pass_type="storeCard",
            device_type="apple",
            created_at=A_MOMENT,
            status="active",
            ext_id="crm-4711",
            pass_template_uuid=A_PROGRAM,
            nfc=Nfc(enabled=False),
            barcode=Barcode(enabled=True, type="qr", source="custom", value="7K3M9QXA20FT"),
            pass_content=PassContent(name="Ana López", points=5, tier="Gold"),
        ),
    ),
    meta=MetaShown(loyalty=LoyaltyMeta(balance=5), notifications=Notifications(status="queued", message="")),
)


@operation("GET", *PATHS, scope="read", tag=TAG, answer=EXAMPLE)
async def get_loyalty_pass(call: Call) -> LoyaltyShown:
    """Get a pass and its balance."""
    return await call.read(_read, call)


@operation(
    "PATCH",
    *PATHS,
    scope="write",
    tag=TAG,
    example=LoyaltyChange(balance=2, message="Thank you for your order. You've earned 2 points!"),
    answer=EXAMPLE,
    failures=("not-enough",),
)
async def change_loyalty_pass(call: Call, query: LoyaltyQuery, data: LoyaltyChange) -> LoyaltyShown:
    """Change a pass's balance, and tell its owner.

    Numbers are whole in a programme that counts whole points (3.0 is 3, 3.7 is refused unless `coerce=1`) and have up
    to two decimals in one that counts hundredths.
    """
    if data.balance is not None and data.override_balance is not None:
        raise invalid("/overrideBalance", "Give `balance` or `overrideBalance`, not both.")
    if data.balance is None and data.override_balance is None and data.message is None:
        raise invalid("/balance", "Give `balance`, `overrideBalance` or a `message`.")
    return await call.write(_change, call, query.coerce, data)


def _read(conn: Connection, call: Call) -> LoyaltyShown:
    return _show(conn, call, *_find(conn, call), None)


def _change(conn: Connection, call: Call, coerce: bool, data: LoyaltyChange) -> LoyaltyShown:
    customer_id, named = _find(conn, call)
    program, scale = call.program, call.program.settings.scale
    reason = data.reason or (data.message or SYNC)[:120]
    order = Order(key=None, reason=reason, source="api", actor=call.actor)
    if data.balance is not None:
        change = minor_units(data.balance, scale, "/balance", coerce=coerce)
        with ledger_problems(scale, "/balance"):
            if change:
                change_by(conn, program, customer_id, change, order)
    elif data.override_balance is not None:
        target = minor_units(data.override_balance, scale, "/overrideBalance", coerce=coerce)
        with ledger_problems(scale, "/overrideBalance"):
            set_balance(conn, program, customer_id, target, order)
    pushed = None
    if data.message is not None:
        is_alone = data.balance is None and data.override_balance is None
        kind: Kind = data.message_kind or ("marketing" if is_alone else "balance")
        pushed = push(conn, program, customer_id, data.message, kind=kind, actor=call.actor)
    return _show(conn, call, customer_id, named, pushed)


def _find(conn: Connection, call: Call) -> tuple[str, Pass | None]:
    """The customer, and the pass where one was named. Raises: Problem."""
    name = call.path["pass"]
    named = find_pass_by_id(conn, call.program.id, name.lower()) if is_id(name.lower()) else None
    customer_id = named.customer_id if named else find_customer(conn, call.program.id, name)
    if customer_id is None:
        raise Problem("not-found", "There is no such pass or customer in this programme.")
    return customer_id, named


def _show(
    conn: Connection, call: Call, customer_id: str, named: Pass | None, pushed: Pushed | None
) -> LoyaltyShown:
    entrant = find_entrant(conn, call.program.id, customer_id)
    if entrant is None:
        raise Problem("not-found", "The customer of this pass was erased.")
    shown_pass = named or _foremost(passes_of(conn, call.program.id, customer_id))
    points = shown(entrant.available, call.program.settings.scale)
    told = _told(pushed) if pushed else None
    return LoyaltyShown(
        data=PassData(
            id=shown_pass.id if shown_pass else entrant.id,
            type="pass",
            attributes=_attributes(call, entrant, shown_pass, points),
        ),
        meta=MetaShown(loyalty=LoyaltyMeta(balance=points), notifications=told),
    )


def _told(pushed: Pushed) -> Notifications:
    """What PassEntry's callers read of a message: whether it is on its way. A held one is; it says until when."""
    if pushed.reason:
        return Notifications(status="notDelivered", message=REASONS[pushed.reason])
    until = pushed.held_until
    return Notifications(status="queued", message=f"Held back until {until:%Y-%m-%dT%H:%MZ}" if until else "")


def _foremost(passes: list[Pass]) -> Pass | None:
    """Of several the one that is on a phone, else the newest that is good."""
    order = ("installed", "created", "uninstalled", "voided")
    return min(passes, key=lambda each: order.index(each.status), default=None)


def _attributes(call: Call, entrant: Entrant, shown_pass: Pass | None, points: int | float) -> PassAttributes:
    status = STATUSES[shown_pass.status] if shown_pass else "issued"
    return PassAttributes(
        download_url=f"{call.parts.settings.base_url}/{call.program.slug}/card",
        pass_type="storeCard",
        device_type=shown_pass.platform if shown_pass else None,
        created_at=shown_pass.created_at if shown_pass else entrant.created_at,
        status=msgspec.convert(status, Literal["issued", "active", "removed", "deactivated"]),
        ext_id=entrant.external_id,
        pass_template_uuid=call.program.id,
        nfc=Nfc(enabled=False),
        barcode=Barcode(enabled=True, type="qr", source="custom", value=entrant.card_number),
        pass_content=PassContent(name=entrant.name, points=points, tier=tier_of(entrant, call.program)),
    )


ROUTES = (get_loyalty_pass, change_loyalty_pass)
