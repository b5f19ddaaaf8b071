"""The record of purchases and their refunds: what was bought, what of it came back, and which entries that made."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Index, String, Table, UniqueConstraint, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, new_id, utc_now
from web.loyalty.booking import KeyReused
from web.loyalty.earning_rules import Amount, Channel, Line
from web.loyalty.ledger import Amount as AmountColumn

LONGEST_REF = 80
# As the columns of the ledger and of earnings have it.
LONGEST_KEY = 200

purchase = Table(
    "purchase",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    # Whose order it is ("shopify:brewbar.example", "pos"), and its name there.
    Column("source", String(80), nullable=False),
    Column("order_ref", String(80), nullable=False),
    Column("paid_at", Moment, nullable=False),
    Column("location_id", Id),
    Column("channel", String(8)),
    Column("lines", Json, nullable=False),
    # Minor units of the currency: what counts for tiers that count money, and what was refunded, by line.
    Column("counted", AmountColumn, nullable=False),
    Column("refunded", Json, nullable=False),
    Column("entry_id", Id),
    Column("asked_hash", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "source", "order_ref", name="uq_purchase_order"),
)
Index("ix_purchase_customer", purchase.c.program_id, purchase.c.customer_id, purchase.c.id)

purchase_refund = Table(
    "purchase_refund",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("purchase_id", Id, primary_key=True),
    Column("ref", String(LONGEST_REF), primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("lines", Json, nullable=False),
    Column("points", AmountColumn, nullable=False),
    Column("entry_id", Id),
    Column("asked_hash", String(64), nullable=False),
    Column("at", Moment, nullable=False),
)


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was paid. `source` and `id` name it; `reason` is what the customer reads.

    `number` counts this buyer's orders in the shop, `email` and `name` are what was given there, all if it says so:
    a friend's first purchase is looked at by them, and they are not kept.
    """

    source: str
    id: str
    paid_at: datetime
    lines: tuple[Line, ...]
    location_id: str | None = None
    channel: Channel | None = None
    reason: str | None = None
    number: int | None = None
    email: str | None = None
    name: str | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that was given back: minor units by line of the order; without lines, all that is left of it."""

    id: str
    lines: dict[str, Amount] = {}


def key_of(source: str, order_id: str, what: str) -> str:
    """The key under which the ledger books it once."""
    return within(LONGEST_KEY, f"order:{source}:{order_id}:{what}")


def within(most: int, name: str) -> str:
    """A name that others chose, or where it is longer than its column its SHA-256, which stands for it as well."""
    return name if len(name) <= most else hashlib.sha256(name.encode()).hexdigest()


def find_purchase(conn: Connection, program_id: str, source: str, order_id: str) -> Any:
    return conn.execute(
        select(purchase).where(
            purchase.c.program_id == program_id,
            purchase.c.source == source,
            purchase.c.order_ref == order_id,
        )
    ).one_or_none()


def find_refund(conn: Connection, program_id: str, purchase_id: str, what: str) -> Any:
    return conn.execute(
        select(purchase_refund).where(
            purchase_refund.c.program_id == program_id,
            purchase_refund.c.purchase_id == purchase_id,
            purchase_refund.c.ref == what,
        )
    ).one_or_none()


def keep_purchase(
    conn: Connection,
    program_id: str,
    customer_id: str,
    order: Paid,
    counted: int,
    entry_id: str | None,
    asked: str,
) -> str:
    purchase_id = new_id()
    made = conn.execute(
        insert_or_skip(conn, purchase).values(
            program_id=program_id,
            id=purchase_id,
            customer_id=customer_id,
            source=order.source,
            order_ref=order.id,
            paid_at=order.paid_at,
            location_id=order.location_id,
            channel=order.channel,
            lines=msgspec.to_builtins(order.lines),
            counted=counted,
            refunded={},
            entry_id=entry_id,
            asked_hash=asked,
            created_at=utc_now(),
        )
    ).rowcount
    if not made:
        # Booked at this very moment for somebody else, whose lock is not ours.
        raise KeyReused(key_of(order.source, order.id, "earn"))
    return purchase_id


def keep_refund(
    conn: Connection,
    program_id: str,
    found: Any,
    what: str,
    back: dict[str, int],
    refunded: dict[str, int],
    total: int,
    entry_id: str | None,
    asked: str,
) -> None:
    conn.execute(
        update(purchase)
        .where(purchase.c.program_id == program_id, purchase.c.id == found.id)
        .values(refunded=refunded)
    )
    conn.execute(
        insert(purchase_refund).values(
            program_id=program_id,
            purchase_id=found.id,
            ref=what,
            customer_id=found.customer_id,
            lines=back,
            points=total,
            entry_id=entry_id,
            asked_hash=asked,
            at=utc_now(),
        )
    )
