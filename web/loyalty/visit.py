"""A visit: what one browser has begun in one programme. It keeps the draft of a registration and the grant.

The browser holds a random token in a cookie; the row holds its SHA-256. A grant is the short proof that this
browser may fetch a card: after registration, or after a link was used. What was typed and never became a registration
is deleted with the visit, after two days.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Index,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.foundation.sealing import digest, random_token
from web.loyalty.touch import Arrival, record_touch

LIFETIME = timedelta(days=2)
GRANT = timedelta(minutes=15)

visit = Table(
    "visit",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("draft", Json, nullable=False),
    Column("first_touch_id", Id),
    Column("last_touch_id", Id),
    Column("customer_id", Id),
    Column("granted_until", Moment),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    UniqueConstraint("program_id", "token_hash"),
)
Index("ix_visit_expires_at", visit.c.expires_at)


class Visit(msgspec.Struct, frozen=True):
    """A browser's visit. `draft` holds what was typed, by step."""

    id: str
    draft: dict[str, Any]
    first_touch_id: str | None
    last_touch_id: str | None
    customer_id: str | None
    granted_until: datetime | None

    def granted_customer(self, now: datetime | None = None) -> str | None:
        """The customer whose card this browser may fetch now."""
        if self.customer_id is None or self.granted_until is None:
            return None
        return self.customer_id if self.granted_until > (now or utc_now()) else None


_COLUMNS = (
    visit.c.id,
    visit.c.draft,
    visit.c.first_touch_id,
    visit.c.last_touch_id,
    visit.c.customer_id,
    visit.c.granted_until,
)


# Made once: SQLAlchemy remembers with a statement how it is compiled.
_INSERT = insert(visit)
_FIND = select(*_COLUMNS).where(
    visit.c.program_id == bindparam("program"),
    visit.c.token_hash == bindparam("hash"),
    visit.c.expires_at > bindparam("now"),
)


def find_visit(conn: Connection, program_id: str, token: str | None) -> Visit | None:
    """The visit that a cookie names. A token that we did not give out opens nothing and is never taken over."""
    if not token:
        return None
    named = {"program": program_id, "hash": digest(token), "now": utc_now()}
    row = conn.execute(_FIND, named).one_or_none()
    return None if row is None else Visit(*row)


_MANY = select(visit.c.program_id, visit.c.token_hash, *_COLUMNS).where(
    visit.c.program_id.in_(bindparam("programs", expanding=True)),
    visit.c.token_hash.in_(bindparam("hashes", expanding=True)),
    visit.c.expires_at > bindparam("now"),
)


def find_visits(conn: Connection, keys: list[tuple[str, str]]) -> list[Visit | None]:
    """The visits that so many cookies name, each by its programme's id and its token, in one round trip."""
    hashed = [(program_id, digest(token)) for program_id, token in keys]
    rows = conn.execute(
        _MANY,
        {
            "programs": list({program_id for program_id, _ in hashed}),
            "hashes": [token_hash for _, token_hash in hashed],
            "now": utc_now(),
        },
    )
    found = {(row[0], row[1]): Visit(*row[2:]) for row in rows}
    return [found.get(key) for key in hashed]


def begin_visit(conn: Connection, program_id: str, draft: dict[str, Any] | None = None) -> tuple[str, str]:
    """A new visit; returns its id and the token for the cookie."""
    visit_id, token, now = new_id(), random_token(), utc_now()
    conn.execute(
        _INSERT,
        {
            "program_id": program_id,
            "id": visit_id,
            "token_hash": digest(token),
            "draft": draft or {},
            "created_at": now,
            "expires_at": now + LIFETIME,
        },
    )
    return visit_id, token


def arrive(conn: Connection, program_id: str, token: str | None, arrival: Arrival) -> str:
    """Record a touch in the browser's visit, beginning one where there is none. Returns the cookie's token."""
    known = find_visit(conn, program_id, token)
    if known is None or token is None:
        visit_id, token = begin_visit(conn, program_id)
    else:
        visit_id = known.id
    touch_id = record_touch(conn, program_id, visit_id, arrival)
    changes = {"last_touch_id": touch_id}
    if known is None or known.first_touch_id is None:
        changes["first_touch_id"] = touch_id
    conn.execute(
        update(visit).where(visit.c.program_id == program_id, visit.c.id == visit_id).values(**changes)
    )
    return token


def keep_draft(
    conn: Connection, program_id: str, token: str | None, step: str, values: dict[str, Any]
) -> str:
    """Keep what was typed in one step. Returns the cookie's token, a new one where there was no visit."""
    known = find_visit(conn, program_id, token)
    if known is None or token is None:
        return begin_visit(conn, program_id, {step: values})[1]
    if known.customer_id is not None:
        # This visit has made its customer. Whoever begins again here is the next one, come the same way.
        visit_id, token = begin_visit(conn, program_id, {step: values})
        conn.execute(
            update(visit)
            .where(visit.c.program_id == program_id, visit.c.id == visit_id)
            .values(first_touch_id=known.first_touch_id, last_touch_id=known.last_touch_id)
        )
        return token
    conn.execute(
        update(visit)
        .where(visit.c.program_id == program_id, visit.c.id == known.id)
        .values(draft={**known.draft, step: values}, expires_at=utc_now() + LIFETIME)
    )
    return token


_GRANT = (
    update(visit)
    .where(visit.c.program_id == bindparam("its_program"), visit.c.id == bindparam("its_id"))
    .values(customer_id=bindparam("customer"), granted_until=bindparam("until"), draft={})
)


def grant(conn: Connection, program_id: str, visit_id: str, customer_id: str) -> None:
    """Let this browser fetch the card for 15 minutes. The draft is no longer needed and goes."""
    grant_many(conn, [(program_id, visit_id, customer_id)])


def end_grants(conn: Connection, program_id: str, customer_id: str) -> None:
    """Let no browser fetch a customer's card any more because they registered or confirmed there."""
    conn.execute(
        update(visit)
        .where(visit.c.program_id == program_id, visit.c.customer_id == customer_id)
        .values(granted_until=None)
    )


def grant_many(conn: Connection, grants: list[tuple[str, str, str]]) -> None:
    """Like `grant`, for many: each a programme's id, a visit's and a customer's."""
    until = utc_now() + GRANT
    rows = [
        {"its_program": program_id, "its_id": visit_id, "customer": customer_id, "until": until}
        for program_id, visit_id, customer_id in grants
    ]
    if rows:
        conn.execute(_GRANT, rows)


def forget_visit(conn: Connection, program_id: str, token: str) -> None:
    """End the visit at once: the next person at this screen starts afresh."""
    conn.execute(delete(visit).where(visit.c.program_id == program_id, visit.c.token_hash == digest(token)))


def purge_visits(conn: Connection) -> int:
    """Delete visits whose time is over; returns how many. Touches stay: they name nobody."""
    return conn.execute(delete(visit).where(visit.c.expires_at <= utc_now())).rowcount
