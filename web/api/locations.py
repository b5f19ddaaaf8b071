"""Locations: a merchant's shops."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_LOCATION, A_MOMENT, Id, Input, Output
from web.loyalty.sign import Location, LocationTaken, Shop, add_location, rename_location, shops_of

TAG = "Locations"

Slug = Annotated[
    str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$", description="Its name in addresses and on signs.")
]
Name = Annotated[str, Meta(min_length=1, max_length=80, description="What customers read.")]


class NewLocation(Input):
    slug: Slug
    name: Name


class LocationChange(Input):
    name: Name


class LocationShown(Output):
    id: Id
    slug: str
    name: str
    created_at: datetime


class Locations(Output):
    items: list[LocationShown]


EXAMPLE = LocationShown(id=A_LOCATION, slug="malasana", name="Malasaña", created_at=A_MOMENT)


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
    example=LocationChange(name="Malasaña, Calle del Pez"),
    answer=EXAMPLE,
)
async def change_location(call: Call, data: LocationChange) -> LocationShown:
    """Rename a location.

    `{location}` is its slug, which stays: signs are printed with it.
    """
    return await call.write(_rename, call.program.id, call.path["location"], data.name)


def require_location(conn: Connection, program_id: str, name: str, pointer: str) -> Shop:
    """The location of this id or slug. Raises: Problem."""
    for shop in shops_of(conn, program_id):
        if name in (shop.id, shop.slug):
            return shop
    raise invalid(pointer, "The programme has no such location.")


def _add(conn: Connection, program_id: str, new: NewLocation) -> LocationShown:
    try:
        return _shown(add_location(conn, program_id, Location(slug=new.slug, name=new.name)))
    except LocationTaken:
        raise Problem("conflict", f"There is a location {new.slug!r} already.") from None


def _rename(conn: Connection, program_id: str, slug: str, name: str) -> LocationShown:
    renamed = rename_location(conn, program_id, slug, name)
    if renamed is None:
        raise Problem("not-found", "There is no location of that name.")
    return _shown(renamed)


def _shown(shop: Shop) -> LocationShown:
    return LocationShown(id=shop.id, slug=shop.slug, name=shop.name, created_at=shop.created_at)


ROUTES = (list_locations, add_new_location, change_location)
