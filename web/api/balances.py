"""Balances: increased, decreased, adjusted by hand, and how they came to be what they are."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.items import ItemError, each, error_of
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at, place_of
from web.api.problems import Problem, invalid, invalid_parameter
from web.api.shapes import (
    A_CUSTOMER,
    A_LOCATION,
    A_MOMENT,
    MOST_POINTS,
    Id,
    Input,
    Output,
    PointsGiven,
    PointsShown,
    minor_units,
    shown,
)
from web.loyalty.balance import lock_balance
from web.loyalty.booking import Booked, KeyReused, NotEnough, Order, what_was_booked
from web.loyalty.history import Line, lines_before
from web.loyalty.ledger import find_by_key
from web.loyalty.points import InMirrorMode, TooLarge, adjust, earn, set_balance, spend
from web.loyalty.program import Program

TAG = "Balances"

Reason = Annotated[str, Meta(min_length=1, max_length=120, description="The customer reads it.")]


class BalanceChange(Input):
    """One change. Name the customer by `email` or by `customerId`: ours, or theirs in your own system.

    `idempotencyKey` makes this one change happen once, whichever request it comes in.
    """

    amount: Annotated[float, Meta(gt=0, le=MOST_POINTS)]
    reason: Reason
    email: Annotated[str, Meta(max_length=254)] | None = None
    customer_id: Annotated[str, Meta(max_length=254)] | None = None
    order_id: Annotated[str, Meta(min_length=1, max_length=160)] | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=160)] | None = None


class Adjustment(Input):
    """A correction by a person: signed. `actor` is who did it, in your own words; the key is noted besides."""

    amount: PointsGiven
    reason: Reason
    actor: Annotated[str, Meta(min_length=1, max_length=80)] | None = None
    counts_towards_tier: bool = False


class BalanceShown(Output):
    """What a customer has after a change; `transactionId` is null where nothing had to be booked."""

    customer_id: Id
    transaction_id: Id | None
    amount: PointsShown
    balance: PointsShown
    pending: PointsShown
    reserved: PointsShown


class BalanceResult(Output, omit_defaults=True):
    """What became of the change at `index`."""

    index: int
    status: Literal["done", "failed"]
    result: BalanceShown | None = None
    error: ItemError | None = None


class BalanceResults(Output):
    """Results in the order of the changes; one for a single change."""

    results: list[BalanceResult]


class TransactionShown(Output):
    """One entry of the ledger. `amount` is what it did to the points that can be spent; `detail` says why it came."""

    id: Id
    number: int
    kind: Annotated[str, Meta(examples=["earn"])]
    amount: PointsShown
    balance: PointsShown
    pending: PointsShown
    reserved: PointsShown
    reason: str
    source: str
    source_ref: str | None
    actor: str | None
    reverses_id: Id | None
    effective_at: datetime
    recorded_at: datetime
    detail: dict[str, Any]


BalanceChanges = BalanceChange | Annotated[list[BalanceChange], Meta(min_length=1, max_length=250)]
Given = dict[str, Any] | Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=250)]

AN_ENTRY = A_LOCATION
EXAMPLE = BalanceShown(
    customer_id=A_CUSTOMER, transaction_id=AN_ENTRY, amount=2, balance=122, pending=0, reserved=0
)
EXAMPLE_RESULTS = BalanceResults(results=[BalanceResult(index=0, status="done", result=EXAMPLE)])
EXAMPLE_CHANGES = [
    BalanceChange(email="ana@example.com", amount=2, reason="Order 1001", idempotency_key="order-1001-points")
]
EXAMPLE_TRANSACTION = TransactionShown(
    id=AN_ENTRY,
    number=42,
    kind="earn",
    amount=2,
    balance=122,
    pending=0,
    reserved=0,
    reason="Order 1001",
    source="api",
    source_ref="1001",
    actor="api:7k3m9qxa",
    reverses_id=None,
    effective_at=A_MOMENT,
    recorded_at=A_MOMENT,
    detail={},
)


@operation(
    "POST",
    "/v1/programs/{program}/balance/increase",
    scope="write",
    tag=TAG,
    shape=BalanceChanges,
    example=EXAMPLE_CHANGES,
    answer=EXAMPLE_RESULTS,
    failures=("not-enough",),
)
async def increase_balance(call: Call, data: Given) -> BalanceResults:
    """Increase balance.

    One change or up to 250, each by itself, with a result for each. Points given so count towards the tier. Where not
    a single one worked, the answer is the first one's problem.
    """
    return await call.write(_change, call, data, 1)


@operation(
    "POST",
    "/v1/programs/{program}/balance/decrease",
    scope="write",
    tag=TAG,
    shape=BalanceChanges,
    example=EXAMPLE_CHANGES,
    answer=EXAMPLE_RESULTS,
    failures=("not-enough",),
)
async def decrease_balance(call: Call, data: Given) -> BalanceResults:
    """Decrease balance.

    Like an increase. A balance never falls below zero: who has less is answered with 409 and keeps it.
    """
    return await call.write(_change, call, data, -1)


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/adjustments",
    scope="write",
    tag=TAG,
    status=201,
    example=Adjustment(amount=-5, reason="Counted twice", actor="Maria, Malasaña"),
    answer=EXAMPLE,
    failures=("not-enough",),
)
async def adjust_balance(call: Call, data: Adjustment) -> BalanceShown:
    """Adjust a balance by hand."""
    return await call.write(_adjust, call, data)


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/transactions",
    "/v1/me/transactions",
    scope="read",
    tag=TAG,
    answer=Page[TransactionShown](items=[EXAMPLE_TRANSACTION], next_cursor=None),
    customers=True,
)
async def list_transactions(call: Call, query: PageQuery) -> Page[TransactionShown]:
    """List a customer's transactions.

    The newest first; every change of the balance, with its reason.
    """
    place = place_of(query.cursor)
    if place is not None and not (place.isdecimal() and len(place) < 10):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.")
    before = None if place is None else int(place)
    found = await call.read(_history, call, before, query.limit + 1)
    page, scale = found[: query.limit], call.program.settings.scale
    return Page(
        items=[_transaction(line, scale) for line in page],
        next_cursor=cursor_at(str(page[-1].number)) if len(found) > query.limit else None,
    )


@contextlib.contextmanager
def ledger_problems(scale: int, pointer: str) -> Iterator[None]:
    """What the ledger refuses, as problems; `pointer` is where the amount is."""
    try:
        yield
    except NotEnough as error:
        has = f"{shown(max(0, error.available), scale)}"
        raise Problem(
            "not-enough", f"The balance is {has}; {shown(error.asked, scale)} were asked."
        ) from None
    except KeyReused:
        raise Problem("key-reused") from None
    except InMirrorMode:
        raise Problem("conflict", "Another system keeps this programme's points: set the balance.") from None
    except TooLarge:
        raise invalid(pointer, "No balance of points is that large.") from None


def change_by(conn: Connection, program: Program, customer_id: str, change: int, order: Order) -> Booked:
    """Change a balance by a signed amount, whoever keeps the points: where another system does, it has its way."""
    if program.settings.points.mirror:
        held = lock_balance(conn, program.id, customer_id)
        known = find_by_key(conn, program.id, order.key) if order.key else None
        if known is not None:
            return what_was_booked(known)
        if held.available + change < 0:
            raise NotEnough(held.available, -change)
        return set_balance(conn, program, customer_id, held.available + change, order)
    if change > 0:
        return earn(conn, program, customer_id, change, order)
    return spend(conn, program, customer_id, -change, order)


def balance_shown(booked: Booked, customer_id: str, scale: int) -> BalanceShown:
    return BalanceShown(
        customer_id=customer_id,
        transaction_id=booked.entry_id,
        amount=shown(booked.amount, scale),
        balance=shown(booked.available, scale),
        pending=shown(booked.pending, scale),
        reserved=shown(booked.reserved, scale),
    )


def _change(conn: Connection, call: Call, given: Given, sign: Literal[1, -1]) -> BalanceResults:
    program, scale = call.program, call.program.settings.scale

    def change(conn: Connection, index: int, item: BalanceChange) -> BalanceResult:
        named = item.email or item.customer_id
        if named is None:
            raise invalid("/email", "Name the customer by `email` or `customerId`.")
        customer_id = require_customer(conn, call, named)
        order = Order(
            key=f"api:{item.idempotency_key}" if item.idempotency_key else None,
            reason=item.reason,
            source="api",
            source_ref=item.order_id,
            actor=call.actor,
        )
        minor = minor_units(item.amount, scale, "/amount")
        with ledger_problems(scale, "/amount"):
            booked = change_by(conn, program, customer_id, sign * minor, order)
        return BalanceResult(index=index, status="done", result=balance_shown(booked, customer_id, scale))

    outcomes = each(conn, given if isinstance(given, list) else [given], BalanceChange, change)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    if len(failed) == len(outcomes):
        raise failed[0]
    return BalanceResults(
        results=[
            BalanceResult(index=index, status="failed", error=error_of(outcome))
            if isinstance(outcome, Problem)
            else outcome
            for index, outcome in enumerate(outcomes)
        ]
    )


def _adjust(conn: Connection, call: Call, data: Adjustment) -> BalanceShown:
    customer_id = require_customer(conn, call, call.path["customer"])
    scale = call.program.settings.scale
    minor = minor_units(data.amount, scale, "/amount")
    if not minor:
        raise invalid("/amount", "An adjustment by nothing is none.")
    actor = f"{call.actor} {data.actor}" if data.actor else call.actor
    order = Order(key=None, reason=data.reason, source="manual", actor=actor)
    with ledger_problems(scale, "/amount"):
        booked = adjust(conn, call.program, customer_id, minor, order, counts=data.counts_towards_tier)
    return balance_shown(booked, customer_id, scale)


def _history(conn: Connection, call: Call, before: int | None, most: int) -> list[Line]:
    customer_id = require_customer(conn, call, call.path.get("customer") or call.customer_id or "")
    return lines_before(conn, call.program.id, customer_id, before, most)


def _transaction(line: Line, scale: int) -> TransactionShown:
    return TransactionShown(
        id=line.id,
        number=line.number,
        kind=line.kind,
        amount=shown(line.effect, scale),
        balance=shown(line.available_after, scale),
        pending=shown(line.pending_after, scale),
        reserved=shown(line.reserved_after, scale),
        reason=line.reason,
        source=line.source,
        source_ref=line.source_ref,
        actor=line.actor,
        reverses_id=line.reverses_id,
        effective_at=line.effective_at,
        recorded_at=line.at,
        detail=line.detail,
    )


ROUTES = (increase_balance, decrease_balance, adjust_balance, list_transactions)
