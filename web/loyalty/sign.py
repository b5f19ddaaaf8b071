"""A sign in a shop: a location, and a short code that a QR carries to the front door with its campaign.

The short code is looked up before the programme is known, so it is unique everywhere.
"""

import msgspec
from sqlalchemy import Column, ForeignKey, Index, String, Table, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now
from web.foundation.short_code import new_code
from web.loyalty.location import UnknownLocation, location

CODE_LENGTH = 6

sign = Table(
    "sign",
    metadata,
    Column("code", String(12), primary_key=True),
    Column("program_id", Id, ForeignKey("program.id"), nullable=False),
    Column("program_slug", String(40), nullable=False),
    Column("location_id", Id),
    Column("source", String(120), nullable=False),
    Column("medium", String(120), nullable=False),
    Column("campaign", String(120), nullable=False),
    Column("created_at", Moment, nullable=False),
)
_PURPOSE = (sign.c.program_id, sign.c.source, sign.c.medium, sign.c.campaign)
Index("uq_sign_purpose", *_PURPOSE, sign.c.location_id, unique=True)
# NULL differs from NULL in a unique rule, so the signs of no single shop have their own.
Index(
    "uq_sign_purpose_everywhere",
    *_PURPOSE,
    unique=True,
    sqlite_where=sign.c.location_id.is_(None),
    postgresql_where=sign.c.location_id.is_(None),
)


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scanned code leads. `location_id` is None for the programme as a whole."""

    code: str
    program_slug: str
    location_id: str | None
    location_name: str | None
    source: str
    medium: str
    campaign: str


def sign_for(
    conn: Connection,
    program_id: str,
    program_slug: str,
    *,
    location_slug: str | None = None,
    source: str = "store",
    medium: str = "qr",
    campaign: str = "",
) -> Sign:
    """The sign for a shop and campaign: the same code each time it is asked for, so that reprints match.

    Raises: UnknownLocation.
    """
    place = _place(conn, program_id, location_slug)
    purpose = {
        "program_id": program_id,
        "location_id": place[0] if place else None,
        "source": source,
        "medium": medium,
        "campaign": campaign,
    }
    found = _code_of(conn, purpose)
    while found is None:
        conn.execute(
            insert_or_skip(conn, sign).values(
                code=new_code(CODE_LENGTH), program_slug=program_slug, created_at=utc_now(), **purpose
            )
        )
        found = _code_of(conn, purpose)
    return Sign(
        code=found,
        program_slug=program_slug,
        location_id=place[0] if place else None,
        location_name=place[1] if place else None,
        source=source,
        medium=medium,
        campaign=campaign,
    )


def find_sign(conn: Connection, code: str) -> Sign | None:
    """The sign whose QR was scanned."""
    row = conn.execute(
        select(
            sign.c.code,
            sign.c.program_slug,
            sign.c.location_id,
            location.c.name.label("location_name"),
            sign.c.source,
            sign.c.medium,
            sign.c.campaign,
        )
        .join_from(
            sign,
            location,
            (sign.c.program_id == location.c.program_id) & (sign.c.location_id == location.c.id),
            isouter=True,
        )
        .where(sign.c.code == code)
    ).one_or_none()
    return None if row is None else Sign(**row._mapping)


def _place(conn: Connection, program_id: str, slug: str | None) -> tuple[str, str] | None:
    if slug is None:
        return None
    row = conn.execute(
        select(location.c.id, location.c.name).where(
            location.c.program_id == program_id, location.c.slug == slug
        )
    ).one_or_none()
    if row is None:
        raise UnknownLocation(slug)
    return row.id, row.name


def _code_of(conn: Connection, purpose: dict[str, str | None]) -> str | None:
    return conn.scalar(
        select(sign.c.code).where(
            *(
                sign.c[name].is_(None) if value is None else sign.c[name] == value
                for name, value in purpose.items()
            )
        )
    )
