"""Locations: a merchant's shops."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_LOCATION, A_MOMENT, Id, Input, Output
from web.loyalty.location import (
    InvalidLocation,
    Latitude,
    Location,
    LocationTaken,
    Longitude,
    NearbyText,
    Rank,
    Shop,
    add_location,
    change_location,
    shops_of,
)

TAG = "Locations"

Slug = Annotated[
    str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$", description="Its name in addresses and on signs.")
]
Name = Annotated[str, Meta(min_length=1, max_length=80, description="What customers read.")]


class NewLocation(Input):
    """`latitude` and `longitude` (degrees, WGS 84) let the phone offer the card nearby, with `nearbyText` by language.

    Of more than ten places cards name those of the lowest `rank`; `onCard` leaves one out.
    """

    slug: Slug
    name: Name
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    nearby_text: NearbyText = msgspec.field(default_factory=dict)
    on_card: bool = True
    rank: Rank = 100


class LocationChange(Input):
    name: Name | UnsetType = UNSET
    latitude: Latitude | UnsetType | None = UNSET
    longitude: Longitude | UnsetType | None = UNSET
    nearby_text: NearbyText | UnsetType = UNSET
    on_card: bool | UnsetType = UNSET
    rank: Rank | UnsetType = UNSET


class LocationShown(Output):
    id: Id
    slug: str
    name: str
    latitude: float | None
    longitude: float | None
    nearby_text: dict[str, str]
    on_card: bool
    rank: int
    created_at: datetime


class Locations(Output):
    items: list[LocationShown]


EXAMPLE = LocationShown(
    id=A_LOCATION,
    slug="malasana",
    name="Malasaña",
    latitude=40.4268,
    longitude=-3.7038,
    nearby_text={"en": "Your coffee is around the corner"},
    on_card=True,
    rank=100,
    created_at=A_MOMENT,
)


@operation(
    "GET", "/v1/programs/{program}/locations", scope="read", tag=TAG, answer=Locations(items=[EXAMPLE])
)
async def list_locations(call: Call) -> Locations:
    """List the locations."""
    found = await call.read(shops_of, call.program.id)
    return Locations(items=[_shown(shop) for shop in found])


@operation(
    "POST",
    "/v1/programs/{program}/locations",
    scope="admin",
    tag=TAG,
    status=201,
    example=NewLocation(slug="malasana", name="Malasaña"),
    answer=EXAMPLE,
    failures=("conflict",),
)
async def add_new_location(call: Call, data: NewLocation) -> LocationShown:
    """Add a location."""
    return await call.write(_add, call.program.id, data)


@operation(
    "PATCH",
    "/v1/programs/{program}/locations/{location}",
    scope="admin",
    tag=TAG,
    example=LocationChange(name="Malasaña, Calle del Pez", latitude=40.4268, longitude=-3.7038),
    answer=EXAMPLE,
)
async def change_one_location(call: Call, data: LocationChange) -> LocationShown:
    """Change a location.

    `{location}` is its slug, which stays: signs are printed with it. Cards on phones follow.
    """
    return await call.write(_change, call.program.id, call.path["location"], data)


def require_location(conn: Connection, program_id: str, name: str, pointer: str) -> Shop:
    """The location of this id or slug. Raises: Problem."""
    for shop in shops_of(conn, program_id):
        if name in (shop.id, shop.slug):
            return shop
    raise invalid(pointer, "The programme has no such location.")


def _add(conn: Connection, program_id: str, new: NewLocation) -> LocationShown:
    try:
        return _shown(add_location(conn, program_id, Location(**asdict(new))))
    except LocationTaken:
        raise Problem("conflict", f"There is a location {new.slug!r} already.") from None
    except InvalidLocation as error:
        raise invalid("/latitude", f"{error}.".capitalize()) from None


def _change(conn: Connection, program_id: str, slug: str, data: LocationChange) -> LocationShown:
    told = {name: value for name, value in asdict(data).items() if value is not UNSET}
    try:
        changed = change_location(conn, program_id, slug, **told)
    except InvalidLocation as error:
        raise invalid("/latitude", f"{error}.".capitalize()) from None
    if changed is None:
        raise Problem("not-found", "There is no location of that name.")
    return _shown(changed)


def _shown(shop: Shop) -> LocationShown:
    return LocationShown(**asdict(shop))


ROUTES = (list_locations, add_new_location, change_one_location)
