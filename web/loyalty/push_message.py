"""A message to a customer's card: written down with what became of it, and queued where a phone can show it."""

from typing import Literal

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, String, Table, insert
from sqlalchemy.engine import Connection

from web.foundation.delivery import enqueue
from web.foundation.schema import Id, Moment, metadata, new_id, utc_now
from web.loyalty.customer import message_lane
from web.loyalty.wallet_pass import passes_of

# The delivery by which the wallets' rooms show a message on the phones.
PUSH = "push"
Status = Literal["queued", "notDelivered"]

push_message = Table(
    "push_message",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("text", String(240), nullable=False),
    Column("url", String(500)),
    Column("status", String(16), nullable=False),
    Column("actor", String(120), nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("status in ('queued', 'notDelivered')", name="status_is_known"),
)
Index("ix_push_message_customer", push_message.c.program_id, push_message.c.customer_id, push_message.c.id)


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was taken; `not_delivered_because` is empty for one that is on its way."""

    id: str
    status: Status
    not_delivered_because: str


def push(
    conn: Connection, program_id: str, customer_id: str, text: str, *, url: str | None, actor: str
) -> Pushed:
    """Send a message to every phone that holds the customer's card. Where none does, say so and send nothing."""
    holds = any(each.status == "installed" for each in passes_of(conn, program_id, customer_id))
    message_id = new_id()
    conn.execute(
        insert(push_message).values(
            program_id=program_id,
            id=message_id,
            customer_id=customer_id,
            text=text,
            url=url,
            status="queued" if holds else "notDelivered",
            actor=actor,
            created_at=utc_now(),
        )
    )
    if not holds:
        return Pushed(
            id=message_id,
            status="notDelivered",
            not_delivered_because="Pass has not been added to the wallet",
        )
    enqueue(
        conn,
        program_id,
        PUSH,
        message_lane(customer_id),
        {"customer_id": customer_id, "message_id": message_id},
    )
    return Pushed(id=message_id, status="queued", not_delivered_because="")
