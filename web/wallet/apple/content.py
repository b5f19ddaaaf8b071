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

from web.wallet.card import LABELS, Card, Design, Link, Location, rgb
from web.wallet.text import plain

Field = dict[str, Any]

STYLES = {"loyalty": "storeCard", "gift_card": "storeCard", "coupon": "coupon", "membership": "generic"}
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
        reward = card.next_reward
        unit = "points" if card.kind == "loyalty" else "balance"
        balance = self._field("balance", unit, card.amount(card.balance))
        header = [self._speaking(balance, card, "points_changed")]
        primary: list[Field] = []
        if card.headline:
            primary = [self._field("headline", "offer", plain(card.headline, _NAME_LIMIT))]
        elif reward:
            title = plain(reward.title, _NAME_LIMIT)
            primary = [self._field("next_reward", "next_reward", title)]
        secondary = []
        if card.member:
            secondary.append(self._field("member", "member", plain(card.member, _NAME_LIMIT)))
        if card.tier:
            tier = self._field("tier", "tier", plain(card.tier, _NAME_LIMIT))
            secondary.append(self._speaking(tier, card, "tier_changed"))
        if reward:
            secondary.append(self._field("missing", "missing", card.amount(reward.missing)))
        return {
            "headerFields": header if card.kind in ("loyalty", "gift_card") else [],
            "primaryFields": primary,
            "secondaryFields": secondary,
            "auxiliaryFields": [],
        }

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
        return fields

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
