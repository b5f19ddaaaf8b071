"""What counts towards a tier, counted again from what was written down: entries, and purchases that made none.

Money that earns no points moves no account, so the ledger has no entry of it; the record of purchases and of their
refunds does.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from web.loyalty.ledger import ledger_entry
from web.loyalty.purchase_record import purchase, purchase_refund


class Counted(NamedTuple):
    """Minor units of points, and of the currency."""

    points: int
    money: int


def counted_since(conn: Connection, program_id: str, names: Sequence[str], since: datetime) -> Counted:
    """What one person gathered from a moment on, less what was taken back; `names` are all ids of theirs.

    It counts when it is booked: what is told late counts in the cycle that runs then.
    """
    its = ledger_entry.c
    booked = conn.execute(
        select(func.sum(its.tier_points), func.sum(its.tier_money)).where(
            its.program_id == program_id, its.customer_id.in_(names), its.at >= since
        )
    ).one()
    money = int(booked[1] or 0) + _paid_without_points(conn, program_id, names, since)
    return Counted(int(booked[0] or 0), money - _refunded_without_points(conn, program_id, names, since))


def _paid_without_points(conn: Connection, program_id: str, names: Sequence[str], since: datetime) -> int:
    its = purchase.c
    paid = conn.scalar(
        select(func.sum(its.counted)).where(
            its.program_id == program_id,
            its.customer_id.in_(names),
            its.entry_id.is_(None),
            its.created_at >= since,
        )
    )
    return int(paid or 0)


def _refunded_without_points(conn: Connection, program_id: str, names: Sequence[str], since: datetime) -> int:
    its = purchase_refund.c
    rows = conn.execute(
        select(its.lines.label("back"), purchase.c.lines)
        .join(purchase, (purchase.c.program_id == its.program_id) & (purchase.c.id == its.purchase_id))
        .where(
            its.program_id == program_id,
            purchase.c.customer_id.in_(names),
            its.entry_id.is_(None),
            its.at >= since,
        )
    )
    return sum(row.back.get(line["id"], 0) for row in rows for line in row.lines if not line.get("gift_card"))
