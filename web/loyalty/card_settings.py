"""What a merchant decides about the card on phones: colours, what stands where, texts of their own, places.

What is not decided is derived from the brand, and the fields are where Pasito puts them. The limits are Apple's for
a store card; Google shows what it has room for.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Localised = dict[str, str]
Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]
Barcode = Literal["qr", "aztec", "pdf417", "code128"]
# What Pasito knows to fill in; every other name in a place is that of one of the merchant's own texts.
KNOWN_FIELDS = frozenset(
    ("balance", "tier", "next_reward", "missing", "member", "member_since", "card_number")
)
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,29}$")]
Line = Annotated[str, Meta(min_length=1, max_length=80)]
_UUID = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_WEB = re.compile(r"https?://[^\s/]+\S*")


class CardText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field of the merchant's own on the front: `key` is by what a place names it."""

    key: Name
    label: dict[str, Line]
    value: dict[str, Line]


class BackText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A paragraph on the back: opening hours, terms, a telephone number. `url` makes a link of its title."""

    title: dict[str, Line]
    text: dict[str, Annotated[str, Meta(min_length=1, max_length=2000)]]
    url: Annotated[str, Meta(max_length=500)] = ""


class Beacon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Bluetooth beacon near which the phone offers the card."""

    uuid: Annotated[str, Meta(pattern=_UUID)]
    major: Annotated[int, Meta(ge=0, le=65535)] | None = None
    minor: Annotated[int, Meta(ge=0, le=65535)] | None = None
    text: dict[str, Line]


class CardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card's look. Places hold names of fields, in the order in which they stand.

    `max_distance`: from how many metres around a location the phone offers the card; the phone's own measure if 0.
    """

    background: Colour | None = None
    foreground: Colour | None = None
    label: Colour | None = None
    logo_text: Annotated[str, Meta(max_length=20)] | None = None
    barcode: Barcode = "qr"
    header: Annotated[tuple[Name, ...], Meta(max_length=3)] = ("balance",)
    primary: Annotated[tuple[Name, ...], Meta(max_length=1)] = ("next_reward",)
    secondary: Annotated[tuple[Name, ...], Meta(max_length=4)] = ("member", "tier", "missing")
    auxiliary: Annotated[tuple[Name, ...], Meta(max_length=4)] = ()
    texts: Annotated[tuple[CardText, ...], Meta(max_length=8)] = ()
    back: Annotated[tuple[BackText, ...], Meta(max_length=8)] = ()
    beacons: Annotated[tuple[Beacon, ...], Meta(max_length=10)] = ()
    max_distance: Annotated[int, Meta(ge=0, le=100_000)] = 0

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        return {
            "header": self.header,
            "primary": self.primary,
            "secondary": self.secondary,
            "auxiliary": self.auxiliary,
        }


def check_card(card: CardSettings, language: str) -> list[str]:
    """What types alone cannot say; `language` is the programme's first."""
    problems = []
    keys = [text.key for text in card.texts]
    problems += [
        f"card.texts: {key!r} is there twice." for key in sorted({k for k in keys if keys.count(k) > 1})
    ]
    problems += [
        f"card.texts: {key!r} is a field that the card has already; choose another name."
        for key in keys
        if key in KNOWN_FIELDS
    ]
    placed = [name for names in card.places.values() for name in names]
    problems += [
        f"card: {name!r} stands in two places; a card has each field once."
        for name in sorted({name for name in placed if placed.count(name) > 1})
    ]
    for place, names in card.places.items():
        problems += [
            f"card.{place}: {name!r} is no field; there are {', '.join(sorted(KNOWN_FIELDS))}, and those of card.texts."
            for name in names
            if name not in KNOWN_FIELDS and name not in keys
        ]
    for where, texts in _texts_of(card):
        if not texts.get(language):
            problems.append(f"{where}: give it in the programme's first language ({language}).")
    problems += [
        f"card.back.{number}.url: write an address that begins with https:// or http://."
        for number, back in enumerate(card.back)
        if back.url and not _WEB.fullmatch(back.url)
    ]
    return problems


def _texts_of(card: CardSettings) -> list[tuple[str, Localised]]:
    return [
        *((f"card.texts.{text.key}.label", text.label) for text in card.texts),
        *((f"card.texts.{text.key}.value", text.value) for text in card.texts),
        *((f"card.back.{number}.title", back.title) for number, back in enumerate(card.back)),
        *((f"card.back.{number}.text", back.text) for number, back in enumerate(card.back)),
        *((f"card.beacons.{number}.text", beacon.text) for number, beacon in enumerate(card.beacons)),
    ]
