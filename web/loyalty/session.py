"""A session: a browser in which a customer is let into their own pages.

The cookie holds a random token, the row its SHA-256. A session is made anew each time a link opens one and never
taken over from a browser, lives seven days at most, and ends at once where its customer changes address or goes.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Column, Index, String, Table, UniqueConstraint, delete, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, new_id, utc_now
from web.foundation.sealing import digest, random_token
from web.loyalty.event import CARD_OPENED, record

LIFETIME = timedelta(days=7)
# After opening a session by a link from one's own inbox, the card and one's data may be taken without another.
FRESH = timedelta(hours=1)
# A page after so long without one is another visit. Writing down each view would cost a commit a page.
AWAY = timedelta(minutes=30)

session = Table(
    "session",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("customer_id", Id, nullable=False),
    Column("browser", String(40), nullable=False),
    Column("device", String(40), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    UniqueConstraint("program_id", "token_hash"),
)
Index("ix_session_customer", session.c.program_id, session.c.customer_id)
Index("ix_session_expires_at", session.c.expires_at)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open session. `browser` and `device` are families by name: "Safari", "iPhone"."""

    id: str
    customer_id: str
    browser: str
    device: str
    created_at: datetime
    seen_at: datetime

    def is_back(self, now: datetime) -> bool:
        """Whether a page that is opened now begins another visit."""
        return self.seen_at <= now - AWAY

    def is_fresh(self, now: datetime) -> bool:
        """Whether the inbox was proven within the hour."""
        return self.created_at > now - FRESH


_COLUMNS = tuple(session.c[name] for name in Session.__struct_fields__)


def open_session(
    conn: Connection,
    program_id: str,
    customer_id: str,
    browser: str = "",
    device: str = "",
    path: str = "profile",
) -> str:
    """A new session, which goes to the page `path`; returns the token for the cookie."""
    token, session_id, now = random_token(), new_id(), utc_now()
    conn.execute(
        insert(session).values(
            program_id=program_id,
            id=session_id,
            token_hash=digest(token),
            customer_id=customer_id,
            browser=browser[:40],
            device=device[:40],
            created_at=now,
            seen_at=now,
            expires_at=now + LIFETIME,
        )
    )
    _record_opening(conn, program_id, customer_id, session_id, path)
    return token


def find_session(conn: Connection, program_id: str, token: str | None) -> Session | None:
    """The session that a cookie names; None for one that ended or that we never opened."""
    if not token:
        return None
    row = conn.execute(
        select(*_COLUMNS).where(
            session.c.program_id == program_id,
            session.c.token_hash == digest(token),
            session.c.expires_at > utc_now(),
        )
    ).one_or_none()
    return None if row is None else Session(**row._mapping)


def sessions_of(conn: Connection, program_id: str, customer_id: str) -> list[Session]:
    """Every open session of a customer, the one used last first."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(
            session.c.program_id == program_id,
            session.c.customer_id == customer_id,
            session.c.expires_at > utc_now(),
        )
        .order_by(session.c.seen_at.desc())
    )
    return [Session(**row._mapping) for row in rows]


def come_back(conn: Connection, program_id: str, back: Session, path: str) -> None:
    """The page `path` is opened after a while without one. Of two pages opened at once, one counts."""
    now = utc_now()
    changed = conn.execute(
        update(session)
        .where(session.c.program_id == program_id, session.c.id == back.id, session.c.seen_at <= now - AWAY)
        .values(seen_at=now)
    ).rowcount
    if changed:
        _record_opening(conn, program_id, back.customer_id, back.id, path)


def _record_opening(conn: Connection, program_id: str, customer_id: str, session_id: str, path: str) -> None:
    told = {"surface": "web_app", "path": path, "sessionId": digest(session_id)[:16]}
    record(conn, program_id, CARD_OPENED, customer_id, told)


def end_session(conn: Connection, program_id: str, customer_id: str, session_id: str) -> None:
    """Log out one browser; only the customer's own."""
    conn.execute(
        delete(session).where(
            session.c.program_id == program_id,
            session.c.customer_id == customer_id,
            session.c.id == session_id,
        )
    )


def end_sessions(conn: Connection, program_id: str, customer_id: str, but: str | None = None) -> None:
    """Log out everywhere, or everywhere else."""
    chosen = [session.c.program_id == program_id, session.c.customer_id == customer_id]
    if but is not None:
        chosen.append(session.c.id != but)
    conn.execute(delete(session).where(*chosen))


def purge_sessions(conn: Connection) -> int:
    return conn.execute(delete(session).where(session.c.expires_at <= utc_now())).rowcount
