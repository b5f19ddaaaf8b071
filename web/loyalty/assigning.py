"""Assigning coupons, and what becomes of them: used once, taken back, or over.

Assigning locks the customer's balance, so that of one customer one thing happens at a time; then it takes the code.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    func,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.foundation.schema import insert_or_skip, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty import code_pool
from web.loyalty.balance import lock_balance
from web.loyalty.coupon import Coupon, find_coupon, tell_low_once
from web.loyalty.coupon_code import ASSIGNED, RUNNING, Assigned, coupon_code, find_assigned, find_held
from web.loyalty.customer import find_contact
from web.loyalty.event import COUPON_ASSIGNED, COUPON_RUNNING_LOW, COUPON_USED, record
from web.loyalty.pass_item import void_item_of_coupon
from web.loyalty.program import Program
from web.loyalty.redemption import CODE_LENGTH
from web.loyalty.refusal import Refusal
from web.loyalty.wallet_pass import wallet_pass

# A random code meets another one of the programme once in 2^40 / all of its codes.
CODE_TRIES = 5


class CannotAssign(Refusal):
    """A coupon that this customer does not get, or cannot use. `code` names the rule; nothing was changed."""

    code = "cannot_assign"
    advice = N_("This coupon cannot be given now.")


class CouponGone(CannotAssign):
    code = "coupon_gone"
    advice = N_("This coupon is not given any more, or not yet.")


class NoSuchCustomer(CannotAssign):
    code = "unknown_customer"
    advice = N_("This customer is not there any more.")


class NeedsCard(CannotAssign):
    code = "needs_card"
    advice = N_("This coupon is for those who have their card in a wallet.")


class HasItAlready(CannotAssign):
    code = "has_it_already"
    advice = N_("This customer has this coupon already.")


class NoCouponsLeft(CannotAssign):
    code = "no_codes_left"
    advice = N_("There are no codes left. Load more of them first.")


class CouponNotGood(CannotAssign):
    """There is no such coupon, or it cannot be used: `state` is unknown, used, expired or revoked."""

    code = "coupon_not_good"
    advice = N_("This coupon is not good, or not any more.")

    def __init__(self, state: str) -> None:
        super().__init__(state=state)
        self.state = state


def assign(
    conn: Connection,
    program: Program,
    which: str,
    customer_id: str,
    *,
    key: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> Assigned:
    """Give a customer a coupon, named by its id or slug. The same key gives the same one again.

    Raises: CannotAssign in all its kinds; nothing was changed then.
    """
    now = now or utc_now()
    given = find_coupon(conn, program.id, which)
    if given is None:
        raise CouponGone
    if find_contact(conn, program.id, customer_id) is None:
        raise NoSuchCustomer
    # Whoever was merged into another by now is that other.
    customer_id = lock_balance(conn, program.id, customer_id).customer_id
    of_them = (coupon_code.c.coupon_id == given.id, coupon_code.c.customer_id == customer_id)
    known = find_held(conn, program.id, *of_them, coupon_code.c.key == key)
    if known is not None:
        return known
    _refuse(conn, program, given, customer_id, now)
    assigned_id = _keep(conn, program, given, customer_id, key, actor, now)
    made = find_held(conn, program.id, coupon_code.c.id == assigned_id)
    assert made is not None, "it was just made"
    properties = {**_said(program, made), "expiresAt": made.expires_at}
    record(conn, program.id, COUPON_ASSIGNED, customer_id, properties)
    if given.code_source == "pool" and given.low_stock is not None:
        _tell_if_low(conn, program, given, given.low_stock)
    return made


def use(
    conn: Connection,
    program: Program,
    which: str,
    *,
    customer_id: str | None = None,
    location_id: str | None = None,
    order_ref: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Assigned:
    """A coupon was applied: its code, as somebody typed it, or its id, is good no more.

    The same order may say so again. With `customer_id` the code that all holders share is found, too.

    Raises: CouponNotGood.
    """
    now = now or utc_now()
    was = find_assigned(conn, program.id, which, customer_id)
    if was is None:
        raise CouponNotGood("unknown")
    is_theirs = (coupon_code.c.program_id == program.id) & (coupon_code.c.id == was.id)
    used = conn.execute(
        update(coupon_code)
        .where(is_theirs, ASSIGNED, or_(coupon_code.c.expires_at.is_(None), coupon_code.c.expires_at > now))
        .values(state="used", used_at=now, location_id=location_id, order_ref=order_ref, actor=actor)
    ).rowcount
    made = find_held(conn, program.id, coupon_code.c.id == was.id)
    assert made is not None, "it was there a moment ago, and is never deleted"
    if used:
        order = {"orderId": order_ref} if order_ref else {}
        place = {"locationId": location_id} if location_id else {}
        void_item_of_coupon(conn, program.id, made.id)
        record(conn, program.id, COUPON_USED, made.customer_id, {**_said(program, made), **order, **place})
        return made
    if made.state == "used" and order_ref is not None and made.order_ref == order_ref:
        return made
    raise CouponNotGood("expired" if made.state == "assigned" else made.state)


def revoke(conn: Connection, program: Program, assigned_id: str, actor: str | None = None) -> Assigned:
    """Take a coupon back that was not used. Done twice it is done once. Raises: CouponNotGood."""
    revoked = conn.execute(
        update(coupon_code)
        .where(coupon_code.c.program_id == program.id, coupon_code.c.id == assigned_id, ASSIGNED)
        .values(state="revoked", ended_at=utc_now(), actor=actor)
    ).rowcount
    if revoked:
        void_item_of_coupon(conn, program.id, assigned_id)
    made = find_held(conn, program.id, coupon_code.c.id == assigned_id)
    if made is None or made.state != "revoked":
        raise CouponNotGood(made.state if made else "unknown")
    return made


def expire(conn: Connection, program: Program, assigned_id: str, now: datetime) -> bool:
    """Mark one coupon whose time is over; it was not good any more before that. False if that was done already."""
    return bool(
        conn.execute(
            update(coupon_code)
            .where(
                coupon_code.c.program_id == program.id,
                coupon_code.c.id == assigned_id,
                RUNNING,
                coupon_code.c.expires_at <= now,
            )
            .values(state="expired", ended_at=coupon_code.c.expires_at)
        ).rowcount
    )


def _refuse(conn: Connection, program: Program, given: Coupon, customer_id: str, now: datetime) -> None:
    begins, ends = given.starts_at, given.ends_at
    if not given.active or (begins is not None and now < begins) or (ends is not None and ends <= now):
        raise CouponGone
    has = conn.scalar(
        select(func.count()).where(
            coupon_code.c.program_id == program.id,
            coupon_code.c.coupon_id == given.id,
            coupon_code.c.customer_id == customer_id,
            coupon_code.c.state != "revoked",
        )
    )
    if has is not None and has >= given.most_each:
        raise HasItAlready
    if given.needs_card and not conn.scalar(
        select(wallet_pass.c.id)
        .where(
            wallet_pass.c.program_id == program.id,
            wallet_pass.c.customer_id == customer_id,
            wallet_pass.c.status == "installed",
        )
        .limit(1)
    ):
        raise NeedsCard


def _keep(
    conn: Connection,
    program: Program,
    given: Coupon,
    customer_id: str,
    key: str,
    actor: str | None,
    now: datetime,
) -> str:
    ends = [given.ends_at] if given.ends_at else []
    ends += [now + timedelta(days=given.good_days)] if given.good_days else []
    row: dict[str, Any] = {
        "program_id": program.id,
        "id": new_id(),
        "coupon_id": given.id,
        "customer_id": customer_id,
        "key": key,
        "state": "assigned",
        "assigned_at": now,
        "expires_at": min(ends, default=None),
        "actor": actor,
    }
    for _ in range(CODE_TRIES):
        row["code"] = _new_code(conn, program, given, row["id"])
        if conn.execute(insert_or_skip(conn, coupon_code).values(row)).rowcount:
            return str(row["id"])
    raise NoCouponsLeft


def _new_code(conn: Connection, program: Program, given: Coupon, taker: str) -> str | None:
    if given.code_source == "shared":
        return None
    if given.code_source == "generated":
        return new_code(CODE_LENGTH)
    code = code_pool.take_code(conn, program.id, given.id, taker)
    if code is None:
        raise NoCouponsLeft
    return code


def _tell_if_low(conn: Connection, program: Program, given: Coupon, low: int) -> None:
    left = code_pool.codes_left(conn, program.id, given.id, most=low + 1)
    if left <= low and tell_low_once(conn, program.id, given.id):
        name = program.settings.say(given.name, program.settings.default_language)
        properties = {"couponId": given.id, "couponName": name, "codesLeft": left}
        record(conn, program.id, COUPON_RUNNING_LOW, None, properties)


def _said(program: Program, made: Assigned) -> dict[str, Any]:
    name = program.settings.say(made.name, program.settings.default_language)
    return {"couponId": made.coupon_id, "couponName": name, "code": made.code}
