"""What a merchant's own loyalty system says of a customer: their number there, since when, their standing there."""

from datetime import datetime

import msgspec
from sqlalchemy import Column, String, Table, delete, insert, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, utc_now

membership = Table(
    "membership",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("loyalty_customer_id", String(120), nullable=False),
    Column("member_since", Moment, nullable=False),
    Column("tier_status", String(80)),
    Column("updated_at", Moment, nullable=False),
)


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's standing in the other system."""

    loyalty_customer_id: str
    member_since: datetime
    tier_status: str | None


def keep_membership(conn: Connection, program_id: str, customer_id: str, told: Membership) -> None:
    """Keep what was told, in the place of what was told before."""
    values = {**msgspec.structs.asdict(told), "updated_at": utc_now()}
    known = conn.execute(
        update(membership)
        .where(membership.c.program_id == program_id, membership.c.customer_id == customer_id)
        .values(**values)
    ).rowcount
    if not known:
        conn.execute(insert(membership).values(program_id=program_id, customer_id=customer_id, **values))


def forget_membership(conn: Connection, program_id: str, customer_id: str) -> None:
    conn.execute(
        delete(membership).where(
            membership.c.program_id == program_id, membership.c.customer_id == customer_id
        )
    )
