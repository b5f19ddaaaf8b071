"""What Google was told last of a class or an object, so that it is told again only of what changed.

Kept as fingerprints, field by field. Of two workers that tell of the same thing at once the one with the older
content finds that out afterwards, and what Google holds then counts as unknown.
"""

from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Integer, String, Table, bindparam, delete, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, utc_now

google_told = Table(
    "google_told",
    metadata,
    Column("program_id", Id, primary_key=True),
    # Google's own: `issuerId.card-…`.
    Column("id", String(120), primary_key=True),
    # Fingerprint by field; empty where something is there of which nobody knows what it says.
    Column("fields", Json, nullable=False),
    # The pass's or the programme's, as of the content.
    Column("version", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
    Column("told_at", Moment, nullable=False),
)

# An answer of Google's, or a wish about one request: nothing that stays.
PASSING_FIELDS = frozenset(("id", "notifyPreference"))


class Told(msgspec.Struct, frozen=True):
    """Fingerprints by field, and the version that they are of."""

    fields: dict[str, str]
    version: int


def fingerprints(content: dict[str, Any]) -> dict[str, str]:
    """A fingerprint for each field of a class or an object that stays."""
    return {
        name: sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:12]
        for name, value in content.items()
        if name not in PASSING_FIELDS
    }


# Made once: SQLAlchemy remembers with a statement how it is compiled.
_FIND = select(google_told.c.fields, google_told.c.version).where(
    google_told.c.program_id == bindparam("its_program"), google_told.c.id == bindparam("its_id")
)


def find_told(conn: Connection, program_id: str, google_id: str) -> Told | None:
    row = conn.execute(_FIND, {"its_program": program_id, "its_id": google_id}).one_or_none()
    return None if row is None else Told(row.fields, row.version)


def note_told(conn: Connection, program_id: str, google_id: str, told: Told) -> bool:
    """Remember what Google was told. False where somebody told it a later version meanwhile.

    Which of the two arrived last nobody can say, so then it is remembered that nobody knows what Google holds.
    """
    if note_placed(conn, program_id, google_id, told):
        return True
    here = (google_told.c.program_id == program_id) & (google_told.c.id == google_id)
    values = {"fields": told.fields, "version": told.version, "told_at": utc_now()}
    if conn.execute(
        update(google_told).where(here, google_told.c.version <= told.version).values(values)
    ).rowcount:
        return True
    doubt_told(conn, program_id, google_id)
    return False


def note_placed(conn: Connection, program_id: str, google_id: str, told: Told) -> bool:
    """Remember what Google was told at first; False where it is known that it was told something since."""
    return bool(
        conn.execute(
            insert_or_skip(conn, google_told).values(
                program_id=program_id,
                id=google_id,
                fields=told.fields,
                version=told.version,
                told_at=utc_now(),
            )
        ).rowcount
    )


def doubt_told(conn: Connection, program_id: str, google_id: str) -> None:
    """Nobody knows any more what Google holds."""
    here = (google_told.c.program_id == program_id) & (google_told.c.id == google_id)
    conn.execute(update(google_told).where(here).values(fields={}))


def forget_told(conn: Connection, program_id: str, google_id: str) -> None:
    """Google does not have it any more."""
    conn.execute(
        delete(google_told).where(google_told.c.program_id == program_id, google_told.c.id == google_id)
    )
