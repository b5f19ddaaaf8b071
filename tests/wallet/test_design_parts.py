"""Everything that cards show of a programme is noticed when it changes, and nothing else is."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from web.foundation.database import Database
from web.loyalty.card_settings import BackText, Beacon, CardSettings, CardText
from web.loyalty.location import Shop
from web.loyalty.program import Program
from web.loyalty.program_settings import Brand, PointsRules, Sender, Texts
from web.wallet.card import Design
from web.wallet.design_parts import parts_of
from web.wallet.issue import design_of


def shop(**changes: Any) -> Shop:
    from web.foundation.schema import new_id, utc_now

    given = {
        "id": new_id(),
        "slug": "sol",
        "name": "Sol",
        "latitude": 40.4,
        "longitude": -3.7,
        "nearby_text": {},
        "on_card": True,
        "rank": 1,
        "created_at": utc_now(),
    }
    return Shop(**given | changes)


async def parts(database: Database, program: Program) -> dict[str, str]:
    design: Design = await database.read(design_of, program, "https://cards.example", lambda _, text: text)
    return parts_of(program, design)


def settled(program: Program, **changes: Any) -> Program:
    settings = msgspec.structs.replace(program.settings, **changes)
    return msgspec.structs.replace(program, settings=settings, version=program.version + 1)


TEXT = {"en": "Opening hours"}
CHANGES = {
    "colours": lambda program: settled(program, brand=Brand(colour="#004488")),
    "chosen colours": lambda program: settled(program, card=CardSettings(background="#003300")),
    "name": lambda program: settled(program, name="Another Bar"),
    "points": lambda program: settled(program, texts={"en": Texts(points_name="Crumbs")}),
    "logo text": lambda program: settled(program, card=CardSettings(logo_text="BB")),
    "places": lambda program: settled(program, card=CardSettings(secondary=("member",))),
    "barcode": lambda program: settled(program, card=CardSettings(barcode="aztec")),
    "own text": lambda program: settled(
        program, card=CardSettings(texts=(CardText(key="wifi", label=TEXT, value=TEXT),), auxiliary=("wifi",))
    ),
    "back": lambda program: settled(program, card=CardSettings(back=(BackText(title=TEXT, text=TEXT),))),
    "beacons": lambda program: settled(
        program, card=CardSettings(beacons=(Beacon(uuid=str(UUID(int=1)), text=TEXT),))
    ),
    "shops": lambda program: msgspec.structs.replace(program, shops=(shop(),)),
    "distance": lambda program: settled(program, card=CardSettings(max_distance=80)),
    "picture": lambda program: msgspec.structs.replace(program, images={**program.images, "strip": "0" * 64}),
    "cost of a reward": lambda program: msgspec.structs.replace(
        program, rewards=(msgspec.structs.replace(program.rewards[0], cost=1), *program.rewards[1:])
    ),
    "last of a reward": lambda program: msgspec.structs.replace(
        program, rewards=(msgspec.structs.replace(program.rewards[0], stock=0), *program.rewards[1:])
    ),
    "name of a tier": lambda program: msgspec.structs.replace(
        program, tiers=(msgspec.structs.replace(program.tiers[0], name={"en": "Bean"}), *program.tiers[1:])
    ),
}
IN_PART = {
    "chosen colours": "colours",
    "name": "texts",
    "points": "texts",
    "logo text": "texts",
    "places": "fields",
    "barcode": "fields",
    "own text": "texts",
    "back": "texts",
    "beacons": "locations",
    "shops": "locations",
    "distance": "locations",
    "picture": "pictures",
    "cost of a reward": "rewards",
    "last of a reward": "rewards",
    "name of a tier": "tiers",
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_a_card_shows_is_noticed(database: Database, program: Program, what: str) -> None:
    before, after = await parts(database, program), await parts(database, CHANGES[what](program))
    differing = {name for name in before if before[name] != after[name]}
    assert IN_PART.get(what, what) in differing
    assert len(differing) <= 2


async def test_what_no_card_shows_is_not(database: Database, program: Program) -> None:
    quiet = settled(
        program, sender=Sender(name="Bo"), points=PointsRules(hold_days=3), timezone="Europe/Lisbon"
    )
    assert await parts(database, quiet) == await parts(database, program)
