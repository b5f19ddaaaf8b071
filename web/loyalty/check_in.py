"""A check-in: a customer was in a shop, and showed it."""

from datetime import datetime

import msgspec
from sqlalchemy import Column, Index, String, Table, UniqueConstraint, exists, insert, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, new_id, utc_now
from web.loyalty import event
from web.loyalty.balance import lock_balance
from web.loyalty.earning import Execution, happened_to
from web.loyalty.earning_rules import CHECK_IN, Happening
from web.loyalty.ledger import Amount
from web.loyalty.location import UnknownLocation, location
from web.loyalty.program import Program

check_in = Table(
    "check_in",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("location_id", Id, nullable=False),
    # Who sends the same check-in twice was there once.
    Column("key", String(120), nullable=False),
    Column("points", Amount, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("program_id", "key", name="uq_check_in_key"),
)
Index("ix_check_in_customer", check_in.c.program_id, check_in.c.customer_id, check_in.c.location_id)


class CheckedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a check-in. `executions` say why it gave points, or did not; none where it is a repeat."""

    location_name: str
    points: int
    is_first_visit: bool
    executions: tuple[Execution, ...] = ()
    is_repeat: bool = False


def check_in_at(
    conn: Connection,
    program: Program,
    customer_id: str,
    location_id: str,
    *,
    key: str,
    at: datetime | None = None,
    source: str = "pos",
) -> CheckedIn:
    """Note that a customer is in a shop, and let the check-in flows judge it. The same key counts once.

    A check-in that earns nothing is one all the same. Raises: UnknownLocation.
    """
    at = at or utc_now()
    customer_id = lock_balance(conn, program.id, customer_id).customer_id
    name = conn.scalar(
        select(location.c.name).where(location.c.program_id == program.id, location.c.id == location_id)
    )
    if name is None:
        raise UnknownLocation(location_id)
    mine = (check_in.c.program_id == program.id) & (check_in.c.customer_id == customer_id)
    known = conn.scalar(select(check_in.c.points).where(mine, check_in.c.key == key))
    if known is not None:
        return CheckedIn(location_name=name, points=known, is_first_visit=False, is_repeat=True)
    is_first = not conn.scalar(select(exists().where(mine, check_in.c.location_id == location_id)))
    happened = Happening(at=at, location_id=location_id, channel="in_store")
    executions = happened_to(
        conn, program, customer_id, CHECK_IN, happened, key=f"check-in:{key}", source=source
    )
    points = sum(each.points for each in executions)
    conn.execute(
        insert(check_in).values(
            program_id=program.id,
            id=new_id(),
            customer_id=customer_id,
            location_id=location_id,
            key=key,
            points=points,
            at=at,
        )
    )
    told = {
        "locationId": location_id,
        "locationName": name,
        "points": points,
        "recurrence": executions[0].recurrence if executions else "unlimited",
        "firstVisit": is_first,
    }
    event.record(conn, program.id, event.CHECK_IN, customer_id, told)
    return CheckedIn(location_name=name, points=points, is_first_visit=is_first, executions=tuple(executions))
