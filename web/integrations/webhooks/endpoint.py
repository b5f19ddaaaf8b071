"""An endpoint: one address of a merchant's that is told of events, with the secret that signs for it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Column, Integer, String, Table, Text, delete, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.delivery import drop_lanes, lane_counts, release_lanes
from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.foundation.sealing import Sealer, random_token
from web.loyalty.event_catalogue import EIGHTEEN, names_of

# What waits for a paused endpoint names people; after this long it is forgotten, and no more is gathered.
KEPT_WHILE_PAUSED = timedelta(days=30)
# Resuming lets all go at once; a letter that was written in that very moment looks for itself after so long.
LOOKED_AT_WHILE_PAUSED = timedelta(hours=1)
# Each event is a letter to each of them.
MOST_ENDPOINTS = 20
BY_OPERATOR = "by the operator"

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("url", String(2000), nullable=False),
    Column("sealed", Text, nullable=False),
    # The secret before the last rotation, which signs too until then.
    Column("sealed_before", Text),
    Column("before_until", Moment),
    # Names of events.
    Column("events", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("paused_at", Moment),
    Column("pause_reason", String(200)),
    Column("last_success_at", Moment),
    Column("last_failure_at", Moment),
    # Since when nothing but failures came back; null after a success.
    Column("failing_since", Moment),
    # Dead letters since the last success.
    Column("dead_in_a_row", Integer, nullable=False),
)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is shown; its secret is shown once, when it is made or changed."""

    id: str
    url: str
    events: list[str]
    created_at: datetime
    paused_at: datetime | None
    pause_reason: str | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    failing_since: datetime | None
    dead_in_a_row: int

    def gathers(self, now: datetime) -> bool:
        """Whether events are still kept for it: one that is paused for too long has lost interest."""
        return self.paused_at is None or now - self.paused_at < KEPT_WHILE_PAUSED


_COLUMNS = tuple(webhook_endpoint.c[name] for name in Endpoint.__struct_fields__)


class TooManyEndpoints(Exception):
    """A programme has as many as it may."""


class NoSuchEndpoint(Exception):
    """The programme has no endpoint of this id."""


def lane_of(endpoint_id: str, customer_id: str | None = None) -> str:
    """Where one customer's letters to one endpoint leave one after the other; without a customer, how all begin."""
    return f"hook:{endpoint_id}:{customer_id or ''}"


def add_endpoint(
    conn: Connection, program_id: str, url: str, sealer: Sealer, events: Collection[str] | None = None
) -> tuple[str, str]:
    """A new endpoint for an address that was checked; told of the eighteen events unless `events` names others.

    Returns its id and its secret, which nobody can read again. Raises: UnknownEvent, TooManyEndpoints.
    """
    if len(endpoints_of(conn, program_id)) >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    endpoint_id, secret = new_id(), new_secret()
    conn.execute(
        insert(webhook_endpoint).values(
            program_id=program_id,
            id=endpoint_id,
            url=url,
            sealed=sealer.seal(secret.encode(), sealed_in(program_id, endpoint_id)),
            events=names_of(events) if events is not None else list(EIGHTEEN),
            created_at=utc_now(),
            dead_in_a_row=0,
        )
    )
    return endpoint_id, secret


def endpoints_of(conn: Connection, program_id: str) -> list[Endpoint]:
    """Every endpoint of a programme, the oldest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(webhook_endpoint.c.program_id == program_id).order_by(webhook_endpoint.c.id)
    )
    return [Endpoint(**row._mapping) for row in rows]


def find_endpoint(conn: Connection, program_id: str, endpoint_id: str) -> Endpoint:
    """Raises: NoSuchEndpoint."""
    row = conn.execute(select(*_COLUMNS).where(*its(program_id, endpoint_id))).one_or_none()
    if row is None:
        raise NoSuchEndpoint(endpoint_id)
    return Endpoint(**row._mapping)


def change_endpoint(
    conn: Connection,
    program_id: str,
    endpoint_id: str,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
) -> None:
    """Another address, which was checked, or other events. Letters that wait go to the new address.

    Raises: NoSuchEndpoint, UnknownEvent.
    """
    changes: dict[str, Any] = {}
    if url is not None:
        changes["url"] = url
    if events is not None:
        changes["events"] = names_of(events)
    find_endpoint(conn, program_id, endpoint_id)
    if changes:
        conn.execute(update(webhook_endpoint).where(*its(program_id, endpoint_id)).values(**changes))


def remove_endpoint(conn: Connection, program_id: str, endpoint_id: str) -> int:
    """Tell this address nothing any more; returns how many letters were given up. Raises: NoSuchEndpoint."""
    if not conn.execute(delete(webhook_endpoint).where(*its(program_id, endpoint_id))).rowcount:
        raise NoSuchEndpoint(endpoint_id)
    return drop_lanes(conn, program_id, lane_of(endpoint_id))


def pause_endpoint(conn: Connection, program_id: str, endpoint_id: str, reason: str) -> bool:
    """Send nothing until it is resumed; what happens meanwhile is kept for 30 days.

    Returns whether it is this call that paused it. Raises: NoSuchEndpoint.
    """
    find_endpoint(conn, program_id, endpoint_id)
    changed = conn.execute(
        update(webhook_endpoint)
        .where(*its(program_id, endpoint_id), webhook_endpoint.c.paused_at.is_(None))
        .values(paused_at=utc_now(), pause_reason=reason[:200])
    )
    return bool(changed.rowcount)


def resume_endpoint(conn: Connection, program_id: str, endpoint_id: str) -> int:
    """Send again: everything that waits or was put aside, in order. Returns how many. Raises: NoSuchEndpoint."""
    changed = conn.execute(
        update(webhook_endpoint)
        .where(*its(program_id, endpoint_id))
        .values(paused_at=None, pause_reason=None, failing_since=None, dead_in_a_row=0)
    ).rowcount
    if not changed:
        raise NoSuchEndpoint(endpoint_id)
    return release_lanes(conn, program_id, lane_of(endpoint_id))


def backlog_of(conn: Connection, program_id: str, endpoint_id: str) -> tuple[int, int]:
    """How many letters to an endpoint wait, and how many were put aside."""
    return lane_counts(conn, program_id, lane_of(endpoint_id))


def its(program_id: str, endpoint_id: str) -> tuple[Any, Any]:
    """The condition that picks one endpoint's row."""
    return webhook_endpoint.c.program_id == program_id, webhook_endpoint.c.id == endpoint_id


def new_secret() -> str:
    """256 random bits, in a form that is recognised where it does not belong."""
    return f"whsec_{random_token()}"


def sealed_in(program_id: str, endpoint_id: str) -> str:
    """The place that an endpoint's secrets are bound to."""
    return f"webhook_endpoint/{program_id}/{endpoint_id}"
