"""Redeeming: points, stock, limit and code change hands in one transaction, or nothing does.

What decides is read under two locks, always taken in this order: the reward's row, where there is a stock to be
taken from, then the customer's balance. Last comes the code, of which each transaction takes another.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import update
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.foundation.schema import insert_or_skip, is_id, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty import code_pool, points
from web.loyalty.balance import Balance, lock_balance
from web.loyalty.booking import KeyReused, NotEnough, Order
from web.loyalty.customer import Contact, find_contact
from web.loyalty.offer import (
    CodeNotGood,
    LimitReached,
    NoCodesLeft,
    NotNow,
    NotVerified,
    OutOfRange,
    OutOfStock,
    RewardGone,
    TierTooLow,
    UnknownCustomer,
    WrongChannel,
    is_offered,
    level_of,
    offer_of,
)
from web.loyalty.points import InMirrorMode
from web.loyalty.program import Program
from web.loyalty.redemption import (
    CODE_LENGTH,
    Redemption,
    Where,
    count_of,
    find_by_code,
    find_redemption,
    find_where,
    redemption,
    redemptions_in,
)
from web.loyalty.redemption_told import tell_of, title_of
from web.loyalty.reward import Reward, change_stock, find_reward

RESERVED_MINUTES = 10
# A random code meets another one of the programme once in 2^40 / all of its codes.
CODE_TRIES = 5
NOT_USED = N_("Not used in time")


def redeem(
    conn: Connection,
    program: Program,
    customer_id: str,
    reward_id: str,
    *,
    channel: Where,
    key: str,
    actor: str | None = None,
    hold: bool = False,
    location_id: str | None = None,
    now: datetime | None = None,
) -> Redemption:
    """Redeem a reward: at once, or with `hold` in two steps, whose second is `issue` or `cancel` (C27).

    A held one has its points, its place in the stock and its code set aside for ten minutes.
    The same key gives the same redemption again.

    Raises: CannotRedeem in all its kinds, NotEnough, InMirrorMode, KeyReused. Nothing was changed then.
    """
    now = now or utc_now()
    offered = _lock_stock(conn, program, reward_id)
    if find_contact(conn, program.id, customer_id) is None:
        raise UnknownCustomer
    held = lock_balance(conn, program.id, customer_id)
    # Whoever was merged into another by now is that other.
    who = find_contact(conn, program.id, held.customer_id)
    assert who is not None, "a balance is somebody's"
    known = find_where(conn, program.id, redemption.c.key == key)
    if known is not None:
        if (known.customer_id, known.reward_id) != (who.id, reward_id):
            raise KeyReused(key)
        return known
    if offered is None or not is_offered(offered, now):
        raise RewardGone
    _refuse(conn, program, who, held, offered, channel, now)
    row: dict[str, Any] = {
        "program_id": program.id,
        "id": new_id(),
        "customer_id": who.id,
        "reward_id": reward_id,
        "key": key,
        "state": "reserved" if hold else "issued",
        "channel": channel,
        "cost": offered.cost,
        "created_at": now,
        "reserved_until": now + timedelta(minutes=RESERVED_MINUTES) if hold else None,
        "location_id": location_id,
        "actor": actor,
    }
    if not hold:
        row |= _issued(offered, now)
    _write(conn, program, offered, who, row)
    made = _found(conn, program, row["id"])
    if not hold:
        tell_of(conn, program, made, offered)
    return made


def issue(
    conn: Connection,
    program: Program,
    redemption_id: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Redemption:
    """The second step of a held redemption: the points are spent, and the code is good. Once, whoever asks.

    Raises: CodeNotGood, also where the ten minutes are over.
    """
    now = now or utc_now()
    was = _lock(conn, program, redemption_id)
    if was.state in ("issued", "used"):
        return was
    if was.state != "reserved" or (was.reserved_until is not None and was.reserved_until <= now):
        raise CodeNotGood("expired" if was.state == "reserved" else was.state)
    bought = find_reward(conn, program.id, was.reward_id)
    assert bought is not None, "rewards are put away, never deleted"
    entry_id = was.entry_id
    if entry_id is not None:
        order = Order(
            key=f"settle:{was.id}",
            reason=title_of(program, bought),
            source="reward",
            source_ref=was.id,
            actor=actor,
        )
        entry_id = points.settle(conn, program, entry_id, order).entry_id
    made = _change(conn, program, was, state="issued", entry_id=entry_id, **_issued(bought, now))
    tell_of(conn, program, made, bought)
    return made


def mark_used(
    conn: Connection,
    program: Program,
    which: str,
    *,
    location_id: str | None = None,
    order_ref: str | None = None,
    actor: str | None = None,
    device_id: str | None = None,
    now: datetime | None = None,
) -> Redemption:
    """The reward was handed over: its code, as somebody typed it, or its id, is good no more.

    The same order may say so again. Raises: CodeNotGood.
    """
    now = now or utc_now()
    was = find_redemption(conn, program.id, which) if is_id(which) else find_by_code(conn, program.id, which)
    if was is None:
        raise CodeNotGood("unknown")
    was = _lock(conn, program, was.id)
    if was.state == "used" and order_ref is not None and was.order_ref == order_ref:
        return was
    if was.state != "issued":
        raise CodeNotGood(was.state)
    if was.expires_at is not None and was.expires_at <= now:
        raise CodeNotGood("expired")
    made = _change(
        conn,
        program,
        was,
        state="used",
        used_at=now,
        location_id=location_id or was.location_id,
        order_ref=order_ref,
        actor=actor or was.actor,
    )
    if made.channel == "in_store" and was.location_id is None:
        bought = find_reward(conn, program.id, made.reward_id)
        assert bought is not None, "rewards are put away, never deleted"
        tell_of(conn, program, made, bought, device_id)
    return made


def cancel(conn: Connection, program: Program, redemption_id: str, order: Order) -> Redemption:
    """Give a reward back, whether it was held, issued or used: an order that is returned returns it, too (B3).

    The points are in their lots again. Done twice it is done once. Raises: CodeNotGood where it had expired.
    """
    was = _lock(conn, program, redemption_id)
    if was.state == "returned":
        return was
    if was.state == "expired":
        raise CodeNotGood("expired")
    return _end(conn, program, was, "returned", order, utc_now())


def return_order(
    conn: Connection, program: Program, order_ref: str, order: Order, customer_id: str | None = None
) -> list[Redemption]:
    """Give back whatever was redeemed in an order that was returned or cancelled, by one customer or by anybody.

    Each of them once, whoever asks again; `order.key` is not needed for that.
    """
    once = msgspec.structs.replace(order, key=None)
    return [
        cancel(conn, program, each.id, once)
        for each in redemptions_in(conn, program.id, order_ref, customer_id)
    ]


def lock_rewards_in(conn: Connection, program: Program, order_ref: str, customer_id: str) -> None:
    """For who is going to lock the customer's balance and may then `return_order`: rewards are locked first."""
    for reward_id in sorted(
        {each.reward_id for each in redemptions_in(conn, program.id, order_ref, customer_id)}
    ):
        _lock_stock(conn, program, reward_id)


def lapse(conn: Connection, program: Program, redemption_id: str, now: datetime) -> Redemption | None:
    """Give the points of one redemption back if its time is over and nothing else became of it; else None."""
    was = _lock(conn, program, redemption_id)
    ends = {"reserved": was.reserved_until, "issued": was.expires_at}.get(was.state)
    if ends is None or ends > now:
        return None
    order = Order(key=f"lapse:{was.id}", reason=NOT_USED, source="clock", source_ref=was.id)
    return _end(conn, program, was, "expired", order, now)


def _refuse(
    conn: Connection,
    program: Program,
    who: Contact,
    held: Balance,
    wanted: Reward,
    channel: Where,
    now: datetime,
) -> None:
    """Raises: whatever stands between this customer and this reward, judged by rows that are locked."""
    if "redeem" in program.settings.flows.require_verified_for and not (
        who.email_verified_at or who.phone_verified_at
    ):
        raise NotVerified
    if wanted.channel not in ("both", channel):
        raise WrongChannel
    if program.settings.points.mirror and wanted.cost:
        raise InMirrorMode("another system keeps this programme's points: redeem there")
    used = count_of(conn, program, who.id, wanted.id, wanted.limit_period, now) if wanted.limit_count else 0
    level = level_of(program, held.tier_id, held.tier_points)
    offer = offer_of(program, wanted, held.available, level, used, now)
    match offer.state:
        case "not_yet":
            assert wanted.starts_at is not None, "what begins has a beginning"
            raise NotNow(wanted.starts_at)
        case "tier":
            raise TierTooLow
        case "sold_out":
            raise OutOfStock
        case "used_up":
            raise LimitReached(offer.until)
        case "short" if held.available < wanted.cost:
            raise NotEnough(held.available, wanted.cost)
        case "short" | "range":
            raise OutOfRange(wanted.redeemable_from, wanted.redeemable_to)


def _write(conn: Connection, program: Program, bought: Reward, who: Contact, row: dict[str, Any]) -> None:
    """Take the code, the stock and the points, and keep what they were taken for."""
    row["code"] = _new_code(conn, program, bought, row["id"])
    if bought.stock is not None:
        change_stock(conn, program.id, bought.id, -1)
    if bought.cost:
        order = Order(
            key=f"redeem:{row['id']}",
            reason=title_of(program, bought, who.locale),
            source="reward",
            source_ref=row["id"],
            actor=row["actor"],
            at=row["created_at"],
            detail={"rewardId": bought.id, "channel": row["channel"]},
        )
        take = points.reserve if row["state"] == "reserved" else points.spend
        row["entry_id"] = take(conn, program, who.id, bought.cost, order).entry_id
    for _ in range(CODE_TRIES):
        if conn.execute(insert_or_skip(conn, redemption).values(row)).rowcount:
            return
        if find_where(conn, program.id, redemption.c.key == row["key"]):
            raise KeyReused(row["key"])
        row["code"] = _new_code(conn, program, bought, row["id"])
    raise NoCodesLeft


def _new_code(conn: Connection, program: Program, bought: Reward, taker: str) -> str:
    if bought.code_source == "generated":
        return new_code(CODE_LENGTH)
    code = code_pool.take_code(conn, program.id, bought.id, taker)
    if code is None:
        raise NoCodesLeft
    return code


def _issued(bought: Reward, now: datetime) -> dict[str, Any]:
    minutes = bought.code_minutes
    return {"issued_at": now, "expires_at": None if minutes is None else now + timedelta(minutes=minutes)}


def _lock(conn: Connection, program: Program, redemption_id: str) -> Redemption:
    """A redemption that nobody else can change until the commit. Raises: CodeNotGood."""
    seen = find_redemption(conn, program.id, redemption_id)
    if seen is None:
        raise CodeNotGood("unknown")
    _lock_stock(conn, program, seen.reward_id)
    lock_balance(conn, program.id, seen.customer_id)
    return _found(conn, program, redemption_id)


def _lock_stock(conn: Connection, program: Program, reward_id: str) -> Reward | None:
    """The reward, and where it has a stock, nobody else changes it until the commit."""
    found = find_reward(conn, program.id, reward_id)
    if found is None or found.stock is None:
        return found
    return find_reward(conn, program.id, reward_id, lock=True)


def _end(
    conn: Connection, program: Program, was: Redemption, state: str, order: Order, now: datetime
) -> Redemption:
    """Give back what was taken: points to their lots, the place in the stock, and a code that nobody saw."""
    if was.entry_id is not None:
        points.give_back(conn, program, was.entry_id, order)
    change_stock(conn, program.id, was.reward_id, +1)
    unseen: dict[str, Any] = {}
    if was.state == "reserved":
        code_pool.put_back(conn, program.id, was.id)
        unseen = {"code": None}
    return _change(conn, program, was, state=state, ended_at=now, **unseen)


def _change(conn: Connection, program: Program, was: Redemption, **columns: Any) -> Redemption:
    conn.execute(
        update(redemption)
        .where(redemption.c.program_id == program.id, redemption.c.id == was.id)
        .values(**columns)
    )
    return _found(conn, program, was.id)


def _found(conn: Connection, program: Program, redemption_id: str) -> Redemption:
    found = find_redemption(conn, program.id, redemption_id)
    assert found is not None, "it was there a moment ago, and is never deleted"
    return found
