"""A sign in a shop: a location, and a short code that a QR carries to the front door with its campaign.

The short code is looked up before the programme is known, so it is unique everywhere.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Column, ForeignKey, Index, String, Table, UniqueConstraint, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, new_id, utc_now
from web.foundation.short_code import new_code

CODE_LENGTH = 6

location = Table(
    "location",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("id", Id, primary_key=True),
    Column("slug", String(40), nullable=False),
    Column("name", String(80), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "slug"),
)

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


class Location(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shop as a merchant writes it; `slug` names it in addresses."""

    slug: str
    name: str


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scanned code leads. `location_id` is None for the programme as a whole."""

    code: str
    program_slug: str
    location_id: str | None
    location_name: str | None
    source: str
    medium: str
    campaign: str


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A shop as it is kept."""

    id: str
    slug: str
    name: str
    created_at: datetime


class UnknownLocation(Exception):
    """The programme has no shop of that name."""


class LocationTaken(Exception):
    """Another shop of the programme has this name in addresses."""


_SHOP = tuple(location.c[name] for name in Shop.__struct_fields__)


def add_location(conn: Connection, program_id: str, new: Location) -> Shop:
    """A new shop. Raises: LocationTaken."""
    row = conn.execute(
        insert_or_skip(conn, location)
        .values(program_id=program_id, id=new_id(), slug=new.slug, name=new.name, created_at=utc_now())
        .returning(*_SHOP)
    ).one_or_none()
    if row is None:
        raise LocationTaken(new.slug)
    return Shop(**row._mapping)


def rename_location(conn: Connection, program_id: str, slug: str, name: str) -> Shop | None:
    """The shop under its new name; None where there is none. Its slug stays: signs are printed with it."""
    row = conn.execute(
        update(location)
        .where(location.c.program_id == program_id, location.c.slug == slug)
        .values(name=name)
        .returning(*_SHOP)
    ).one_or_none()
    return None if row is None else Shop(**row._mapping)


def shops_of(conn: Connection, program_id: str) -> list[Shop]:
    """Every shop of a programme, by slug."""
    rows = conn.execute(select(*_SHOP).where(location.c.program_id == program_id).order_by(location.c.slug))
    return [Shop(**row._mapping) for row in rows]


def locations_of(conn: Connection, program_id: str) -> list[Location]:
    rows = conn.execute(
        select(location.c.slug, location.c.name)
        .where(location.c.program_id == program_id)
        .order_by(location.c.slug)
    )
    return [Location(slug=row.slug, name=row.name) for row in rows]


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
