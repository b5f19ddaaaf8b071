"""A purchase: what an order earned, by which lines, and what its refunds take back.

For each flow it holds always, and exactly: what was given less what was taken back, plus what is carried, is what the
money that was kept is worth. No order gives back more than it gave, and a full refund gives back just that.
"""

import hashlib
from fractions import Fraction
from typing import Any

import msgspec
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.loyalty import held_tier, points, referral_reward
from web.loyalty.balance import Balance, lock_balance, save_balance
from web.loyalty.booking import KeyReused, Order
from web.loyalty.earning import judge
from web.loyalty.earning_flow import flows_of
from web.loyalty.earning_record import carried, earning, keep_carried, keep_earning
from web.loyalty.earning_rules import PURCHASE, Evaluation, Happening, Trace
from web.loyalty.program import Program
from web.loyalty.purchase_record import (
    LONGEST_REF,
    Paid,
    Refund,
    find_purchase,
    find_refund,
    keep_purchase,
    keep_refund,
    key_of,
    within,
)
from web.loyalty.redeeming import lock_rewards_in, return_order
from web.loyalty.referral_signals import Purchase

BOUGHT, REFUNDED, CANCELLED = N_("Purchase"), N_("Refund"), N_("Order cancelled")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an order gave or a refund took back, in minor units of points; `traces` say why."""

    purchase_id: str
    points: int
    entry_id: str | None
    traces: tuple[Trace, ...] = ()
    is_repeat: bool = False


class NoSuchOrder(Exception):
    """This order never earned anything here."""


def order_paid(conn: Connection, program: Program, customer_id: str, order: Paid) -> Outcome:
    """Let every purchase flow judge an order. The same order again gives the same answer and nothing more.

    What it earns waits for the programme's `hold_days`. Raises: KeyReused for another order of this name, and what
    `points.earn` raises; ValueError where two lines have the same id.
    """
    if len({line.id for line in order.lines}) < len(order.lines):
        raise ValueError("each line of an order needs an id of its own")
    counted = sum(line.amount for line in order.lines if not line.gift_card)
    # First, because it locks two balances in an order of its own.
    referral_reward.on_purchase(conn, program, customer_id, _for_referral(order, counted))
    held = lock_balance(conn, program.id, customer_id)
    # Who was named may have become another customer since.
    customer_id = held.customer_id
    asked = _sum_of(order)
    if known := find_purchase(conn, program.id, order.source, order.id):
        if (known.asked_hash, known.customer_id) != (asked, customer_id):
            raise KeyReused(key_of(order.source, order.id, "earn"))
        return _told_before(conn, program.id, known)
    happened = Happening(
        at=order.paid_at, location_id=order.location_id, channel=order.channel, lines=order.lines
    )
    # In a programme that mirrors another system's points the order is noted, for its tier.
    flows = [] if program.settings.points.mirror else flows_of(conn, program.id, PURCHASE)
    verdicts = [judge(conn, program, flow, held, happened) for flow in flows if flow.active]
    booking = Order(
        key=key_of(order.source, order.id, "earn"),
        reason=order.reason or BOUGHT,
        source=order.source[:40],
        source_ref=order.id,
        at=order.paid_at,
    )
    total = sum(verdict.points for verdict in verdicts)
    if total:
        earned = points.earn(conn, program, customer_id, total, booking, hold=True, money=counted)
        entry_id = earned.entry_id
    else:
        entry_id = None
        _count_money(conn, program, held, counted, booking)
    purchase_id = keep_purchase(conn, program.id, customer_id, order, counted, entry_id, asked)
    for verdict in verdicts:
        _keep_verdict(conn, program.id, customer_id, booking, happened, verdict, entry_id, purchase_id)
    return Outcome(
        purchase_id=purchase_id,
        points=total,
        entry_id=entry_id,
        traces=tuple(verdict.trace for verdict in verdicts),
    )


def order_refunded(conn: Connection, program: Program, source: str, order_id: str, refund: Refund) -> Outcome:
    """Take back what the refunded money earned, rounded on all refunds of the order together.

    Raises: NoSuchOrder, KeyReused, ValueError for a line that the order does not have.
    """
    return _take_back(conn, program, source, order_id, refund, f"refund:{refund.id}", REFUNDED)


def order_cancelled(conn: Connection, program: Program, source: str, order_id: str) -> Outcome:
    """Take back all that is left of what an order earned. Raises: NoSuchOrder."""
    return _take_back(conn, program, source, order_id, Refund(id="cancel"), "cancel", CANCELLED)


def _take_back(
    conn: Connection, program: Program, source: str, order_id: str, refund: Refund, what: str, reason: str
) -> Outcome:
    what = within(LONGEST_REF, what)
    found = find_purchase(conn, program.id, source, order_id)
    if found is None:
        raise NoSuchOrder(f"{source} {order_id}")
    lock_rewards_in(conn, program, order_id, found.customer_id)
    held = lock_balance(conn, program.id, found.customer_id)
    asked = _sum_of([what, refund])
    if known := find_refund(conn, program.id, found.id, what):
        if known.asked_hash != asked:
            raise KeyReused(key_of(source, order_id, what))
        return Outcome(purchase_id=found.id, points=known.points, entry_id=known.entry_id, is_repeat=True)
    # Read again under the lock: another refund may have been booked while we waited for it.
    found = find_purchase(conn, program.id, source, order_id)
    assert found is not None, "it was just there"
    back, refunded = _refund_lines(found, refund)
    if all(refunded[line["id"]] == line["amount"] for line in found.lines):
        # Before anything is taken: the points that paid for its rewards may be needed (B3).
        returned = Order(key=None, reason=reason, source=source[:40], source_ref=order_id)
        return_order(conn, program, order_id, returned, found.customer_id)
        held = lock_balance(conn, program.id, found.customer_id)
    total = sum(
        _settle(conn, program.id, row, found, refunded) for row in _earnings(conn, program.id, found.id)
    )
    booking = Order(
        key=key_of(source, order_id, what), reason=reason, source=source[:40], source_ref=order_id
    )
    money = sum(amount for line_id, amount in back.items() if line_id in _counted_lines(found))
    entry_id = None
    if total:
        entry_id = points.reverse(conn, program, found.entry_id, booking, amount=total, money=money).entry_id
    else:
        _count_money(conn, program, held, -money, booking)
    keep_refund(conn, program.id, found, what, back, refunded, total, entry_id, asked)
    kept = found.counted - sum(refunded[line_id] for line_id in _counted_lines(found))
    referral_reward.on_refund(conn, program, f"{source}:{order_id}", kept)
    return Outcome(purchase_id=found.id, points=total, entry_id=entry_id)


def _refund_lines(found: Any, refund: Refund) -> tuple[dict[str, int], dict[str, int]]:
    """What this refund gives back by line, never more than was paid, and what all of them together did."""
    before: dict[str, int] = found.refunded
    left = {line["id"]: line["amount"] - before.get(line["id"], 0) for line in found.lines}
    if unknown := sorted(refund.lines.keys() - left.keys()):
        raise ValueError(f"the order has no line {', '.join(unknown)}")
    asked = refund.lines or left
    back = {line_id: min(amount, left[line_id]) for line_id, amount in asked.items()}
    return back, {line_id: before.get(line_id, 0) + back.get(line_id, 0) for line_id in left}


def _settle(conn: Connection, program_id: str, row: Any, found: Any, refunded: dict[str, int]) -> int:
    """What one flow takes back now; what it is worth and what is taken differ by what is carried."""
    before = sum(found.refunded.get(line_id, 0) for line_id in row.line_ids)
    after = sum(refunded[line_id] for line_id in row.line_ids)
    if not row.base or after == before:
        return 0
    takes = points.share(row.points, after, row.base) - row.taken_back
    left = carried(conn, program_id, found.customer_id, row.flow_id)
    left += takes - row.exact * Fraction(after - before, row.base)
    keep_carried(conn, program_id, found.customer_id, row.flow_id, left)
    values: dict[str, Any] = {"taken_back": row.taken_back + takes}
    if after == row.base:
        # An order that was taken back in full does not use up anybody's turn.
        values |= {"slot": None, "turn": None}
    conn.execute(
        update(earning).where(earning.c.program_id == program_id, earning.c.id == row.id).values(values)
    )
    return int(takes)


def _count_money(conn: Connection, program: Program, held: Balance, money: int, order: Order) -> None:
    """Money without points moves no account, but a tier may count it."""
    if money:
        held_tier.follow(conn, program, held, 0, money, order)
        save_balance(conn, held)


def _counted_lines(found: Any) -> set[str]:
    return {line["id"] for line in found.lines if not line.get("gift_card")}


def _told_before(conn: Connection, program_id: str, known: Any) -> Outcome:
    rows = _earnings(conn, program_id, known.id)
    return Outcome(
        purchase_id=known.id,
        points=sum(row.points for row in rows),
        entry_id=known.entry_id,
        traces=tuple(msgspec.convert(row.trace, Trace) for row in rows),
        is_repeat=True,
    )


def _keep_verdict(
    conn: Connection,
    program_id: str,
    customer_id: str,
    booking: Order,
    happened: Happening,
    verdict: Evaluation,
    entry_id: str | None,
    purchase_id: str,
) -> None:
    if verdict.is_granted:
        keep_carried(conn, program_id, customer_id, verdict.trace.flow_id, verdict.left)
    assert booking.key is not None
    keep_earning(
        conn,
        program_id,
        customer_id,
        booking.key,
        happened,
        verdict,
        entry_id=entry_id if verdict.points else None,
        purchase_id=purchase_id,
    )


def _for_referral(order: Paid, counted: int) -> Purchase:
    return Purchase(
        ref=f"{order.source}:{order.id}",
        amount=counted,
        number=order.number,
        email=order.email,
        name=order.name,
    )


def _earnings(conn: Connection, program_id: str, purchase_id: str) -> list[Any]:
    return list(
        conn.execute(
            select(earning).where(earning.c.program_id == program_id, earning.c.purchase_id == purchase_id)
        )
    )


def _sum_of(asked: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
