"""The phones' log: what they found wrong with passes, told again and again as one line, without names and tokens."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec
from sqlalchemy import Column, Index, Integer, String, Table, delete, func, select
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Moment, metadata, utc_now
from web.wallet.text import plain

# Lines of one call, characters of a line, and different lines of the installation.
MOST_LINES = 40
LONGEST_LINE = 400
MOST_KEPT = 1000

phone_log = Table(
    "phone_log",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("message", String(LONGEST_LINE), nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
)
Index("ix_phone_log_last_at", phone_log.c.last_at)

# A moment at its beginning, with which phones like to begin, makes each line another.
_MOMENT = re.compile(r"^\s*\[[^\]]{0,40}\]\s*")
# Addresses, numbers of phones and cards, and words that may be a serial, a token or the id of a phone.
_ADDRESS = re.compile(r"\S{1,80}@\S{1,80}|\+?\d[\d ]{5,40}\d")
_WORD = re.compile(r"[A-Za-z0-9_~+=-]{6,}")
# No English word is as long; a token may happen to have no digit.
_LONGEST_WORD = 23


class Complaint(msgspec.Struct, frozen=True):
    """One line, and how often phones have told it."""

    message: str
    count: int
    first_at: datetime
    last_at: datetime


def keep_lines(conn: Connection, lines: Sequence[str]) -> int:
    """Keep what phones said, each different line once; returns how many lines of it there were."""
    told = Counter(message for line in lines[:MOST_LINES] if (message := without_secrets(line)))
    if not told:
        return 0
    now = utc_now()
    rows = [
        {
            "fingerprint": hashlib.sha256(message.encode()).hexdigest(),
            "message": message,
            "count": count,
            "first_at": now,
            "last_at": now,
        }
        for message, count in told.items()
    ]
    # In one order, so that two who tell the same lines do not wait for each other.
    conn.execute(_count_more(conn.dialect.name), sorted(rows, key=lambda row: str(row["fingerprint"])))
    if (conn.scalar(select(func.count()).select_from(phone_log)) or 0) > MOST_KEPT:
        oldest = (
            select(phone_log.c.fingerprint)
            .order_by(phone_log.c.last_at.desc(), phone_log.c.fingerprint)
            .offset(MOST_KEPT)
        )
        conn.execute(delete(phone_log).where(phone_log.c.fingerprint.in_(oldest)))
    return sum(told.values())


def complaints(conn: Connection, most: int = 50, since: datetime | None = None) -> list[Complaint]:
    """What phones told last, the newest first."""
    asked = select(*(phone_log.c[name] for name in Complaint.__struct_fields__))
    if since is not None:
        asked = asked.where(phone_log.c.last_at >= since)
    rows = conn.execute(asked.order_by(phone_log.c.last_at.desc(), phone_log.c.fingerprint).limit(most))
    return [Complaint(**row._mapping) for row in rows]


def without_secrets(line: str) -> str:
    """A line that may be kept and shown: one line, bounded, with "…" for all that could name or open something."""
    # Cut first: what is beyond the bounds is not looked at.
    told = _WORD.sub(_unless_a_word, _MOMENT.sub("", line[: 4 * LONGEST_LINE]))
    return plain(_ADDRESS.sub("…", told), LONGEST_LINE)


def _unless_a_word(found: re.Match[str]) -> str:
    word = found[0]
    return "…" if len(word) > _LONGEST_WORD or any(sign.isdigit() for sign in word) else word


@lru_cache
def _count_more(dialect: str) -> PostgresInsert | SqliteInsert:
    adding = (postgres_insert if dialect == "postgresql" else sqlite_insert)(phone_log)
    return adding.on_conflict_do_update(
        index_elements=[phone_log.c.fingerprint],
        set_={
            "count": phone_log.c.count + adding.excluded.count,
            "last_at": adding.excluded.last_at,
        },
    )
