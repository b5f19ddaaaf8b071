"""Taking back what an earning gave, and giving back what a spending took: from which lots, and who bears the rest.

What is taken back of an earning comes out of its own lot first. What ran out in that lot is gone already, and is not
asked for again. What was spent is taken from the rest of the balance: below zero where the programme allows debts,
and where it does not, the programme bears it. What was borne is written off in the lot, and stays so: when a spending
is given back afterwards, the written-off part of it does not return. Otherwise whoever buys, redeems, and returns
first the purchase and then the reward would keep the points of both.
"""

from typing import Any

from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import lot
from web.loyalty.balance import Balance
from web.loyalty.booking import Order, write_entry
from web.loyalty.expiry import grace_from
from web.loyalty.ledger import ADJUSTED, AVAILABLE, EXPIRED, ISSUED, PENDING, Entry
from web.loyalty.program import Program


def claw_back(
    conn: Connection,
    program: Program,
    held: Balance,
    earned: Entry,
    wanted: int,
    order: Order,
    asked: str,
    tier_points: int,
    tier_money: int,
) -> str:
    """Write the reversal of `wanted` points of an earning, from wherever they are now; returns the entry's id."""
    its_lot = lot.lot_of(conn, program.id, earned.id)
    assert its_lot is not None, "whatever gives points opens a lot"
    tier: dict[str, Any] = {"tier_points": tier_points, "tier_money": tier_money, "reverses_id": earned.id}
    if its_lot.is_pending:
        entry_id = write_entry(conn, held, "reverse", PENDING, ISSUED, wanted, order, asked, **tier)
        lot.use(conn, entry_id, [(its_lot, wanted)])
        return entry_id
    there = max(0, held.available)
    in_lot = min(wanted, its_lot.remaining)
    gone = min(wanted - in_lot, max(0, lot.ran_out(conn, its_lot) - its_lot.written_off))
    allows_debt = program.settings.points.negative == "allow"
    takes = wanted - gone if allows_debt else min(wanted - gone, there)
    borne = wanted - takes
    if not takes:
        entry_id = write_entry(conn, held, "reverse", ADJUSTED, ISSUED, wanted, order, asked, **tier)
    else:
        entry_id = write_entry(
            conn, held, "reverse", AVAILABLE, ISSUED, takes, order, asked, in_all=wanted, **tier
        )
        lot.use(conn, entry_id, [(its_lot, in_lot)])
        lot.take(conn, program.id, held.customer_id, entry_id, min(takes, there) - in_lot)
    if takes and borne:
        rest = without_key(order)
        write_entry(conn, held, "reverse", ADJUSTED, ISSUED, borne, rest, asked, reverses_id=earned.id)
    if borne:
        its_lot.remaining -= in_lot
        lot.write_off(conn, its_lot, borne)
    return entry_id


def return_spent(
    conn: Connection,
    program: Program,
    held: Balance,
    spent: Entry,
    taken_by: str,
    order: Order,
    asked: str,
) -> str:
    """Write the return of all that `spent` took, to the lots it came from; returns the entry's id (L13).

    `taken_by` is the entry that took it out of the lots: another one where it was set aside first and settled later.
    """
    owed, kept, barred = max(0, -held.available), list[tuple[lot.Lot, int]](), list[tuple[lot.Lot, int]]()
    for its, part in lot.used_by(conn, program.id, taken_by):
        stays_away = min(part, its.written_off)
        barred.append((its, stays_away))
        pays = min(owed, part - stays_away)
        owed -= pays
        kept.append((its, part - stays_away - pays))
    lost = sum(part for _, part in barred)
    comes = spent.amount - lost
    # What does not return is the programme's gain, in another account than the one that it leaves.
    gains = ADJUSTED if spent.credit != ADJUSTED else EXPIRED
    entry_id, its_order = "", order
    for account, amount in ((AVAILABLE, comes), (gains, lost)):
        if amount:
            written = write_entry(
                conn,
                held,
                "give_back",
                spent.credit,
                account,
                amount,
                its_order,
                asked,
                reverses_id=spent.id,
                in_all=spent.amount,
            )
            entry_id, its_order = entry_id or written, without_key(order)
    grace_ends = grace_from(program.settings.points, utc_now())
    lot.give_back(conn, entry_id, [(its, part) for its, part in kept if part], grace_ends)
    for its, part in barred:
        if part:
            lot.write_off(conn, its, -part)
    return entry_id


def without_key(order: Order) -> Order:
    """The same order for the second entry of a pair: the key is the first one's."""
    return Order(
        key=None, reason=order.reason, source=order.source, source_ref=order.source_ref, actor=order.actor
    )
