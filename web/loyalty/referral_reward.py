"""How a referral ends: the friend did what was asked, and both get their points, once, or neither does.

Whatever arrives twice, late or at the same moment as another finds the row moved on already. Of one advocate one
referral is paid at a time, under the lock of their balance, so that limits hold.
"""

import contextlib
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.foundation.schema import utc_now
from web.loyalty import points
from web.loyalty.balance import lock_balance
from web.loyalty.booking import LedgerError, Order
from web.loyalty.customer import customer, find_contact
from web.loyalty.earning import take_back
from web.loyalty.event import (
    ACCOUNT_VERIFIED,
    CARD_INSTALLED,
    CUSTOMER_CREATED,
    REFERRAL_COMPLETED,
    Event,
    record,
)
from web.loyalty.expiry import hold_until
from web.loyalty.identity import resolve
from web.loyalty.program import Program
from web.loyalty.program_settings import ReferralAction
from web.loyalty.referral import (
    BLOCKED,
    FLAGGED,
    JOINED,
    QUALIFIED,
    REVERSED,
    REWARDED,
    Kept,
    find_referral,
    key_of,
    move,
    referral,
    referral_to,
)
from web.loyalty.referral_signals import FLAG_AT, Purchase, of_purchase, score
from web.loyalty.referral_start import CAP, OWNER_GONE, REJECTED, person_of, tell_blocked
from web.loyalty.wallet_pass import passes_of

BROUGHT, CAME = N_("You brought a friend"), N_("Welcome: a friend brought you")
RETURNED = N_("The purchase was returned")

# What a recorded event says that the friend did.
ACTIONS: dict[str, ReferralAction] = {
    CUSTOMER_CREATED: "register",
    ACCOUNT_VERIFIED: "verify",
    CARD_INSTALLED: "install",
}


class NotWaiting(Exception):
    """The referral does not wait for a judgement: there is none of this id, or it was judged."""


def on_event(conn: Connection, program: Program, event: Event) -> None:
    """What an event means for the referral of its customer. The worker calls it; repeats change nothing."""
    action = ACTIONS.get(event.name)
    if action == "register" and "referralCode" not in event.properties:
        return
    if action is not None and event.customer_id is not None:
        waiting = referral_to(conn, program.id, resolve(conn, program.id, event.customer_id))
        if waiting is not None and waiting.action == action:
            _qualify(conn, program, waiting, None, [])


def on_purchase(conn: Connection, program: Program, customer_id: str, purchase: Purchase) -> None:
    """A customer paid: if they are a friend whose first purchase was asked for, this is it. Repeats change nothing."""
    # A till may go on with the old name of somebody who is another customer now.
    waiting = referral_to(conn, program.id, resolve(conn, program.id, customer_id))
    if waiting is None or waiting.action != "first_purchase" or waiting.state != JOINED:
        return
    if purchase.amount < max(1, waiting.min_amount):
        return
    signals = of_purchase(person_of(conn, program.id, waiting.advocate_id), purchase)
    _qualify(conn, program, waiting, purchase.ref, signals)


def on_refund(conn: Connection, program: Program, ref: str, remaining: int) -> None:
    """Something of an order went back; `remaining` is what it is still worth, in minor units of money.

    Below what was asked for, both sides lose what the referral gave. It does not begin anew with the next purchase.
    """
    for completed in _completed_by(conn, program.id, ref):
        if remaining >= max(1, completed.min_amount):
            continue
        reversed_ = move(conn, program.id, completed.id, (REWARDED, FLAGGED, QUALIFIED), state=REVERSED)
        for side, entry_id in _entries(reversed_):
            # Whoever took it back by hand before has done it already.
            with contextlib.suppress(points.NotReversible):
                points.reverse(conn, program, entry_id, _order(completed, side, RETURNED, "returned"))
        if reversed_ is not None:
            order = _order(completed, "advocate", RETURNED, "flow returned")
            take_back(conn, program, reversed_.advocate_id, key_of(completed.id), order)


def catch_up(conn: Connection, program: Program, customer_id: str) -> None:
    """Somebody turned out to be one who had done before what their referral waits for: it goes on."""
    waiting = referral_to(conn, program.id, customer_id)
    if waiting is None or waiting.state != JOINED:
        return
    who = find_contact(conn, program.id, customer_id)
    if waiting.action == "verify":
        is_done = who is not None and bool(who.email_verified_at or who.phone_verified_at)
    else:
        passes = passes_of(conn, program.id, customer_id) if waiting.action == "install" else []
        is_done = any(each.status == "installed" for each in passes)
    if is_done:
        _qualify(conn, program, waiting, None, [])


def approve(conn: Connection, program: Program, referral_id: str, actor: str) -> Kept:
    """A person looked at a flagged referral and found it good: it is paid, once, whoever else approves it too.

    Limits and hard rules hold as ever; the answer's `state` says what came of it. Raises: NotWaiting.
    """
    found = move(conn, program.id, referral_id, (FLAGGED,), state=QUALIFIED, reviewed_by=actor)
    if found is None:
        raise NotWaiting(referral_id)
    _pay(conn, program, found)
    return _now(conn, found)


def reject(conn: Connection, program: Program, referral_id: str, actor: str) -> Kept:
    """A person looked at a flagged referral and refused it, for good. Raises: NotWaiting."""
    found = move(
        conn, program.id, referral_id, (FLAGGED,), state=BLOCKED, blocked_by=REJECTED, reviewed_by=actor
    )
    if found is None:
        raise NotWaiting(referral_id)
    _tell_blocked(conn, found, found.signals)
    return found


def _qualify(conn: Connection, program: Program, waiting: Kept, ref: str | None, more: list[str]) -> None:
    """The friend did what was asked. One statement decides which of two that say so goes on."""
    signals = [*waiting.signals, *(signal for signal in more if signal not in waiting.signals)]
    state = FLAGGED if score(signals) >= FLAG_AT else QUALIFIED
    found = move(
        conn,
        program.id,
        waiting.id,
        (JOINED,),
        state=state,
        signals=signals,
        action_ref=ref,
        qualified_at=utc_now(),
    )
    if found is not None and state == QUALIFIED:
        _pay(conn, program, found)


def _pay(conn: Connection, program: Program, found: Kept) -> None:
    """Book both sides' points. Where another system keeps the points it is told, and books them itself."""
    if not _both_are_there(conn, found):
        _block(conn, found, OWNER_GONE)
        return
    # Always in the same order, so that two payments never wait for each other.
    for customer_id in sorted((found.advocate_id, found.friend_id)):
        lock_balance(conn, program.id, customer_id)
    turn = _next_turn(conn, program, found.advocate_id)
    if turn is None:
        _block(conn, found, CAP)
        return
    try:
        with conn.begin_nested():
            _book(conn, program, found, turn)
    except LedgerError:
        # One of the two accounts takes no more. Nobody else's events shall wait for that.
        _block(conn, found, CAP)
        return
    for role, own, other, gained in (
        ("advocate", found.advocate_id, found.friend_id, found.advocate_points),
        ("friend", found.friend_id, found.advocate_id, found.friend_points),
    ):
        told = {
            "role": role,
            "referralId": found.id,
            "otherCustomerId": other,
            "points": gained,
            "qualifyingAction": found.action,
        }
        record(conn, program.id, REFERRAL_COMPLETED, own, told)


def _book(conn: Connection, program: Program, found: Kept, turn: dict[str, Any]) -> None:
    if program.settings.points.mirror:
        move(conn, program.id, found.id, (QUALIFIED,), **turn)
        return
    now, program = utc_now(), _with_hold(program, found.hold_days)
    entries: dict[str, str | None] = {}
    for side, customer_id, amount, reason in (
        ("advocate", found.advocate_id, found.advocate_points, BROUGHT),
        ("friend", found.friend_id, found.friend_points, CAME),
    ):
        if amount:
            order = _order(found, side, reason, "reward")
            booked = points.earn(conn, program, customer_id, amount, order, hold=True)
            entries[f"{side}_entry_id"] = booked.entry_id
    held = hold_until(program.settings.points, now)
    move(
        conn,
        program.id,
        found.id,
        (QUALIFIED,),
        state=REWARDED,
        rewarded_at=now,
        held_until=held,
        **turn,
        **entries,
    )


def _with_hold(program: Program, days: int) -> Program:
    """The programme with a referral's own waiting time: a friend's purchase may come back later than others'."""
    settings = program.settings
    rules = msgspec.structs.replace(settings.points, hold_days=days)
    return msgspec.structs.replace(program, settings=msgspec.structs.replace(settings, points=rules))


def _next_turn(conn: Connection, program: Program, advocate_id: str) -> dict[str, Any] | None:
    """The advocate's next turn of each limit; None where one of them is reached.

    The caller holds the advocate's balance. Unique rules of the table stand behind this count.
    """
    rules, its = program.settings.referral, referral.c
    today = utc_now().astimezone(ZoneInfo(program.settings.timezone))
    day, month = f"{today:%Y-%m-%d}", f"{today:%Y-%m}"

    def next_of(turn: ColumnElement[Any], *where: ColumnElement[bool]) -> int:
        taken = conn.scalar(
            select(func.max(turn)).where(its.program_id == program.id, its.advocate_id == advocate_id, *where)
        )
        return int(taken or 0) + 1

    turns = {
        "day_turn": (next_of(its.day_turn, its.paid_day == day), rules.most_a_day),
        "month_turn": (next_of(its.month_turn, its.paid_month == month), rules.most_a_month),
        "life_turn": (next_of(its.life_turn), rules.most_ever),
    }
    if any(most is not None and turn > most for turn, most in turns.values()):
        return None
    return {"paid_day": day, "paid_month": month, **{name: turn for name, (turn, _) in turns.items()}}


def _both_are_there(conn: Connection, found: Kept) -> bool:
    """Whether both are customers still, under these very names."""
    there = conn.scalar(
        select(func.count())
        .select_from(customer)
        .where(
            customer.c.program_id == found.program_id,
            customer.c.id.in_((found.advocate_id, found.friend_id)),
            customer.c.merged_into.is_(None),
        )
    )
    return there == 2


def _block(conn: Connection, found: Kept, reason: str) -> None:
    move(conn, found.program_id, found.id, (QUALIFIED,), state=BLOCKED, blocked_by=reason)
    _tell_blocked(conn, found, [reason])


def _tell_blocked(conn: Connection, found: Kept, why: list[str]) -> None:
    tell_blocked(conn, found.program_id, found.id, found.advocate_id, found.friend_id, why)


def _completed_by(conn: Connection, program_id: str, ref: str) -> list[Kept]:
    ids = conn.scalars(
        select(referral.c.id).where(referral.c.program_id == program_id, referral.c.action_ref == ref)
    ).all()
    return [found for its_id in ids if (found := find_referral(conn, program_id, its_id))]


def _entries(found: Kept | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    both = (("advocate", found.advocate_entry_id), ("friend", found.friend_entry_id))
    return [(side, entry_id) for side, entry_id in both if entry_id is not None]


def _order(found: Kept, side: str, reason: str, verb: str) -> Order:
    return Order(
        key=f"referral:{found.id}:{side}:{verb}",
        reason=reason,
        source="referral",
        source_ref=found.id,
        detail={"action": found.action, "order": found.action_ref},
    )


def _now(conn: Connection, found: Kept) -> Kept:
    present = find_referral(conn, found.program_id, found.id)
    assert present is not None, "a referral is never deleted"
    return present
