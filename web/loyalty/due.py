"""What becomes due by the passing of time alone: points that were held back, and points that run out.

Each is done for one customer under the lock of their balance, and finds nothing to do when it is done again.
"""

from datetime import datetime

from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.loyalty import lot
from web.loyalty.aftermath import conclude, pay_debt
from web.loyalty.balance import lock_balance
from web.loyalty.booking import Booked, Order, asked_hash, write_entry
from web.loyalty.event import POINTS_EXPIRED, record
from web.loyalty.ledger import AVAILABLE, EXPIRED, PENDING
from web.loyalty.program import Program

RELEASED, RAN_OUT = N_("Ready to be spent"), N_("Ran out")


def release_due(conn: Connection, program: Program, customer_id: str, now: datetime) -> Booked | None:
    """Let what was held back be spent, once its time has come and unless it was taken back before (L20)."""
    held = lock_balance(conn, program.id, customer_id)
    lots = lot.due_lots(conn, program.id, customer_id, now, held=True)
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
    lots = lot.due_lots(conn, program.id, customer_id, now, held=False)
    amount, before = sum(its.remaining for its in lots), held.available
    if not amount:
        return None
    order = Order(key=None, reason=RAN_OUT, source="clock")
    asked = asked_hash("expire", customer_id, amount, order)
    entry_id = write_entry(conn, held, "expire", AVAILABLE, EXPIRED, amount, order, asked)
    lot.use(conn, entry_id, [(its, its.remaining) for its in lots])
    record(
        conn,
        program.id,
        POINTS_EXPIRED,
        customer_id,
        {
            "amount": amount,
            "balance": held.available,
            "scale": program.settings.scale,
            "txnId": entry_id,
        },
    )
    return conclude(conn, program, held, before, entry_id, amount, order)
