"""The envelope: what is told of an event, composed in the moment in which it is taken up.

What is sent is what was so then, however many tries it takes and whatever has changed since.
"""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, select
from sqlalchemy.engine import Connection

from web.foundation.delivery import INSERT, delivery_row
from web.foundation.schema import moment_of, new_id, utc_now
from web.integrations.webhooks.endpoint import (
    LOOKED_AT_WHILE_PAUSED,
    Endpoint,
    endpoints_of,
    lane_of,
)
from web.loyalty.customer import customer
from web.loyalty.event import CUSTOMER_ERASED, Event, events_since
from web.loyalty.event_catalogue import EVENTS, key_of
from web.loyalty.program import Program
from web.loyalty.touch import touch

WEBHOOK = "webhook"
TEST = "Webhook test"
# All in one transaction, for which others wait.
AGAIN_AT_ONCE = 500
UTM = ("source", "medium", "campaign", "term", "content")
# Properties that JeriCommerce's documents show beside the event's own, on the outside.
OUTSIDE = ("campaignId", "url", "browser")

_FACE = (
    select(customer.c.email, customer.c.external_id, *(touch.c[name] for name in UTM))
    .select_from(
        customer.outerjoin(
            touch, and_(touch.c.program_id == customer.c.program_id, touch.c.id == customer.c.first_touch_id)
        )
    )
    .where(customer.c.program_id == bindparam("program"), customer.c.id == bindparam("customer"))
)


def follow_up(conn: Connection, program: Program, happened: Event) -> None:
    """Write down a letter to each endpoint that wants this event."""
    if happened.name not in EVENTS:
        return
    now = utc_now()
    wanting = [each for each in endpoints_of(conn, program.id) if _wants(each, happened, now)]
    if not wanting:
        return
    envelope = compose(conn, program, happened)
    if envelope is None:
        return
    conn.execute(INSERT, [_letter(program, endpoint, happened, envelope) for endpoint in wanting])


def tell_again(
    conn: Connection, program: Program, endpoint: Endpoint, since: datetime
) -> tuple[int, datetime | None]:
    """Write new letters for what this endpoint was told since then, under the events' own ids; at most 500 at once.

    For a receiver that said yes and lost what it got. Of customers they say what is so now. Returns how many there
    are, and from which moment to go on, None at the end.
    """
    found = events_since(conn, program.id, endpoint.events, since, AGAIN_AT_ONCE + 1)
    beyond = found.pop() if len(found) > AGAIN_AT_ONCE else None
    letters = []
    for happened in found:
        envelope = compose(conn, program, happened)
        if envelope is not None:
            letters.append(_letter(program, endpoint, happened, envelope))
    if letters:
        conn.execute(INSERT, letters)
    return len(letters), moment_of(beyond.id) if beyond else None


def trial(program: Program) -> dict[str, Any]:
    """The payload of a letter that tells of nothing, for trying out an endpoint."""
    happened = Event(
        program_id=program.id, id=new_id(), name=TEST, customer_id=None, at=utc_now(), properties={}
    )
    return {"name": TEST, "envelope": _envelope(program, happened, None)}


def compose(conn: Connection, program: Program, happened: Event) -> dict[str, Any] | None:
    """The envelope of an event, ready for JSON; None for one of a customer who was erased before it was told.

    `utm` is how the customer came first; `email` is null for those who gave a phone only.
    """
    face = conn.execute(_FACE, {"program": program.id, "customer": happened.customer_id}).one_or_none()
    if face is None and happened.customer_id is not None and happened.name != CUSTOMER_ERASED:
        return None
    return _envelope(program, happened, face)


def _envelope(program: Program, happened: Event, face: Any) -> dict[str, Any]:
    outside = {name: happened.properties[name] for name in OUTSIDE if name in happened.properties}
    return {
        "id": happened.id,
        "event": key_of(happened.name),
        "name": happened.name,
        "version": happened.version,
        "createdAt": msgspec.to_builtins(happened.at),
        "program": {"id": program.id, "slug": program.slug},
        "customerId": happened.customer_id,
        "email": face.email if face else None,
        "externalCustomerId": face.external_id if face else None,
        **outside,
        "utm": {name: getattr(face, name, None) for name in UTM},
        "properties": happened.properties,
    }


def _letter(
    program: Program, endpoint: Endpoint, happened: Event, envelope: dict[str, Any]
) -> dict[str, Any]:
    payload = {"endpoint": endpoint.id, "name": happened.name, "envelope": envelope}
    lane = lane_of(endpoint.id, happened.customer_id)
    letter = delivery_row(program.id, WEBHOOK, lane, payload, happened.id)
    if endpoint.paused_at is not None:
        letter["due_at"] += LOOKED_AT_WHILE_PAUSED
    return letter


def _wants(endpoint: Endpoint, happened: Event, now: datetime) -> bool:
    return happened.name in endpoint.events and endpoint.gathers(now)
