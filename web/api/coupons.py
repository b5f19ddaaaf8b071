"""Coupons: what is given away, by whom it is held, and used up."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at
from web.api.problems import Problem
from web.api.redemptions import Customer, key_of, place_before, refusals_shown
from web.api.rewards import (
    EXAMPLE_FILE,
    EXAMPLE_LOADED,
    CodesLoaded,
    Moment,
    Text,
    Value,
    faults_shown,
    fields_given,
    lines_of,
    show_loaded,
)
from web.api.shapes import A_CUSTOMER, A_MOMENT, Id, Input, Output
from web.foundation.schema import is_id
from web.loyalty.assigning import assign, revoke
from web.loyalty.code_pool import codes_left
from web.loyalty.coupon import (
    Coupon,
    CouponCodes,
    NewCoupon,
    add_codes,
    add_coupon,
    change_coupon,
    coupons_offered,
    find_coupon,
    retire_coupon,
)
from web.loyalty.coupon_code import Assigned, State, coupons_of, find_assigned
from web.loyalty.program import Program
from web.loyalty.reward import RewardKind

TAG = "Coupons"
A_COUPON = "0199a1b2-b4c5-76d7-a142-5d6e7f8091a2"
AN_ASSIGNMENT = "0199a1b2-a3b4-75c6-9031-4c5d6e7f8091"


class CouponChange(Input):
    """What is named is changed; null takes a limit away. Who holds one keeps it as it was."""

    name: Text | UnsetType = UNSET
    slug: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$")] | UnsetType = UNSET
    description: dict[str, Annotated[str, Meta(max_length=500)]] | UnsetType = UNSET
    kind: RewardKind | UnsetType = UNSET
    value: Value | UnsetType | None = UNSET
    starts_at: Moment | UnsetType | None = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    good_days: Annotated[int, Meta(ge=1, le=3650)] | UnsetType | None = UNSET
    most_each: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    needs_card: bool | UnsetType = UNSET
    code_source: CouponCodes | UnsetType = UNSET
    shared_code: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType | None = UNSET
    low_stock: Annotated[int, Meta(ge=0, le=100_000)] | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class CouponGiven(CouponChange):
    """A coupon: its name, and whatever else limits it. Without `slug` it gets one from its name."""

    name: Text


class CouponShown(Output):
    """A coupon. `codesLeft` counts the pool, null where there is none."""

    id: Id
    slug: str
    name: dict[str, str]
    description: dict[str, str]
    kind: RewardKind
    value: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    good_days: int | None
    most_each: int
    needs_card: bool
    code_source: CouponCodes
    shared_code: str | None
    low_stock: int | None
    active: bool
    codes_left: int | None


class Coupons(Output):
    items: list[CouponShown]


class Assignment(Input):
    """To whom; our id, their e-mail address, or their id in your own system."""

    customer_email: Customer


class NewAssignment(Input):
    """Which coupon, by its slug or id."""

    coupon: Annotated[str, Meta(min_length=1, max_length=40)]


class AssignedShown(Output):
    """A coupon in a customer's hands."""

    id: Id
    coupon_id: Id
    customer_id: Id
    name: dict[str, str]
    kind: RewardKind
    value: int | None
    code: str
    state: State
    assigned_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    ended_at: datetime | None
    location_id: Id | None
    order_id: str | None


class HeldQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which coupons."""

    state: Literal["active", "used", "expired"] = "active"


EXAMPLE = CouponShown(
    id=A_COUPON,
    slug="second-cup",
    name={"en": "Second cup at half price"},
    description={},
    kind="percent",
    value=50,
    starts_at=None,
    ends_at=None,
    good_days=30,
    most_each=1,
    needs_card=False,
    code_source="pool",
    shared_code=None,
    low_stock=20,
    active=True,
    codes_left=480,
)
EXAMPLE_ASSIGNED = AssignedShown(
    id=AN_ASSIGNMENT,
    coupon_id=A_COUPON,
    customer_id=A_CUSTOMER,
    name={"en": "Second cup at half price"},
    kind="percent",
    value=50,
    code="CUP-7F3K",
    state="assigned",
    assigned_at=A_MOMENT,
    expires_at=A_MOMENT,
    used_at=None,
    ended_at=None,
    location_id=None,
    order_id=None,
)
_REFUSED = ("conflict", "refused")


@operation("GET", "/v1/programs/{program}/coupons", scope="read", tag=TAG, answer=Coupons(items=[EXAMPLE]))
async def list_coupons(call: Call) -> Coupons:
    """List the coupons.

    Those that are retired, too.
    """
    return await call.read(_list, call.program)


@operation(
    "POST",
    "/v1/programs/{program}/coupons",
    scope="admin",
    tag=TAG,
    status=201,
    example=CouponGiven(
        name={"en": "Second cup at half price"},
        kind="percent",
        value=50,
        good_days=30,
        code_source="pool",
        low_stock=20,
    ),
    answer=EXAMPLE,
)
async def add_new_coupon(call: Call, data: CouponGiven) -> CouponShown:
    """Make a coupon."""
    return await call.write(_add, call.program, data)


@operation("GET", "/v1/programs/{program}/coupons/{coupon}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_coupon(call: Call) -> CouponShown:
    """Get a coupon."""
    return await call.read(_read, call.program, call.path["coupon"])


@operation(
    "PATCH",
    "/v1/programs/{program}/coupons/{coupon}",
    scope="admin",
    tag=TAG,
    example=CouponChange(good_days=14, low_stock=50),
    answer=EXAMPLE,
)
async def change_given_coupon(call: Call, data: CouponChange) -> CouponShown:
    """Change a coupon."""
    return await call.write(_change, call.program, call.path["coupon"], data)


@operation("DELETE", "/v1/programs/{program}/coupons/{coupon}", scope="admin", tag=TAG, answer=EXAMPLE)
async def retire_given_coupon(call: Call) -> CouponShown:
    """Retire a coupon.

    Nobody gets it any more; who holds one may use it.
    """
    return await call.write(_retire, call.program, call.path["coupon"])


@operation(
    "POST",
    "/v1/programs/{program}/coupons/{coupon}/codes",
    scope="admin",
    tag=TAG,
    csv=True,
    example=EXAMPLE_FILE,
    answer=EXAMPLE_LOADED,
)
async def load_coupon_codes(call: Call) -> CodesLoaded:
    """Load codes for a coupon.

    One code on each line, or a CSV's first column. What is good is taken, what is not is named by its line.
    """
    return await call.write(_load, call.program, call.path["coupon"], lines_of(call.body))


@operation(
    "POST",
    "/v1/programs/{program}/coupons/{coupon}/assign",
    scope="write",
    tag=TAG,
    status=201,
    example=Assignment(customer_email="ana@example.com"),
    answer=EXAMPLE_ASSIGNED,
    failures=_REFUSED,
)
async def assign_coupon(call: Call, data: Assignment) -> AssignedShown:
    """Assign a coupon.

    The customer gets the next free code, and nobody else gets it. Where none is left, nothing is changed.
    """
    return await call.write(_assign, call, call.path["coupon"], data.customer_email)


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/coupons",
    scope="write",
    tag=TAG,
    status=201,
    example=NewAssignment(coupon="second-cup"),
    answer=EXAMPLE_ASSIGNED,
    failures=_REFUSED,
)
async def give_coupon(call: Call, data: NewAssignment) -> AssignedShown:
    """Give a customer a coupon.

    The same, named by the customer.
    """
    return await call.write(_assign, call, data.coupon, call.path["customer"])


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/coupons",
    scope="read",
    tag=TAG,
    answer=Page[AssignedShown](items=[EXAMPLE_ASSIGNED], next_cursor=None),
    customers=True,
)
async def list_held_coupons(call: Call, query: HeldQuery) -> Page[AssignedShown]:
    """List a customer's coupons.

    The newest first.
    """
    return await call.read(_held, call, call.path["customer"], query)


@operation(
    "POST",
    "/v1/programs/{program}/assignments/{assignment}/revoke",
    scope="write",
    tag=TAG,
    answer=EXAMPLE_ASSIGNED,
    failures=_REFUSED,
)
async def revoke_coupon(call: Call) -> AssignedShown:
    """Take a coupon back.

    One that was not used. Done twice it is done once.
    """
    return await call.write(_revoke, call, call.path["assignment"])


def show_assigned(its: Assigned) -> AssignedShown:
    return AssignedShown(
        id=its.id,
        coupon_id=its.coupon_id,
        customer_id=its.customer_id,
        name=its.name,
        kind=its.kind,
        value=its.value,
        code=its.code,
        state=its.state,
        assigned_at=its.assigned_at,
        expires_at=its.expires_at,
        used_at=its.used_at,
        ended_at=its.ended_at,
        location_id=its.location_id,
        order_id=its.order_ref,
    )


def _require(conn: Connection, program: Program, which: str) -> Coupon:
    found = find_coupon(conn, program.id, which)
    if found is None:
        raise Problem("not-found", "There is no such coupon in this programme.")
    return found


def _list(conn: Connection, program: Program) -> Coupons:
    return Coupons(items=[_shown(conn, program, each) for each in coupons_offered(conn, program.id)])


def _add(conn: Connection, program: Program, data: CouponGiven) -> CouponShown:
    with faults_shown():
        made = add_coupon(conn, program.id, NewCoupon(**fields_given(data, program)))
    return _read(conn, program, made)


def _read(conn: Connection, program: Program, which: str) -> CouponShown:
    return _shown(conn, program, _require(conn, program, which))


def _change(conn: Connection, program: Program, which: str, data: CouponChange) -> CouponShown:
    was = _require(conn, program, which)
    with faults_shown():
        change_coupon(conn, program.id, msgspec.structs.replace(was, **fields_given(data, program)))
    return _read(conn, program, was.id)


def _retire(conn: Connection, program: Program, which: str) -> CouponShown:
    its = _require(conn, program, which)
    retire_coupon(conn, program.id, its.id)
    return _read(conn, program, its.id)


def _load(conn: Connection, program: Program, which: str, lines: list[str]) -> CodesLoaded:
    its = _require(conn, program, which)
    if its.code_source != "pool":
        raise Problem("conflict", "This coupon has no pool of codes; set its codeSource to pool first.")
    loaded = add_codes(conn, program.id, its.id, lines)
    return show_loaded(loaded, codes_left(conn, program.id, its.id))


def _assign(conn: Connection, call: Call, which: str, customer: str) -> AssignedShown:
    its = _require(conn, call.program, which)
    customer_id = require_customer(conn, call, customer)
    with refusals_shown(call):
        return show_assigned(
            assign(conn, call.program, its.id, customer_id, key=key_of(call), actor=call.actor)
        )


def _held(conn: Connection, call: Call, customer: str, query: HeldQuery) -> Page[AssignedShown]:
    found = coupons_of(
        conn,
        call.program.id,
        require_customer(conn, call, customer),
        state=query.state,
        before=place_before(query),
        most=query.limit + 1,
    )
    page = found[: query.limit]
    return Page(
        items=[show_assigned(each) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
    )


def _revoke(conn: Connection, call: Call, assigned_id: str) -> AssignedShown:
    if not is_id(assigned_id) or find_assigned(conn, call.program.id, assigned_id) is None:
        raise Problem("not-found", "There is no such coupon in this programme.")
    with refusals_shown(call):
        return show_assigned(revoke(conn, call.program, assigned_id, call.actor))


def _shown(conn: Connection, program: Program, its: Coupon) -> CouponShown:
    left = codes_left(conn, program.id, its.id) if its.code_source == "pool" else None
    return CouponShown(**msgspec.structs.asdict(its), codes_left=left)


ROUTES = (
    list_coupons,
    add_new_coupon,
    get_coupon,
    change_given_coupon,
    retire_given_coupon,
    load_coupon_codes,
    assign_coupon,
    give_coupon,
    list_held_coupons,
    revoke_coupon,
)
