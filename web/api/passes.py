"""Passes of other kinds than the card: coupons, gift cards and memberships in the wallet. And a card that was lost."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_CUSTOMER, A_MOMENT, Id, Input, Output, require_moment
from web.foundation.schema import utc_now
from web.loyalty.pass_item import (
    InvalidItem,
    Item,
    ItemKind,
    ItemVoid,
    NewItem,
    ReferenceTaken,
    Title,
    change_item,
    find_item_named,
    issue_item,
    items_of,
    require_item,
    void_item,
)
from web.loyalty.replacing import replace_card
from web.loyalty.wallet_pass import passes_of

TAG = "Passes"
AN_ITEM = "0199a1b2-d6e7-78f9-a364-7f8091a2b3c4"

Number = Annotated[
    str, Meta(min_length=1, max_length=80, description="What the till reads from the barcode.")
]
Amount = Annotated[int, Meta(ge=0, le=10**15, description="Minor units of the programme's currency.")]
When = Annotated[datetime, Meta(tz=True)]


class NewPass(Input):
    """A coupon, gift card or membership for a customer. `amount` for a gift card alone; `title` by language.

    With a `reference`, your own name for it, asking again issues nothing new.
    """

    customer: Annotated[
        str, Meta(min_length=1, max_length=254, description="E-mail address, our id, or yours.")
    ]
    kind: ItemKind
    title: Title
    number: Number
    amount: Amount | None = None
    expires_at: When | None = None
    reference: Annotated[str, Meta(min_length=1, max_length=120)] | None = None


class PassChange(Input):
    """What is named is changed, on the phones too; null takes an end away."""

    title: Title | UnsetType = UNSET
    number: Number | UnsetType = UNSET
    amount: Amount | UnsetType = UNSET
    expires_at: When | UnsetType | None = UNSET


class WalletCopy(Output):
    """The pass in one of the wallets."""

    id: Id
    platform: Literal["apple", "google"]
    status: str


class PassShown(Output):
    """`url` is where its holder puts it into a wallet; whoever has the address can. `status`: good, expired or void."""

    id: Id
    kind: ItemKind
    customer_id: Id
    reference: str | None
    title: dict[str, str]
    number: str
    amount: int | None
    expires_at: datetime | None
    status: Literal["good", "expired", "void"]
    url: str
    wallets: list[WalletCopy]
    created_at: datetime


class Passes(Output):
    items: list[PassShown]


class CardReplaced(Output):
    """The new number; it is on the customer's pages and in what they put into a wallet from now on."""

    customer_id: Id
    card_number: str


EXAMPLE = PassShown(
    id=AN_ITEM,
    kind="gift_card",
    customer_id=A_CUSTOMER,
    reference="gift-77",
    title={"en": "Gift card"},
    number="6391 0077",
    amount=2500,
    expires_at=None,
    status="good",
    url="https://cards.example.com/brewbar/passes/7K3M9QXA27K3M9QXA27K3M9QXA",
    wallets=[WalletCopy(id="0199a1b2-e7f8-790a-b475-8091a2b3c4d5", platform="apple", status="installed")],
    created_at=A_MOMENT,
)


@operation(
    "POST",
    "/v1/programs/{program}/passes",
    scope="write",
    tag=TAG,
    status=201,
    example=NewPass(
        customer="ana@example.com", kind="gift_card", title={"en": "Gift card"}, number="6391 0077", amount=2500,
        reference="gift-77",
    ),
    answer=EXAMPLE,
    failures=("conflict",),
)  # fmt: skip
async def issue_pass(call: Call, data: NewPass) -> PassShown:
    """Issue a coupon, gift card or membership.

    The answer's `url` is for its holder: a page with the wallets' buttons, as good on a phone as on a computer.
    """
    return await call.write(_issue, call, data)


@operation("GET", "/v1/programs/{program}/passes/{item}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_pass(call: Call) -> PassShown:
    """Get a pass, by its id or your reference."""
    return await call.read(_get, call)


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/passes",
    scope="read",
    tag=TAG,
    answer=Passes(items=[EXAMPLE]),
)
async def list_passes(call: Call) -> Passes:
    """List a customer's coupons, gift cards and memberships that are passes."""
    return await call.read(_list, call)


@operation(
    "PATCH",
    "/v1/programs/{program}/passes/{item}",
    scope="write",
    tag=TAG,
    example=PassChange(amount=1800),
    answer=EXAMPLE,
    failures=("conflict",),
)
async def change_pass(call: Call, data: PassChange) -> PassShown:
    """Change a pass: what is left on a gift card, a new end."""
    return await call.write(_change, call, data)


@operation("POST", "/v1/programs/{program}/passes/{item}/void", scope="write", tag=TAG, answer=EXAMPLE)
async def void_pass(call: Call) -> PassShown:
    """Make a pass worthless, on the phones too. Done twice it is done once."""
    return await call.write(_void, call)


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/card/replace",
    scope="write",
    tag=TAG,
    answer=CardReplaced(customer_id=A_CUSTOMER, card_number="4T2177309816"),
)
async def replace_customer_card(call: Call) -> CardReplaced:
    """Replace a card whose phone was lost.

    Every pass of the customer is void at once, the old number is refused at the till, and whoever is signed in to the
    customer's pages is signed out. Points stay as they are.
    """
    return await call.write(_replace, call)


def _issue(conn: Connection, call: Call, data: NewPass) -> PassShown:
    require_moment(data.expires_at, "/expiresAt")
    customer_id = require_customer(conn, call, data.customer)
    values = msgspec.structs.asdict(data)
    del values["customer"]
    try:
        return _shown(conn, call, issue_item(conn, call.program.id, customer_id, NewItem(**values)))
    except InvalidItem as error:
        raise _fault(error) from None
    except ReferenceTaken:
        raise Problem("conflict", "Another pass of this programme has that reference.") from None


def _get(conn: Connection, call: Call) -> PassShown:
    return _shown(conn, call, _require(conn, call))


def _list(conn: Connection, call: Call) -> Passes:
    customer_id = require_customer(conn, call, call.path["customer"])
    return Passes(items=[_shown(conn, call, item) for item in items_of(conn, call.program.id, customer_id)])


def _change(conn: Connection, call: Call, data: PassChange) -> PassShown:
    item = _require(conn, call)
    told = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    require_moment(told.get("expires_at"), "/expiresAt")
    try:
        return _shown(conn, call, change_item(conn, call.program.id, item.id, **told))
    except InvalidItem as error:
        raise _fault(error) from None
    except ItemVoid:
        raise Problem("conflict", "This pass is void and cannot be changed any more.") from None


def _void(conn: Connection, call: Call) -> PassShown:
    item = _require(conn, call)
    void_item(conn, call.program.id, item.id)
    return _shown(conn, call, require_item(conn, call.program.id, item.id))


def _replace(conn: Connection, call: Call) -> CardReplaced:
    customer_id = require_customer(conn, call, call.path["customer"])
    number = replace_card(conn, call.program.id, customer_id)
    if number is None:
        raise Problem("not-found", "There is no such customer in this programme.")
    return CardReplaced(customer_id=customer_id, card_number=number)


def _require(conn: Connection, call: Call) -> Item:
    found = find_item_named(conn, call.program.id, call.path["item"])
    if found is None:
        raise Problem("not-found", "There is no such pass in this programme.")
    return found


def _fault(error: InvalidItem) -> Problem:
    where, _, what = str(error).partition(": ")
    return invalid(f"/{where}", what.capitalize())


def _shown(conn: Connection, call: Call, item: Item) -> PassShown:
    copies = [held for held in passes_of(conn, call.program.id, item.customer_id) if held.item_id == item.id]
    shown: dict[str, Any] = {name: getattr(item, name) for name in (*_SAME,)}
    base = call.parts.settings.base_url
    return PassShown(
        **shown,
        status="void" if item.voided_at else "good" if item.is_good(utc_now()) else "expired",
        url=f"{base}/{call.program.slug}/passes/{item.code}",
        wallets=[WalletCopy(id=held.id, platform=held.platform, status=held.status) for held in copies],
    )


_SAME = (
    "id", "kind", "customer_id", "reference", "title", "number", "amount", "expires_at", "created_at",
)  # fmt: skip
ROUTES = (issue_pass, get_pass, list_passes, change_pass, void_pass, replace_customer_card)
