"""Resources: many customers at once, as another system knows them, with their standing there."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.given import Birthday, ExternalId, Name, read_email, read_phone, require_language
from web.api.items import Given, ItemError, each, error_of, refuse_if_all_failed
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_CUSTOMER, MOST_POINTS, Id, Input, Output, minor_units
from web.foundation.sealing import Sealer
from web.loyalty.booking import Order
from web.loyalty.directory import Changes, Erased, Taken, add_customer, change_customer, find_customer
from web.loyalty.membership import Membership, forget_membership, keep_membership
from web.loyalty.personal_data import erase_customer, suppression_tag
from web.loyalty.points import set_balance
from web.loyalty.program import Program
from web.loyalty.referral_start import Invite, start_referral

TAG = "API integration"
PATH = "/v1/programs/{program}/integrations/api"

Email = Annotated[str, Meta(max_length=254, description="Which customer.")]


class UserPayload(Input):
    """Who they are. `name`, or `firstName` and `lastName`. `email` only where the address changes: it is the key from
    then on. `referralCode`, of the customer who sent them, counts for a new customer alone."""

    external_customer_id: ExternalId | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=80)] | UnsetType | None = UNSET
    first_name: Name | UnsetType | None = UNSET
    last_name: Name | UnsetType | None = UNSET
    phone: Annotated[str, Meta(max_length=40)] | UnsetType | None = UNSET
    email_verified: bool | UnsetType = UNSET
    email: Annotated[str, Meta(max_length=254)] | UnsetType = UNSET
    locale: Annotated[str, Meta(max_length=16)] | UnsetType = UNSET
    birthday: Birthday | UnsetType | None = UNSET
    referral_code: Annotated[str, Meta(max_length=20)] | None = None


class LoyaltyPayload(Input):
    """Where they stand. `balance` is set, nothing is calculated: the difference is booked."""

    loyalty_customer_id: Annotated[str, Meta(min_length=1, max_length=120)]
    balance: Annotated[float, Meta(ge=0, le=MOST_POINTS)]
    member_since: Annotated[str, Meta(max_length=40, examples=["2024-05-01T00:00:00Z"])]
    tier_status: Annotated[str, Meta(max_length=80)] | None = None


class UserResource(Input, tag="users", tag_field="feature"):
    """A customer, made if their address is new."""

    email: Email
    payload: UserPayload


class LoyaltyResource(Input, tag="loyalty", tag_field="feature"):
    """A customer's standing; the customer must be there, or be made by an item before."""

    email: Email
    payload: LoyaltyPayload


class ResourceName(Input):
    """What is to be deleted: the customer, or what the other system said of their standing."""

    email: Email
    feature: Literal["users", "loyalty"] = "users"


Resource = UserResource | LoyaltyResource
Resources = Annotated[list[Resource], Meta(min_length=1, max_length=250)]
ResourceNames = Annotated[list[ResourceName], Meta(min_length=1, max_length=250)]


class ResourceResult(Output, omit_defaults=True):
    """What became of the item at `index`."""

    index: int
    status: Literal["created", "updated", "deleted", "failed"]
    customer_id: Id | None = None
    error: ItemError | None = None


class ResourceResults(Output):
    """Results in the order of the items."""

    results: list[ResourceResult]


EXAMPLE = [
    UserResource(
        email="ana@example.com",
        payload=UserPayload(
            external_customer_id="crm-4711", first_name="Ana", last_name="López", phone="+34600123456"
        ),
    ),
    LoyaltyResource(
        email="ana@example.com",
        payload=LoyaltyPayload(
            loyalty_customer_id="L-1001", balance=120, member_since="2024-05-01T00:00:00Z", tier_status="Gold"
        ),
    ),
]
EXAMPLE_RESULTS = ResourceResults(
    results=[
        ResourceResult(index=0, status="created", customer_id=A_CUSTOMER),
        ResourceResult(index=1, status="updated", customer_id=A_CUSTOMER),
    ]
)
NONE_WORKED = "Not one of the items worked; `errors` says why, item by item."


@operation(
    "POST",
    PATH,
    scope="write",
    tag=TAG,
    status=201,
    shape=Resources,
    example=EXAMPLE,
    answer=EXAMPLE_RESULTS,
)
async def create_or_update_resources(call: Call, data: Given) -> ResourceResults:
    """Create or update resources.

    Up to 250 items, done in their order, each by itself: 201 where at least one worked, 404 where none did, and a
    result for each. Nothing is sent to the customers. Somebody who had themselves erased is not brought back.
    """
    return await call.write(_write, call, data)


@operation(
    "DELETE",
    PATH,
    scope="write",
    tag=TAG,
    shape=ResourceNames,
    example=[ResourceName(email="ana@example.com")],
    answer=ResourceResults(results=[ResourceResult(index=0, status="deleted", customer_id=A_CUSTOMER)]),
)
async def delete_resources(call: Call, data: Given) -> ResourceResults:
    """Delete resources.

    One by one; `users` erases the customer as `DELETE …/customers/{customer}` does, `loyalty` forgets what the other
    system said of their standing and leaves the balance. 404 where none of the items worked.
    """
    return await call.write(_delete, call, data, call.parts.sealer)


def _write(conn: Connection, call: Call, given: list[dict[str, Any]]) -> ResourceResults:
    def write(conn: Connection, index: int, item: Resource) -> ResourceResult:
        if isinstance(item, UserResource):
            return _write_user(conn, call, index, item)
        return _write_standing(conn, call, index, item)

    return _results(each(conn, given, Resource, write))


def _delete(conn: Connection, call: Call, given: list[dict[str, Any]], sealer: Sealer) -> ResourceResults:
    def delete(conn: Connection, index: int, item: ResourceName) -> ResourceResult:
        customer_id = _require(conn, call.program, item.email)
        if item.feature == "users":
            erase_customer(conn, call.program.id, customer_id, sealer)
        else:
            forget_membership(conn, call.program.id, customer_id)
        return ResourceResult(index=index, status="deleted", customer_id=customer_id)

    return _results(each(conn, given, ResourceName, delete))


def _results(outcomes: list[ResourceResult | Problem]) -> ResourceResults:
    refuse_if_all_failed(outcomes, "not-found", NONE_WORKED)
    return ResourceResults(
        results=[
            ResourceResult(index=index, status="failed", error=error_of(outcome))
            if isinstance(outcome, Problem)
            else outcome
            for index, outcome in enumerate(outcomes)
        ]
    )


def _write_user(conn: Connection, call: Call, index: int, item: UserResource) -> ResourceResult:
    payload, program = item.payload, call.program
    require_language(program, payload.locale, "/payload/locale")
    email = read_email(item.email, "/email")
    told = Changes(
        email=UNSET if payload.email is UNSET else read_email(payload.email, "/payload/email"),
        phone=read_phone(payload.phone, program, "/payload/phone"),
        name=payload.name,
        first_name=payload.first_name,
        last_name=payload.last_name,
        external_id=payload.external_customer_id,
        locale=payload.locale,
        birthday=payload.birthday,
        email_verified=payload.email_verified,
    )
    known = find_customer(conn, program.id, email.value)
    try:
        if known is not None:
            change_customer(conn, program, known, told)
            return ResourceResult(index=index, status="updated", customer_id=known)

        def tag_of(address: str) -> str:
            return suppression_tag(address, program.id, call.parts.sealer)

        made = add_customer(conn, program, email, told, tag_of(email.value), payload.referral_code)
        if payload.referral_code:
            start_referral(conn, program, made, Invite(code=payload.referral_code, address_tag=tag_of))
        return ResourceResult(index=index, status="created", customer_id=made)
    except Taken as taken:
        detail = f"Another customer has this {taken.field}."
        raise Problem("conflict", detail) from None
    except Erased:
        detail = "Its owner had themselves erased; only they can come back, by registering."
        raise Problem("gone", detail) from None


def _write_standing(conn: Connection, call: Call, index: int, item: LoyaltyResource) -> ResourceResult:
    program, payload = call.program, item.payload
    customer_id = _require(conn, program, item.email)
    told = Membership(
        loyalty_customer_id=payload.loyalty_customer_id,
        member_since=_moment(payload.member_since),
        tier_status=payload.tier_status,
    )
    target = minor_units(payload.balance, program.settings.scale, "/payload/balance")
    keep_membership(conn, program.id, customer_id, told)
    order = Order(key=None, reason="external_sync", source="api", actor=call.actor)
    set_balance(conn, program, customer_id, target, order)
    return ResourceResult(index=index, status="updated", customer_id=customer_id)


def _require(conn: Connection, program: Program, email: str) -> str:
    found = find_customer(conn, program.id, email)
    if found is None:
        raise Problem("not-found", "There is no customer with this address.")
    return found


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or not 1900 < moment.year < 2200:
        raise invalid("/payload/memberSince", "Write it like 2024-05-01T00:00:00Z.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


ROUTES = (create_or_update_resources, delete_resources)
