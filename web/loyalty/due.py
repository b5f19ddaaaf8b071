"""What becomes due by the passing of time alone: points that were held back, points that run out, and a word of it.

Each is done for one customer under the lock of their balance, and finds nothing to do when it is done again.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.loyalty import lot
from web.loyalty.aftermath import conclude, pay_debt
from web.loyalty.balance import lock_balance
from web.loyalty.booking import Booked, Order, asked_hash, write_entry
from web.loyalty.event import POINTS_EXPIRED, POINTS_EXPIRING, record
from web.loyalty.expiry import last_day, next_warning, start_of_day
from web.loyalty.ledger import AVAILABLE, EXPIRED, PENDING
from web.loyalty.program import Program

RELEASED, RAN_OUT = N_("Ready to be spent"), N_("Ran out")


def release_due(conn: Connection, program: Program, customer_id: str, now: datetime) -> Booked | None:
    """Let what was held back be spent, once its time has come and unless it was taken back before (L20)."""
    held = lock_balance(conn, program.id, customer_id)
    lots = lot.due_lots(conn, program.id, held.customer_id, now, "release")
    amount, before = sum(its.remaining for its in lots), held.available
    if not amount:
        return None
    order = Order(key=None, reason=RELEASED, source="clock")
    asked = asked_hash("release", customer_id, amount, order)
    entry_id = write_entry(conn, held, "release", PENDING, AVAILABLE, amount, order, asked)
    lot.release(conn, lots)
    pay_debt(conn, before, entry_id, lots)
    return conclude(conn, program, held, before, entry_id, amount, order)


def expire_due(conn: Connection, program: Program, customer_id: str, now: datetime) -> Booked | None:
    """Let points run out whose day is over; what was spent before cannot run out any more (L11)."""
    held = lock_balance(conn, program.id, customer_id)
    lots = lot.due_lots(conn, program.id, held.customer_id, now, "expiry")
    amount, before = sum(its.remaining for its in lots), held.available
    if not amount:
        return None
    if program.settings.points.mirror:
        # Whether points run out is the other system's to say; these are from before it kept them.
        lot.change_end(conn, program.id, lots, None, None)
        return None
    order = Order(key=None, reason=RAN_OUT, source="clock")
    asked = asked_hash("expire", customer_id, amount, order)
    entry_id = write_entry(conn, held, "expire", AVAILABLE, EXPIRED, amount, order, asked)
    lot.use(conn, entry_id, [(its, its.remaining) for its in lots])
    record(
        conn,
        program.id,
        POINTS_EXPIRED,
        held.customer_id,
        {
            "amount": amount,
            "balance": held.available,
            "scale": program.settings.scale,
            "txnId": entry_id,
        },
    )
    return conclude(conn, program, held, before, entry_id, amount, order)


def warn_due(conn: Connection, program: Program, customer_id: str, now: datetime) -> None:
    """Tell them what runs out soon: the most urgent day only, so that nobody is told twice on one morning."""
    timezone = program.settings.timezone
    held = lock_balance(conn, program.id, customer_id)
    lots = lot.due_lots(conn, program.id, held.customer_id, now, "warning")
    for its in lots:
        again = next_warning(its.expires_at, timezone, now)
        lot.change_end(conn, program.id, [its], its.expires_at, again)
    ends = min((its.expires_at for its in lots if its.expires_at and its.expires_at > now), default=None)
    if ends is None or program.settings.points.mirror:
        return
    zone, last = ZoneInfo(timezone), last_day(ends, timezone)
    day_begins, day_ends = start_of_day(last, zone), start_of_day(last + timedelta(days=1), zone)
    record(
        conn,
        program.id,
        POINTS_EXPIRING,
        held.customer_id,
        {
            "amount": lot.amount_expiring(conn, program.id, held.customer_id, day_begins, day_ends),
            "balance": held.available,
            "scale": program.settings.scale,
            "expiresAt": ends.isoformat(),
            "daysLeft": (last - now.astimezone(zone).date()).days,
        },
    )
