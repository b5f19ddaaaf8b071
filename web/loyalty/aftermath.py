"""What follows from an entry: debts are paid, the balance is saved, and what happened is told."""

from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import lot
from web.loyalty.balance import Balance, save_balance
from web.loyalty.booking import Booked, Order
from web.loyalty.event import BALANCE_CHANGED, REWARD_AVAILABLE, record
from web.loyalty.expiry import expiry_of, next_warning
from web.loyalty.offer import cost_of, is_offered, level_of, offer_of
from web.loyalty.program import Program
from web.loyalty.wallet_pass import SILENT


def pay_debt(conn: Connection, before: int, entry_id: str, lots: list[lot.Lot]) -> None:
    """Where the customer owed points, what came in pays that first."""
    owed, parts = max(0, -before), list[tuple[lot.Lot, int]]()
    for its in lots:
        part = min(owed, its.remaining)
        parts.append((its, part))
        owed -= part
    lot.use(conn, entry_id, parts)


def conclude(
    conn: Connection, program: Program, held: Balance, before: int, entry_id: str, amount: int, order: Order
) -> Booked:
    """Save the balance and say what happened to it."""
    rules = program.settings.points
    # Only what somebody does keeps points alive, not the clock.
    if rules.expiry == "rolling" and order.source != "clock" and held.available > 0:
        timezone, now = program.settings.timezone, utc_now()
        renewed = expiry_of(rules, timezone, order.at or now)
        assert renewed is not None, "rolling points run out"
        lot.renew(conn, program.id, held.customer_id, renewed, next_warning(renewed, timezone, now))
    if order.is_history:
        held.speaks = SILENT
    save_balance(conn, held)
    if held.available != before and not order.is_history:
        record(
            conn,
            program.id,
            BALANCE_CHANGED,
            held.customer_id,
            _changed(program, held, before, entry_id, order),
        )
        _tell_of_rewards(conn, program, held, before)
    return what_is_left(held, entry_id, amount)


def _changed(program: Program, held: Balance, before: int, entry_id: str, order: Order) -> dict[str, object]:
    """The properties of "Balance changed" (events-links-consent 5.1)."""
    settings = program.settings
    return {
        "direction": "increase" if held.available > before else "decrease",
        "amount": abs(held.available - before),
        "balance": held.available,
        "balanceBefore": before,
        "unit": settings.texts_in(settings.default_language).points_name or "points",
        "scale": settings.scale,
        "reason": order.reason,
        "source": order.source,
        "sourceRef": order.source_ref,
        "txnId": entry_id,
    }


def _tell_of_rewards(conn: Connection, program: Program, held: Balance, before: int) -> None:
    """Each reward that came within reach with this change, once for each crossing (B24): one that can be had."""
    now, level = utc_now(), level_of(program, held.tier_id, held.tier_points)
    for reward in program.rewards:
        if not before < cost_of(reward) <= held.available or not is_offered(reward, now):
            continue
        if offer_of(program, reward, held.available, level, 0, now).state == "ready":
            properties = {
                "rewardId": reward.id,
                "rewardTitle": program.settings.say(reward.title, program.settings.default_language),
                "cost": reward.cost,
                "balance": held.available,
            }
            record(conn, program.id, REWARD_AVAILABLE, held.customer_id, properties)


def what_is_left(held: Balance, entry_id: str | None, amount: int) -> Booked:
    return Booked(
        entry_id=entry_id,
        amount=amount,
        available=held.available,
        pending=held.pending,
        reserved=held.reserved,
    )
