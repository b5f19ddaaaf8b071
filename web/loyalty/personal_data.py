"""One person's data: all of it, to take away, or to be gone.

Both walk over the schema itself: every table with a `customer_id` is a part, so that a table added later is
exported and erased without being thought of.
"""

import hashlib
from typing import Any

from sqlalchemy import Column, String, Table, delete, select, update
from sqlalchemy.engine import Connection

from web.foundation.delivery import DEAD, DROPPED, WAITING, delivery, enqueue
from web.foundation.idempotency import forget_answers
from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.customer import customer, find_contact, message_lane
from web.loyalty.event import CUSTOMER_ERASED, event, record
from web.loyalty.identity import names_of
from web.loyalty.installation import blank_void_passes
from web.loyalty.referral import export_referrals, forget_referrals
from web.loyalty.wallet_pass import void_passes, wallet_pass

# The delivery that sweeps up after a message that was on its way to somebody while they were erased.
FORGET = "forget"
# Secrets and hashes of secrets are nobody's data, and would let a stolen export open doors.
HIDDEN = frozenset(("token", "token_hash", "jti_hash", "address_hash", "inbox_hash"))
# What the merchant's books need stays, without a name: it is tied to an id that leads nowhere any more.
KEPT_WITHOUT_NAME = frozenset(
    ("ledger_entry", "balance", "lot", "consent_event", "redemption", "coupon_code", "replaced_number")
)

# Only a keyed hash is left of an erased address, so that an import does not bring the person back.
suppression = Table(
    "suppression",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("address_tag", String(64), primary_key=True),
    Column("created_at", Moment, nullable=False),
)


def export_data(conn: Connection, program_id: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything kept of a customer, table by table, and of those who were merged into them."""
    names = names_of(conn, program_id, customer_id)
    parts = {"customer": _rows(conn, customer, customer.c.program_id == program_id, customer.c.id.in_(names))}
    for table in _tables_of_customers():
        parts[table.name] = _rows(
            conn, table, table.c.program_id == program_id, table.c.customer_id.in_(names)
        )
    visit_ids = [row["visit_id"] for row in parts["customer"] if row.get("visit_id")]
    visit_ids += [row["id"] for row in parts.get("visit", [])]
    touch = metadata.tables["touch"]
    parts["referral"] = export_referrals(conn, program_id, customer_id)
    parts["touch"] = _rows(conn, touch, touch.c.program_id == program_id, touch.c.visit_id.in_(visit_ids))
    return parts


def erase(conn: Connection, program_id: str, customer_id: str, address_tags: list[str]) -> dict[str, int]:
    """Erase a person; returns how many rows went, by table. Doing it twice does nothing more.

    Passes are voided, not deleted, until their phones have heard of it; they name nobody.
    """
    counts: dict[str, int] = {}
    now = utc_now()
    for merged in names_of(conn, program_id, customer_id)[1:]:
        erase(conn, program_id, merged, [])
    blank_void_passes(conn, program_id, customer_id)
    void_passes(conn, program_id, wallet_pass.c.customer_id == customer_id)
    visits = metadata.tables["visit"]
    touches = metadata.tables["touch"]
    visit_ids = select(customer.c.visit_id).where(
        customer.c.program_id == program_id, customer.c.id == customer_id
    )
    counts["touch"] = conn.execute(
        delete(touches).where(touches.c.program_id == program_id, touches.c.visit_id.in_(visit_ids))
    ).rowcount
    for table in (*_tables_of_customers(), visits):
        if table.name in KEPT_WITHOUT_NAME or table.name in ("wallet_pass", "event"):
            continue
        counts[table.name] = conn.execute(
            delete(table).where(table.c.program_id == program_id, table.c.customer_id == customer_id)
        ).rowcount
    conn.execute(
        update(event)
        .where(event.c.program_id == program_id, event.c.customer_id == customer_id)
        .values(properties={})
    )
    # Only now: whoever was just about to write down what follows from an event held its row until they had done so.
    _forget_deliveries(conn, program_id, customer_id)
    counts["customer"] = conn.execute(
        delete(customer).where(customer.c.program_id == program_id, customer.c.id == customer_id)
    ).rowcount
    forget_answers(conn, program_id, customer_id)
    counts["referral"] = forget_referrals(conn, program_id, customer_id)
    for tag in address_tags:
        conn.execute(
            insert_or_skip(conn, suppression).values(program_id=program_id, address_tag=tag, created_at=now)
        )
    if counts["customer"]:
        record(
            conn, program_id, CUSTOMER_ERASED, customer_id, {"certificate": certificate(customer_id, counts)}
        )
    return counts


def erase_customer(conn: Connection, program_id: str, customer_id: str, sealer: Sealer) -> dict[str, int]:
    """Erase a person and keep them from coming back by an import; returns how many rows went, by table."""
    contact = find_contact(conn, program_id, customer_id)
    addresses = [address for address in (contact.email, contact.phone) if address] if contact else []
    tags = [suppression_tag(address, program_id, sealer) for address in addresses]
    counts = erase(conn, program_id, customer_id, tags)
    # A message may be on its way at this very moment; what it leaves behind is swept up after it.
    enqueue(
        conn,
        program_id,
        FORGET,
        message_lane(customer_id),
        {"customer_id": customer_id, "addresses": addresses},
    )
    return counts


def suppression_tag(address: str, program_id: str, sealer: Sealer) -> str:
    """What is kept of an erased address: it leads nowhere without the secret key."""
    return sealer.tag(address.lower(), f"suppression/{program_id}")


def is_suppressed(conn: Connection, program_id: str, address_tags: list[str]) -> bool:
    """Whether one of these addresses was erased here before."""
    return (
        conn.scalar(
            select(suppression.c.address_tag)
            .where(suppression.c.program_id == program_id, suppression.c.address_tag.in_(address_tags))
            .limit(1)
        )
        is not None
    )


def certificate(customer_id: str, counts: dict[str, int]) -> str:
    """A short mark of what was erased, which the person may keep and the merchant can find again."""
    told = f"{customer_id}:{sorted(counts.items())}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _tables_of_customers() -> list[Table]:
    return [
        table
        for table in metadata.sorted_tables
        if "customer_id" in table.c and "program_id" in table.c and table.name != "visit"
    ]


def _rows(conn: Connection, table: Table, *where: Any) -> list[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in HIDDEN]
    return [dict(row._mapping) for row in conn.execute(select(*columns).where(*where))]


def _forget_deliveries(conn: Connection, program_id: str, customer_id: str) -> None:
    """What is on its way to this person, or tells others of them, is not sent any more, and is forgotten."""
    theirs = select(event.c.id).where(event.c.program_id == program_id, event.c.customer_id == customer_id)
    conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id == program_id,
            delivery.c.lane.startswith(message_lane(customer_id)) | delivery.c.event_id.in_(theirs),
            delivery.c.state.in_((WAITING, DEAD)),
        )
        .values(payload={}, state=DROPPED, ended_at=utc_now())
    )
