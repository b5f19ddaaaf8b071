"""Referrals: who brought whom, and what waits for a person's judgement."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at, place_of
from web.api.problems import Problem, invalid_parameter
from web.api.shapes import A_CUSTOMER, A_LOCATION, A_MOMENT, Id, Output, PointsShown, shown
from web.foundation.schema import is_id
from web.loyalty.program import Program
from web.loyalty.program_settings import ReferralAction
from web.loyalty.referral import (
    Kept,
    find_referral,
    list_referrals,
)
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
        list_referrals, call.program.id, state=query.state, before=page_before(query), most=query.limit + 1
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


def _named(call: Call) -> str:
    name = call.path["referral"].lower()
    if not is_id(name):
        raise Problem("not-found", "There is no such referral in this programme.")
    return name


def page_before(query: PageQuery) -> str | None:
    """The id of the last referral of the page before. Raises: Problem."""
    place = place_of(query.cursor)
    if place is not None and not is_id(place):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.")
    return place


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
)
