"""A merchant's shop: where it is, and what the phone says of the card when its owner comes near."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, new_id, utc_now
from web.loyalty.program_version import program_changed

# What a card can hold: phones ignore the eleventh.
MOST_ON_A_CARD = 10

location = Table(
    "location",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("id", Id, primary_key=True),
    Column("slug", String(40), nullable=False),
    Column("name", String(80), nullable=False),
    # Degrees, WGS 84; without them the phone does not know the place.
    Column("latitude", Float),
    Column("longitude", Float),
    # What the phone says nearby, by language; the name where nothing was written.
    Column("nearby_text", Json),
    # Of more shops than a card can hold, those with the lowest rank are on it.
    Column("on_card", Boolean, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("(latitude is null) = (longitude is null)", name="place_is_whole"),
    CheckConstraint(
        "latitude between -90 and 90 and longitude between -180 and 180", name="place_is_on_earth"
    ),
    UniqueConstraint("program_id", "slug"),
)

Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
NearbyText = dict[str, Annotated[str, Meta(min_length=1, max_length=80)]]
Rank = Annotated[int, Meta(ge=0, le=10_000)]


class InvalidLocation(Exception):
    """A place that is only half given."""


class UnknownLocation(Exception):
    """The programme has no shop of that name."""


class LocationTaken(Exception):
    """Another shop of the programme has this name in addresses."""


class Location(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shop as a merchant writes it; `slug` names it in addresses."""

    slug: str
    name: str
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    nearby_text: NearbyText = {}
    on_card: bool = True
    rank: Rank = 100


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A shop as it is kept."""

    id: str
    slug: str
    name: str
    latitude: float | None
    longitude: float | None
    nearby_text: dict[str, str]
    on_card: bool
    rank: int
    created_at: datetime


_SHOP = tuple(location.c[name] for name in Shop.__struct_fields__)


def add_location(conn: Connection, program_id: str, new: Location) -> Shop:
    """A new shop. Raises: LocationTaken, InvalidLocation."""
    _require_whole(new.latitude, new.longitude)
    row = conn.execute(
        insert_or_skip(conn, location)
        .values(program_id=program_id, id=new_id(), **msgspec.structs.asdict(new), created_at=utc_now())
        .returning(*_SHOP)
    ).one_or_none()
    if row is None:
        raise LocationTaken(new.slug)
    program_changed(conn, program_id)
    return _shop(row)


def change_location(conn: Connection, program_id: str, slug: str, **changes: Any) -> Shop | None:
    """The shop as it is after the changes; None where there is none. Its slug stays: signs are printed with it.

    Raises: InvalidLocation.
    """
    mine = (location.c.program_id == program_id) & (location.c.slug == slug)
    now = conn.execute(select(*_SHOP).where(mine).with_for_update()).one_or_none()
    if now is None:
        return None
    place = {name: changes.get(name, getattr(now, name)) for name in ("latitude", "longitude")}
    _require_whole(place["latitude"], place["longitude"])
    if changes:
        now = conn.execute(update(location).where(mine).values(**changes).returning(*_SHOP)).one()
        program_changed(conn, program_id)
    return _shop(now)


def shops_of(conn: Connection, program_id: str) -> list[Shop]:
    """Every shop of a programme, by slug."""
    rows = conn.execute(select(*_SHOP).where(location.c.program_id == program_id).order_by(location.c.slug))
    return [_shop(row) for row in rows]


def on_cards(shops: list[Shop]) -> tuple[Shop, ...]:
    """The shops that cards name: those that the merchant ranked first, then by slug, ten at most."""
    placed = [shop for shop in shops if shop.on_card and shop.latitude is not None]
    return tuple(sorted(placed, key=lambda shop: (shop.rank, shop.slug))[:MOST_ON_A_CARD])


def _shop(row: Any) -> Shop:
    return Shop(**{**row._mapping, "nearby_text": row.nearby_text or {}})


def _require_whole(latitude: float | None, longitude: float | None) -> None:
    if (latitude is None) != (longitude is None):
        raise InvalidLocation("give latitude and longitude together, or neither")
