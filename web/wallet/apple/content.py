"""What stands in a pass: `pass.json` for one holder, and the labels of a design in each language.

The rules are Apple's WalletPasses reference (Pass, PassFields, PassFieldContent). Wallet looks every label
up in the `pass.strings` of the phone's language and shows what it does not find as it stands. So the keys
are the texts of the programme's default language: a phone in a language that nobody translated to shows
those, never a code name.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Any

import msgspec

from web.wallet.card import LABELS, Beacon, Card, Design, Link, Location, rgb
from web.wallet.text import plain

Field = dict[str, Any]

STYLES = {"loyalty": "storeCard", "gift_card": "storeCard", "coupon": "coupon", "membership": "generic"}
# What stands where on the other kinds; a loyalty card's places are its merchant's choice.
_PLACES = {
    "gift_card": {
        "header": ("balance",),
        "primary": ("headline",),
        "secondary": ("member",),
        "auxiliary": (),
    },
    "coupon": {"header": (), "primary": ("headline",), "secondary": ("member",), "auxiliary": ()},
    "membership": {"header": (), "primary": ("headline",), "secondary": ("member", "tier"), "auxiliary": ()},
}
_BARCODES = {
    "qr": "PKBarcodeFormatQR",
    "aztec": "PKBarcodeFormatAztec",
    "pdf417": "PKBarcodeFormatPDF417",
    "code128": "PKBarcodeFormatCode128",
}
_AS_DATE = {"dateStyle": "PKDateStyleMedium", "timeStyle": "PKDateStyleNone"}
_MESSAGE_LIMIT = 240
_NAME_LIMIT = 64  # more is cut off on the front of a pass anyway


class Content:
    """Makes the `pass.json` of one design's passes. `strings` holds the design's `pass.strings` files.

    `web_service_url` is where phones register for updates. Only an https address is put into the pass:
    iOS refuses to install one that names an http address (unless a developer switch is on), and without
    the web service a pass of a development server installs and merely stays as it is.
    """

    def __init__(self, design: Design, pass_type_id: str, team_id: str, web_service_url: str | None) -> None:
        self._keys, self.strings = _localise(design)
        self._barcode = _BARCODES[design.barcode]
        self._web_service_url = web_service_url if (web_service_url or "").startswith("https://") else None
        self._design = design
        pages = design.page_links()
        self._pages = {
            locale: [msgspec.Raw(msgspec.json.encode(link)) for link in self._links(pages, locale)]
            for locale in design.locales
        }
        self._backs = {locale: self._back_texts(locale) for locale in design.locales}
        fixed: dict[str, Any] = {
            "formatVersion": 1,
            "passTypeIdentifier": pass_type_id,
            "teamIdentifier": team_id,
            "organizationName": plain(design.organization, _NAME_LIMIT),
            "description": self._keys["description"],
            "backgroundColor": _css(design.background),
            "foregroundColor": _css(design.foreground),
            "labelColor": _css(design.label),
            # A copy shared with a friend would spend the holder's points.
            "sharingProhibited": True,
        }
        if design.max_distance:
            fixed["maxDistance"] = design.max_distance
        if design.logo_text:
            fixed["logoText"] = plain(design.logo_text, _NAME_LIMIT)
        self._opening = msgspec.json.encode(fixed)[:-1] + b","

    def of(self, card: Card) -> bytes:
        """The `pass.json` of one card: what is fixed, encoded once, and behind it what is the card's own."""
        number = plain(card.spaced_number)
        expires = _iso(card.expires) if card.expires else None
        content: dict[str, Any] = {
            "serialNumber": card.serial,
            STYLES[card.kind]: self._front(card) | {"backFields": self._back(card, number, expires)},
        }
        if card.number:  # an erased customer's has none
            content["barcodes"] = [self._barcode_of(card, number)]
        if self._web_service_url:
            content["webServiceURL"] = self._web_service_url
            content["authenticationToken"] = card.token
        if expires:
            content["expirationDate"] = expires
        if card.voided:
            content["voided"] = True
        if card.locations:
            content["locations"] = [_location(location) for location in card.locations]
        if card.hears_places and self._design.beacons:
            content["beacons"] = [self._beacon(beacon, card.locale) for beacon in self._design.beacons]
        return self._opening + msgspec.json.encode(content)[1:]

    def _barcode_of(self, card: Card, number: str) -> dict[str, str]:
        try:
            card.number.encode("iso-8859-1")  # what most scanners expect
            encoding = "iso-8859-1"
        except UnicodeEncodeError:
            encoding = "utf-8"
        return {
            "format": self._barcode,
            "message": card.number,
            "messageEncoding": encoding,
            "altText": number,
        }

    def _front(self, card: Card) -> dict[str, list[Field]]:
        """The fields by their place; each key occurs once in a pass. The header is what remains visible
        of a card in Wallet's stack, so the balance stands there."""
        places = self._design.places if card.kind == "loyalty" else _PLACES[card.kind]
        return {
            f"{place}Fields": [field for name in names if (field := self._placed(name, card))]
            for place, names in places.items()
        }

    def _placed(self, name: str, card: Card) -> Field | None:
        """One field of the front, or None where this card has nothing to say in it."""
        reward = card.next_reward
        match name:
            case "balance":
                unit = "points" if card.kind == "loyalty" else "balance"
                balance = self._field("balance", unit, card.amount(card.balance))
                return self._speaking(balance, card, "points_changed")
            case "headline" | "next_reward" if card.headline:
                return self._field("headline", "offer", plain(card.headline, _NAME_LIMIT))
            case "next_reward" if reward:
                title = plain(reward.title, _NAME_LIMIT)
                return self._field("next_reward", "next_reward", title)
            case "missing" if reward:
                return self._field("missing", "missing", card.amount(reward.missing))
            case "member" if card.member:
                return self._field("member", "member", plain(card.member, _NAME_LIMIT))
            case "member_since" if card.member_since:
                return self._field("member_since", "member_since", _iso(card.member_since)) | _AS_DATE
            case "tier" if card.tier:
                tier = self._field("tier", "tier", plain(card.tier, _NAME_LIMIT))
                return self._speaking(tier, card, "tier_changed")
            case "card_number":
                return self._field("card_number", "card_number", plain(card.spaced_number))
        own = self._design.texts.get(name)
        if own is None:
            return None
        return self._field(f"own_{name}", f"own_{name}", plain(self._design.text(own.value, card.locale)))

    def _back(self, card: Card, number: str, expires: str | None) -> list[Field | msgspec.Raw]:
        fields: list[Field | msgspec.Raw] = [self._message(card)] if card.kind == "loyalty" and number else []
        if number:
            fields.append(self._field("number", "card_number", number))
        if expires:
            fields.append(self._field("expires", "expires", expires) | _AS_DATE)
        if not card.links and card.locale in self._pages:
            fields += self._pages[card.locale]
        else:
            fields += self._links(card.links or self._design.page_links(), card.locale)
        return fields + self._backs.get(card.locale, self._backs[self._design.locales[0]])

    def _back_texts(self, locale: str) -> list[Field | msgspec.Raw]:
        """The merchant's own paragraphs, which are the same on every card of a language."""
        fields: list[Field | msgspec.Raw] = []
        for number, own in enumerate(self._design.back):
            text = plain(self._design.text(own.value, locale))
            field = self._field(f"back_{number}", f"back_{number}", text)
            if own.url:
                field["attributedValue"] = f'<a href="{escape(own.url)}">{escape(text)}</a>'
            fields.append(msgspec.Raw(msgspec.json.encode(field)))
        return fields

    def _beacon(self, beacon: Beacon, locale: str) -> dict[str, Any]:
        told = {
            "proximityUUID": beacon.uuid.upper(),
            "relevantText": plain(self._design.text(beacon.text, locale)),
        }
        numbers = {"major": beacon.major, "minor": beacon.minor}
        return told | {name: number for name, number in numbers.items() if number is not None}

    def _links(self, links: Iterable[Link], locale: str) -> list[Field]:
        opener = escape(plain(self._design.label_text("open", locale)))
        return [
            # `value` is what a watch, which knows no links, shows.
            self._field(f"link_{link.label}", link.label, link.url)
            | {"attributedValue": f'<a href="{escape(link.url)}">{opener}</a>'}
            for link in links
        ]

    def _message(self, card: Card) -> Field:
        """What the card says. The field is there before there is anything to say: iOS tells of no new ones."""
        if card.message is None:
            return self._field("message", "message", self._keys["no_message"])
        text = "\n".join(plain(line, _MESSAGE_LIMIT) for line in card.message.text.split("\n"))
        field = self._field("message", "message", text)
        if card.message.code:
            # The text itself is the link, so that a notice made of either of the two says the same.
            address = escape(self._design.message_url(card.message.code))
            field["attributedValue"] = f'<a href="{address}">{escape(text)}</a>'
        return self._speaking(field, card)

    def _field(self, key: str, label: str, value: str) -> Field:
        return {"key": key, "label": self._keys[label], "value": value}

    def _speaking(self, field: Field, card: Card, changed: str | None = None) -> Field:
        """The field, with what the phone says of its change if it is the one that may speak."""
        if field["key"] == card.speaks:
            field["changeMessage"] = self._keys[changed] if changed else "%@"
        return field


def _localise(design: Design) -> tuple[dict[str, str], dict[str, bytes]]:
    """The key of each label, and the strings files by their path in the pass."""
    named = {label: design.label_texts(label) for label in LABELS}
    for name, own in design.texts.items():
        named[f"own_{name}"] = {locale: design.text(own.label, locale) for locale in design.locales}
    for number, paragraph in enumerate(design.back):
        named[f"back_{number}"] = {locale: design.text(paragraph.label, locale) for locale in design.locales}
    named["description"] = {locale: design.text(design.description, locale) for locale in design.locales}
    keys: dict[str, str] = {}
    by_key: dict[str, dict[str, str]] = {}
    for label, texts in named.items():
        safe = {locale: plain(text) for locale, text in texts.items()}
        key = safe[design.locales[0]]
        while by_key.setdefault(key, safe) != safe:
            key += " "  # two labels that read alike here and differ in another language need two keys
        keys[label] = key
    files = {
        f"{locale.replace('_', '-')}.lproj/pass.strings": _strings_file(
            (key, texts[locale]) for key, texts in by_key.items()
        )
        for locale in design.locales
    }
    return keys, files


def _strings_file(entries: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f'"{_quoted(key)}" = "{_quoted(text)}";\n' for key, text in entries).encode()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _location(location: Location) -> dict[str, float | str]:
    return {
        "latitude": location.latitude,
        "longitude": location.longitude,
        "relevantText": plain(location.text),
    }


def _css(colour: str) -> str:
    return "rgb({}, {}, {})".format(*rgb(colour))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
