"""Customers: found by any of their names, listed, changed, erased."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customer_shown import EXAMPLE, CustomerShown, show_customer
from web.api.given import Birthday, ExternalId, Name, read_email, read_phone, require_language
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at, place_of
from web.api.problems import Problem, invalid_parameter
from web.api.shapes import A_CUSTOMER, Id, Input, Output
from web.foundation.schema import is_id
from web.foundation.sealing import Sealer
from web.loyalty.directory import (
    Changes,
    Taken,
    change_customer,
    find_customer,
    find_entrant,
    list_entrants,
)
from web.loyalty.personal_data import certificate, erase_customer
from web.loyalty.preferences import notifications_of, set_notifications
from web.loyalty.wallet_status import WalletStatus

TAG = "Customers"


class CustomersQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which customers."""

    email: Annotated[str, Meta(max_length=254)] | None = None
    phone: Annotated[str, Meta(max_length=40, description="E.164, like +34600123456.")] | None = None
    external_customer_id: Annotated[str, Meta(max_length=120)] | None = None
    updated_since: (
        Annotated[datetime, Meta(tz=True, description="Changed since, balance included.")] | None
    ) = None
    wallet_status: WalletStatus | None = None


class CustomerChange(Input):
    """What is named is changed; null takes away."""

    email: Annotated[str, Meta(max_length=254)] | UnsetType = UNSET
    phone: Annotated[str, Meta(max_length=40)] | UnsetType | None = UNSET
    first_name: Name | UnsetType | None = UNSET
    last_name: Name | UnsetType | None = UNSET
    external_customer_id: ExternalId | UnsetType | None = UNSET
    email_verified: bool | UnsetType = UNSET
    locale: Annotated[str, Meta(max_length=16)] | UnsetType = UNSET
    birthday: Birthday | UnsetType | None = UNSET
    balance_notifications: bool | UnsetType = UNSET
    tier_notifications: bool | UnsetType = UNSET
    reward_available_notifications: bool | UnsetType = UNSET
    location_notifications: bool | UnsetType = UNSET
    marketing_notifications: bool | UnsetType = UNSET


class ErasedShown(Output):
    """`certificate` is a mark of what was erased, for your records."""

    id: Id
    status: Literal["erased"]
    certificate: str


@operation(
    "GET",
    "/v1/programs/{program}/customers",
    scope="read",
    tag=TAG,
    answer=Page[CustomerShown](items=[EXAMPLE], next_cursor=None),
)
async def list_customers(call: Call, query: CustomersQuery) -> Page[CustomerShown]:
    """List customers.

    In the order in which they came.
    """
    after = place_of(query.cursor)
    if after is not None and not is_id(after):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.")
    found = await call.read(
        list_entrants,
        call.program.id,
        most=query.limit + 1,
        after=after,
        email=query.email,
        phone=query.phone,
        external_id=query.external_customer_id,
        updated_since=query.updated_since,
        wallet_status=query.wallet_status,
    )
    page = found[: query.limit]
    return Page(
        items=[show_customer(each, call) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
    )


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}",
    scope="read",
    tag=TAG,
    answer=EXAMPLE,
    customers=True,
)
async def get_customer(call: Call) -> CustomerShown:
    """Get customer details by e-mail.

    Or by our id, or by their id in your own system.
    """
    return await call.read(_read, call, call.path["customer"])


@operation(
    "PATCH",
    "/v1/programs/{program}/customers/{customer}",
    scope="write",
    tag=TAG,
    example=CustomerChange(first_name="Ana", last_name="López Gil", phone="+34600123456"),
    answer=EXAMPLE,
    failures=("conflict",),
)
async def change_customer_details(call: Call, data: CustomerChange) -> CustomerShown:
    """Change a customer.

    A new e-mail address ends every link and session that the old one was sent; it counts as verified only if you say
    so.
    """
    return await call.write(_change, call, call.path["customer"], data)


@operation(
    "DELETE",
    "/v1/programs/{program}/customers/{customer}",
    scope="write",
    tag=TAG,
    answer=ErasedShown(id=A_CUSTOMER, status="erased", certificate="3f9a1c5e20b7d481"),
)
async def erase_customer_data(call: Call) -> ErasedShown:
    """Erase a customer.

    Their data, links, sessions and messages go, their passes are voided; amounts stay in the books without a name. An
    import cannot bring them back, only they themselves by registering.
    """
    return await call.write(_erase, call, call.path["customer"], call.parts.sealer)


def require_customer(conn: Connection, call: Call, name: str) -> str:
    """The id of the customer whom `name` names; a customer who calls names themselves. Raises: Problem."""
    found = find_customer(conn, call.program.id, name)
    if found is None or call.customer_id not in (None, found):
        raise Problem("not-found", "There is no such customer in this programme.")
    return found


def _read(conn: Connection, call: Call, name: str) -> CustomerShown:
    entrant = find_entrant(conn, call.program.id, require_customer(conn, call, name))
    assert entrant is not None, "it was found a moment ago"
    return show_customer(entrant, call)


def _change(conn: Connection, call: Call, name: str, data: CustomerChange) -> CustomerShown:
    customer_id = require_customer(conn, call, name)
    require_language(call.program, data.locale, "/locale")
    told = Changes(
        email=UNSET if data.email is UNSET else read_email(data.email, "/email"),
        phone=read_phone(data.phone, call.program, "/phone"),
        first_name=data.first_name,
        last_name=data.last_name,
        external_id=data.external_customer_id,
        locale=data.locale,
        birthday=data.birthday,
        email_verified=data.email_verified,
    )
    try:
        change_customer(conn, call.program, customer_id, told)
    except Taken as taken:
        raise Problem("conflict", f"Another customer has this {taken.field}.") from None
    _change_notifications(conn, call.program.id, customer_id, data)
    return _read(conn, call, customer_id)


_NOTIFICATIONS = {
    "balance": "balance_notifications",
    "tier": "tier_notifications",
    "reward": "reward_available_notifications",
    "location": "location_notifications",
    "marketing": "marketing_notifications",
}


def _change_notifications(conn: Connection, program_id: str, customer_id: str, data: CustomerChange) -> None:
    wanted = {
        kind: value for kind, field in _NOTIFICATIONS.items() if (value := getattr(data, field)) is not UNSET
    }
    if wanted:
        now = notifications_of(conn, program_id, customer_id)
        set_notifications(conn, program_id, customer_id, msgspec.structs.replace(now, **wanted))


def _erase(conn: Connection, call: Call, name: str, sealer: Sealer) -> ErasedShown:
    customer_id = require_customer(conn, call, name)
    counts = erase_customer(conn, call.program.id, customer_id, sealer)
    return ErasedShown(id=customer_id, status="erased", certificate=certificate(customer_id, counts))


ROUTES = (list_customers, get_customer, change_customer_details, erase_customer_data)
