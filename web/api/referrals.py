"""Referrals: who brought whom, what waits for a person's judgement, and the link that customers share."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import link_by, require_customer
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at, place_of
from web.api.problems import Problem, invalid_parameter
from web.api.shapes import A_CUSTOMER, A_LOCATION, A_MOMENT, Id, Output, PointsShown, shown
from web.foundation.schema import is_id
from web.loyalty.program import Program
from web.loyalty.program_settings import ReferralAction
from web.loyalty.referral import (
    Kept,
    Referral,
    Totals,
    find_referral,
    list_referrals,
    referrals_of,
    totals_of,
)
from web.loyalty.referral_code import code_for
from web.loyalty.referral_reward import NotWaiting, approve, reject
from web.loyalty.referral_signals import REASONS, WEIGHTS, score
from web.loyalty.referral_start import REASONS as BLOCKED_FOR

TAG = "Referrals"
A_REFERRAL = "0199a1b2-8192-73a4-8e1f-2a3b4c5d6e7f"

State = Literal["joined", "qualified", "flagged", "blocked", "rewarded", "reversed"]


class Why(Output):
    """One reason, for programs and for people. `weight` is what it adds to the score; a hard rule has none."""

    code: str
    weight: int | None
    reason: str


class ReferralShown(Output):
    """A referral. From a `score` of 50 on it waits as `flagged`, and nothing was paid; `blockedBy` is final.

    `heldUntil`: rewarded, and the points can be spent from then on. `orderRef` is the order that completed it.
    """

    id: Id
    state: State
    advocate_id: Id
    friend_id: Id
    action: ReferralAction
    advocate_points: PointsShown
    friend_points: PointsShown
    score: int
    signals: list[Why]
    blocked_by: Why | None
    order_ref: str | None
    reviewed_by: str | None
    created_at: datetime
    qualified_at: datetime | None
    rewarded_at: datetime | None
    held_until: datetime | None


class ReferralsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which referrals; `flagged` ones wait for a person's judgement."""

    state: State | None = None


class ReferralLink(Output):
    """A customer's own code and the link to share."""

    code: Annotated[str, Meta(examples=["7K3M9QXA"])]
    link: str


class FriendShown(Output):
    """A friend, as the customer who brought them sees it: by first name alone."""

    id: Id
    friend_name: str | None
    state: State | Literal["held"]
    points: PointsShown
    created_at: datetime
    rewarded_at: datetime | None


class Friends(Page[FriendShown], frozen=True, kw_only=True, rename="camel"):
    """One page of friends, the latest first, and what all of them came to."""

    joined: int
    rewarded: int
    points: PointsShown


EXAMPLE = ReferralShown(
    id=A_REFERRAL,
    state="flagged",
    advocate_id=A_CUSTOMER,
    friend_id=A_LOCATION,
    action="first_purchase",
    advocate_points=50,
    friend_points=30,
    score=50,
    signals=[Why(code="same_name", weight=50, reason="Both have the same name.")],
    blocked_by=None,
    order_ref="pos:1001",
    reviewed_by=None,
    created_at=A_MOMENT,
    qualified_at=A_MOMENT,
    rewarded_at=None,
    held_until=None,
)
EXAMPLE_FRIENDS = Friends(
    items=[
        FriendShown(
            id=A_REFERRAL,
            friend_name="Ben",
            state="rewarded",
            points=50,
            created_at=A_MOMENT,
            rewarded_at=A_MOMENT,
        )
    ],
    next_cursor=None,
    joined=1,
    rewarded=1,
    points=50,
)


@operation(
    "GET",
    "/v1/programs/{program}/referrals",
    scope="read",
    tag=TAG,
    answer=Page[ReferralShown](items=[EXAMPLE], next_cursor=None),
)
async def list_all_referrals(call: Call, query: ReferralsQuery) -> Page[ReferralShown]:
    """List referrals.

    The latest first. With `state=flagged` this is the review queue.
    """
    found = await call.read(
        list_referrals, call.program.id, state=query.state, before=_place(query), most=query.limit + 1
    )
    page = found[: query.limit]
    return Page(
        items=[_shown(each, call.program) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
    )


@operation("GET", "/v1/programs/{program}/referrals/{referral}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_referral(call: Call) -> ReferralShown:
    """Get a referral."""
    found = await call.read(find_referral, call.program.id, _named(call))
    if found is None:
        raise Problem("not-found", "There is no such referral in this programme.")
    return _shown(found, call.program)


@operation(
    "POST",
    "/v1/programs/{program}/referrals/{referral}/approve",
    scope="write",
    tag=TAG,
    answer=EXAMPLE,
    failures=("conflict",),
)
async def approve_referral(call: Call) -> ReferralShown:
    """Approve a flagged referral.

    Both get their points, once, whoever else approves it too. Limits hold all the same: look at `state`.
    """
    return await call.write(_judge, call, _named(call), approve)


@operation(
    "POST",
    "/v1/programs/{program}/referrals/{referral}/reject",
    scope="write",
    tag=TAG,
    answer=EXAMPLE,
    failures=("conflict",),
)
async def reject_referral(call: Call) -> ReferralShown:
    """Reject a flagged referral.

    Nobody gets points for it, ever.
    """
    return await call.write(_judge, call, _named(call), reject)


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/referrals",
    "/v1/me/referrals",
    scope="read",
    tag=TAG,
    answer=EXAMPLE_FRIENDS,
    customers=True,
)
async def list_friends(call: Call, query: PageQuery) -> Friends:
    """List the friends whom a customer brought."""
    found, totals = await call.read(_friends, call, _place(query), query.limit + 1)
    page, scale = found[: query.limit], call.program.settings.scale
    return Friends(
        items=[_friend(each, scale) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
        joined=totals.joined,
        rewarded=totals.rewarded,
        points=shown(totals.points, scale),
    )


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/referral-link",
    "/v1/me/referral-link",
    scope="write",
    tag=TAG,
    answer=ReferralLink(code="7K3M9QXA", link="https://cards.example/brewbar/r/7K3M9QXA"),
    customers=True,
)
async def make_referral_link(call: Call) -> ReferralLink:
    """Get a customer's referral code and link.

    Made the first time it is asked for; from then on it stays the same.
    """
    return await call.write(_link, call)


def _judge(
    conn: Connection,
    call: Call,
    referral_id: str,
    verdict: Callable[[Connection, Program, str, str], Kept],
) -> ReferralShown:
    try:
        return _shown(verdict(conn, call.program, referral_id, call.actor), call.program)
    except NotWaiting:
        if find_referral(conn, call.program.id, referral_id) is None:
            raise Problem("not-found", "There is no such referral in this programme.") from None
        raise Problem("conflict", "This referral does not wait for a judgement.") from None


def _friends(conn: Connection, call: Call, before: str | None, most: int) -> tuple[list[Referral], Totals]:
    customer_id = _whose(conn, call)
    found = referrals_of(conn, call.program.id, customer_id, before=before, most=most)
    return found, totals_of(conn, call.program.id, customer_id)


def _link(conn: Connection, call: Call) -> ReferralLink:
    code = code_for(conn, call.program, _whose(conn, call))
    return ReferralLink(code=code, link=link_by(code, call))


def _whose(conn: Connection, call: Call) -> str:
    return require_customer(conn, call, call.path.get("customer") or call.customer_id or "")


def _named(call: Call) -> str:
    name = call.path["referral"].lower()
    if not is_id(name):
        raise Problem("not-found", "There is no such referral in this programme.")
    return name


def _place(query: PageQuery) -> str | None:
    place = place_of(query.cursor)
    if place is not None and not is_id(place):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.")
    return place


def _friend(each: Referral, scale: int) -> FriendShown:
    state: Any = each.state
    return FriendShown(
        id=each.id,
        friend_name=each.friend_name,
        state=state,
        points=shown(each.points, scale),
        created_at=each.created_at,
        rewarded_at=each.rewarded_at,
    )


def _shown(found: Kept, program: Program) -> ReferralShown:
    state: Any = found.state
    scale, blocked_by = program.settings.scale, found.blocked_by
    return ReferralShown(
        id=found.id,
        state=state,
        advocate_id=found.advocate_id,
        friend_id=found.friend_id,
        action=found.action,
        advocate_points=shown(found.advocate_points, scale),
        friend_points=shown(found.friend_points, scale),
        score=score(found.signals),
        signals=[Why(code=each, weight=WEIGHTS[each], reason=REASONS[each]) for each in found.signals],
        blocked_by=Why(code=blocked_by, weight=None, reason=BLOCKED_FOR[blocked_by]) if blocked_by else None,
        order_ref=found.action_ref,
        reviewed_by=found.reviewed_by,
        created_at=found.created_at,
        qualified_at=found.qualified_at,
        rewarded_at=found.rewarded_at,
        held_until=found.held_until,
    )


ROUTES = (
    list_all_referrals,
    get_referral,
    approve_referral,
    reject_referral,
    list_friends,
    make_referral_link,
)
