"""What becomes of referrals when two customers turn out to be one: they go on with the customer that remains.

The hard rules are asked again for those that wait: what was a referral between two may be one of somebody by
themselves now, and a friend who turns out to have been here before is not new. What was paid stays paid.
"""

from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import Connection

from web.loyalty.customer import customer
from web.loyalty.referral import BLOCKED, FLAGGED, JOINED, Kept, lock_referrals, move, referral, referral_to
from web.loyalty.referral_start import CYCLE, EXISTED, THEMSELVES, came_through, tell_blocked

_WAITING = (JOINED, FLAGGED)


def hand_over_referrals(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """Let one customer's referrals be another's, both how they came and whom they brought.

    Under the locks of both balances. A referral that cannot be carried over stays with the old name, blocked if it
    waited: the friend came by another already, or it would be one of somebody by themselves.
    """
    for found in lock_referrals(conn, program_id, from_id):
        _hand_over(conn, found, from_id, into_id)


def _hand_over(conn: Connection, found: Kept, from_id: str, into_id: str) -> None:
    advocate_id, friend_id = (
        into_id if each == from_id else each for each in (found.advocate_id, found.friend_id)
    )
    came_before = friend_id != found.friend_id and referral_to(conn, found.program_id, friend_id) is not None
    reason = None
    if found.state in _WAITING:
        reason = _blocked_by(conn, found, advocate_id, friend_id, came_before=came_before)
    values: dict[str, Any] = {"state": BLOCKED, "blocked_by": reason} if reason else {}
    if not came_before and advocate_id != friend_id:
        values |= {"advocate_id": advocate_id, "friend_id": friend_id}
        if advocate_id != found.advocate_id:
            values |= _turns_after(conn, found, advocate_id)
    if values:
        move(conn, found.program_id, found.id, (found.state,), **values)
    if reason:
        tell_blocked(conn, found.program_id, found.id, advocate_id, friend_id, [reason])


def _blocked_by(
    conn: Connection, found: Kept, advocate_id: str, friend_id: str, *, came_before: bool
) -> str | None:
    if advocate_id == friend_id:
        return THEMSELVES
    if came_through(conn, found.program_id, advocate_id, friend_id):
        return CYCLE
    is_older = friend_id != found.friend_id and _was_here_before(conn, found, friend_id)
    return EXISTED if came_before or is_older else None


def _was_here_before(conn: Connection, found: Kept, customer_id: str) -> bool:
    its = customer.c
    since = conn.scalar(
        select(its.created_at).where(its.program_id == found.program_id, its.id == customer_id)
    )
    return since is not None and since < found.created_at


def _turns_after(conn: Connection, found: Kept, advocate_id: str) -> dict[str, int]:
    """The turns that a paid referral takes behind those of its new advocate: both together have the limits of one."""
    its = referral.c
    mine = (its.program_id == found.program_id) & (its.id == found.id)
    paid = conn.execute(select(its.paid_day, its.paid_month, its.life_turn).where(mine)).one()
    if paid.life_turn is None:
        return {}

    def next_of(turn: ColumnElement[Any], *where: ColumnElement[bool]) -> int:
        theirs = (its.program_id == found.program_id) & (its.advocate_id == advocate_id)
        return int(conn.scalar(select(func.max(turn)).where(theirs, *where)) or 0) + 1

    return {
        "day_turn": next_of(its.day_turn, its.paid_day == paid.paid_day),
        "month_turn": next_of(its.month_turn, its.paid_month == paid.paid_month),
        "life_turn": next_of(its.life_turn),
    }
