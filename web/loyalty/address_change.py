"""Changing an e-mail address or phone: both the address one has and the new one must say yes.

Whoever holds a session but not the old inbox cannot take the card over; whoever mistypes the new address cannot lose
it. Support may answer for an old inbox that is lost.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from web.foundation.address import Email, Phone, inbox_key
from web.foundation.document import object_of, one_of
from web.foundation.schema import Id, Moment, metadata, new_id, utc_now
from web.loyalty.customer import customer, find_by_address
from web.loyalty.event import ADDRESS_CHANGE_REQUESTED, ADDRESS_CHANGED, record
from web.loyalty.link import revoke_links
from web.loyalty.session import end_sessions

LIFETIME = timedelta(days=1)
Side = Literal["old", "new"]

address_change = Table(
    "address_change",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("channel", String(5), nullable=False),
    Column("value", String(254), nullable=False),
    Column("key", String(254), nullable=False),
    Column("old_agreed_at", Moment),
    Column("new_agreed_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    CheckConstraint("channel in ('email', 'phone')", name="channel_is_known"),
)
Index("uq_address_change_customer", address_change.c.program_id, address_change.c.customer_id, unique=True)


class AddressChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change under way. `value` is the new address."""

    id: str
    customer_id: str
    channel: Literal["email", "phone"]
    value: str
    key: str
    old_agreed_at: datetime | None
    new_agreed_at: datetime | None


_COLUMNS = tuple(address_change.c[name] for name in AddressChange.__struct_fields__)


def pending_change_in(program_id: ColumnElement[str], customer_id: ColumnElement[str]) -> ColumnElement[str]:
    """The change that still waits for an answer, as part of a document; it has the parameter `now`."""
    return one_of(
        object_of(_COLUMNS),
        address_change.c.program_id == program_id,
        address_change.c.customer_id == customer_id,
        address_change.c.expires_at > bindparam("now"),
    )


def request_change(
    conn: Connection, program_id: str, customer_id: str, email: Email | None, phone: Phone | None
) -> str:
    """Begin a change, in the place of one that is under way. Both sides are written to. Returns its id.

    Whether the new address has a card already is not told here: its owner is written to like anybody.
    """
    pending_change = (
        address_change.c.program_id == program_id,
        address_change.c.customer_id == customer_id,
    )
    conn.execute(delete(address_change).where(*pending_change))
    change_id, now = new_id(), utc_now()
    conn.execute(
        insert(address_change).values(
            program_id=program_id,
            id=change_id,
            customer_id=customer_id,
            channel="email" if email else "phone",
            value=email.value if email else phone.e164 if phone else "",
            key=email.key if email else phone.e164 if phone else "",
            created_at=now,
            expires_at=now + LIFETIME,
        )
    )
    record(conn, program_id, ADDRESS_CHANGE_REQUESTED, customer_id, {"changeId": change_id})
    return change_id


def pending_change(conn: Connection, program_id: str, customer_id: str) -> AddressChange | None:
    """The change that still waits for an answer."""
    row = conn.execute(
        select(*_COLUMNS).where(
            address_change.c.program_id == program_id,
            address_change.c.customer_id == customer_id,
            address_change.c.expires_at > utc_now(),
        )
    ).one_or_none()
    return None if row is None else AddressChange(**row._mapping)


def agree(
    conn: Connection, program_id: str, customer_id: str, side: Side
) -> Literal["waiting", "changed", "gone"]:
    """One side says yes. With both, the address changes and every session and link of the customer ends.

    "gone": there is no such change any more, or the new address has become another customer's.
    """
    now = utc_now()
    # One statement, so that of two who agree at the same moment the second one sees the first.
    row = conn.execute(
        update(address_change)
        .where(
            address_change.c.program_id == program_id,
            address_change.c.customer_id == customer_id,
            address_change.c.expires_at > now,
        )
        .values({f"{side}_agreed_at": now})
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        return "gone"
    change = AddressChange(**row._mapping)
    if change.old_agreed_at is None or change.new_agreed_at is None:
        return "waiting"
    return _carry_out(conn, program_id, change)


def cancel_change(conn: Connection, program_id: str, customer_id: str) -> None:
    conn.execute(
        delete(address_change).where(
            address_change.c.program_id == program_id, address_change.c.customer_id == customer_id
        )
    )


def _carry_out(conn: Connection, program_id: str, change: AddressChange) -> Literal["changed", "gone"]:
    cancel_change(conn, program_id, change.customer_id)
    now = utc_now()
    values = (
        {
            "email": change.value,
            "email_key": change.key,
            "inbox_key": inbox_key(change.key),
            "email_verified_at": now,
        }
        if change.channel == "email"
        else {"phone": change.value, "phone_verified_at": now}
    )
    email = Email(change.value, change.key) if change.channel == "email" else None
    phone = Phone(change.value) if change.channel == "phone" else None
    owner = find_by_address(conn, program_id, email, phone)
    if owner not in (None, change.customer_id):
        return "gone"
    try:
        with conn.begin_nested():
            conn.execute(
                update(customer)
                .where(customer.c.program_id == program_id, customer.c.id == change.customer_id)
                .values(**values, updated_at=now)
            )
    except IntegrityError:
        return "gone"
    # In this order: a link that opens a session at this moment is waited for, and its session ends too.
    revoke_links(conn, program_id, change.customer_id)
    end_sessions(conn, program_id, change.customer_id)
    record(conn, program_id, ADDRESS_CHANGED, change.customer_id, {"channel": change.channel})
    return "changed"
