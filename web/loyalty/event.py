"""What happened, recorded in the transaction in which it happened. Everything outside follows from these rows."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Index, Integer, String, Table, exists, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, first_id_at, metadata, new_id, utc_now

# The eighteen that merchants build on; event_catalogue.py says what each carries.
CARD_INSTALLED = "Loyalty card installed"
CARD_UNINSTALLED = "Loyalty card uninstalled"
CARD_OPENED = "Loyalty card opened"
CARD_CLICKED = "Loyalty card clicked"
CAMPAIGN_ASSIGNED = "Campaign assigned"
BALANCE_CHANGED = "Balance changed"
TIER_UPGRADED = "Tier upgraded"
TIER_DOWNGRADED = "Tier downgraded"
REWARD_REDEEMED_ONLINE = "Reward redeemed (online)"
REWARD_REDEEMED_IN_STORE = "Reward redeemed (in-store)"
CUSTOMER_SCANNED = "Customer scanned on POS"
REFERRAL_COMPLETED = "Referral completed"
ACCOUNT_VERIFIED = "Account verified"
CHECK_IN = "Check-in at location"
CUSTOMER_CREATED = "Customer created"
CUSTOMER_BIRTHDAY = "Customer birthday"
CUSTOMER_TAPPED = "Customer tapped"
WALLET_PASS_REQUESTED = "Wallet pass requested"
# Further ones, told to those who ask for them by name.
COUPON_ASSIGNED = "Coupon assigned"
COUPON_USED = "Coupon used"
COUPON_RUNNING_LOW = "Coupon running low"
POINTS_EXPIRING = "Points expiring"
POINTS_EXPIRED = "Points expired"
CONSENT_CHANGED = "Consent changed"
REFERRAL_STARTED = "Referral started"
REFERRAL_BLOCKED = "Referral blocked"
PASS_ISSUED = "Pass issued"
PASS_UPDATED = "Pass updated"
PASS_VOIDED = "Pass voided"
REWARD_AVAILABLE = "Reward available"
CUSTOMER_ERASED = "Customer erased"
CARD_REPLACED = "Card replaced"
# Between our own rooms, told to nobody outside: a confirmation link had run out, a change of address is under way.
VERIFICATION_REQUESTED = "Verification requested"
ADDRESS_CHANGE_REQUESTED = "Address change requested"
ADDRESS_CHANGED = "Address changed"

event = Table(
    "event",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("name", String(40), nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("customer_id", Id),
    Column("at", Moment, nullable=False),
    Column("properties", Json, nullable=False),
    Column("dispatched_at", Moment),
)
Index("ix_event_customer", event.c.program_id, event.c.customer_id, event.c.id)
Index(
    "ix_event_waiting",
    event.c.id,
    sqlite_where=event.c.dispatched_at.is_(None),
    postgresql_where=event.c.dispatched_at.is_(None),
)
Index(
    "ix_event_waiting_customer",
    event.c.program_id,
    event.c.customer_id,
    event.c.id,
    sqlite_where=event.c.dispatched_at.is_(None),
    postgresql_where=event.c.dispatched_at.is_(None),
)

INSERT = insert(event)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded event. `id` is a UUIDv7 and doubles as the key by which receivers drop repeats."""

    program_id: str
    id: str
    name: str
    version: int = 1
    customer_id: str | None
    at: datetime
    properties: dict[str, Any]


_COLUMNS = tuple(event.c[name] for name in Event.__struct_fields__)


def record(
    conn: Connection, program_id: str, name: str, customer_id: str | None, properties: dict[str, Any]
) -> str:
    """Write down that `name` happened; returns the event's id. Call it in the transaction of the change."""
    row = event_row(program_id, name, customer_id, properties)
    conn.execute(INSERT, row)
    return str(row["id"])


def event_row(
    program_id: str, name: str, customer_id: str | None, properties: dict[str, Any]
) -> dict[str, Any]:
    """The row of one event, for those who write many at once with `INSERT`."""
    return {
        "program_id": program_id,
        "id": new_id(),
        "name": name,
        "version": 1,
        "customer_id": customer_id,
        "at": utc_now(),
        "properties": properties,
    }


def take_waiting(conn: Connection, most: int) -> list[Event]:
    """Events nobody has been told of yet, oldest first. Marks them: what follows must be in this transaction.

    Whoever has a customer's oldest has all that come after it: a second worker, which skips what the first has
    locked, must not overtake it. And what one change caused is followed up together.
    """
    earlier = event.alias("earlier")
    oldest = (
        select(event.c.program_id, event.c.id, event.c.customer_id)
        .where(
            event.c.dispatched_at.is_(None),
            ~exists().where(
                earlier.c.program_id == event.c.program_id,
                earlier.c.customer_id == event.c.customer_id,
                earlier.c.id < event.c.id,
                earlier.c.dispatched_at.is_(None),
            ),
        )
        .order_by(event.c.id)
        .limit(most)
        .with_for_update(skip_locked=True, of=event)
    )
    firsts = conn.execute(oldest).all()
    if not firsts:
        return []
    programs = list({row.program_id for row in firsts})
    later = (
        select(event.c.id)
        .where(
            event.c.program_id.in_(programs),
            event.c.customer_id.in_({row.customer_id for row in firsts if row.customer_id}),
            event.c.dispatched_at.is_(None),
        )
        .order_by(event.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    ids = {row.id for row in firsts} | set(conn.scalars(later))
    rows = conn.execute(
        update(event)
        .where(event.c.program_id.in_(programs), event.c.id.in_(ids), event.c.dispatched_at.is_(None))
        .values(dispatched_at=utc_now())
        .returning(
            *_COLUMNS,
        )
    )
    return sorted((Event(**row._mapping) for row in rows), key=lambda taken: taken.id)


def events_since(
    conn: Connection, program_id: str, names: Collection[str], since: datetime, most: int
) -> list[Event]:
    """What happened from a moment on and was followed up, the oldest `most` of it."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(
            event.c.program_id == program_id,
            event.c.name.in_(names),
            event.c.id >= first_id_at(since),
            event.c.dispatched_at.is_not(None),
        )
        .order_by(event.c.id)
        .limit(most)
    )
    return [Event(**row._mapping) for row in rows]


def find_event(conn: Connection, program_id: str, event_id: str) -> Event | None:
    """One recorded event; what it told is gone where its customer was erased."""
    row = conn.execute(
        select(*(event.c[name] for name in Event.__struct_fields__)).where(
            event.c.program_id == program_id, event.c.id == event_id
        )
    ).one_or_none()
    return None if row is None else Event(**row._mapping)


def pass_over(conn: Connection, program_id: str) -> None:
    """Let nobody be told of what a programme has recorded so far: history that was brought in is no news."""
    conn.execute(
        update(event)
        .where(event.c.program_id == program_id, event.c.dispatched_at.is_(None))
        .values(dispatched_at=utc_now())
    )


def has_waiting(conn: Connection) -> bool:
    """Whether there is an event whose deliveries are not written yet."""
    return conn.scalar(select(event.c.id).where(event.c.dispatched_at.is_(None)).limit(1)) is not None
