"""What a card shows, whatever wallet or page shows it.

A `Design` is one programme's look in one version: it is the same for every holder, so wallets prepare
it once. A `Card` is one holder's copy: its values are already in the holder's language, while labels are
kept in all of the programme's languages because a phone may speak another one than its owner's account.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from web.wallet.text import format_amount, spaced

N_ = str  # marks a source text for the catalogues; it is translated by `own_labels`

Kind = Literal["loyalty", "coupon", "gift_card", "membership"]
BarcodeFormat = Literal["qr", "aztec", "pdf417", "code128"]
Voice = Literal["balance", "tier", "message"]
Texts = Mapping[str, str]
"""One text in several languages: locale -> text."""

MAX_LOCATIONS = 10  # Apple and Google both ignore, or refuse, more
MIN_TOKEN = 16  # Apple refuses a pass with a shorter authenticationToken

LABELS = {
    "points": N_("Points"),
    "balance": N_("Balance"),
    "tier": N_("Tier"),
    "member": N_("Member"),
    "offer": N_("Offer"),
    "next_reward": N_("Next reward"),
    "missing": N_("Still to go"),
    "card_number": N_("Card number"),
    "expires": N_("Valid until"),
    "member_since": N_("Member since"),
    "message": N_("Latest message"),
    "no_message": N_("Nothing yet"),
    "open": N_("Open"),
    "open_card": N_("Open my card"),
    "rewards": N_("My rewards"),
    "earning_flows": N_("Ways to earn"),
    "referrals": N_("Invite friends"),
    "coupons": N_("My coupons"),
    "transactions": N_("My history"),
    # %@ is where the phone writes the new value
    "points_changed": N_("Your balance is now %@"),
    "tier_changed": N_("Your tier is now %@"),
}
# What stands where, unless a merchant decides otherwise.
PLACES: Mapping[str, tuple[str, ...]] = {
    "header": ("balance",),
    "primary": ("next_reward",),
    "secondary": ("member", "tier", "missing"),
    "auxiliary": (),
}
_PAGES = {
    "open_card": "profile",
    "rewards": "loyalty/rewards",
    "earning_flows": "loyalty/earning-flows",
    "referrals": "referrals",
    "coupons": "coupons",
    "transactions": "transactions",
}


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """One programme's look. Changing anything here needs a new `version`: wallets keep what they prepared
    by (`program_id`, `version`).

    `locales` starts with the default one. `labels` maps a label's id to its texts; `own_labels` makes it.
    `logo`, `icon`, `strip` and `hero` are the merchant's own files (PNG, JPEG or WebP); `logo_url` and
    `hero_url` are where Google may fetch the logo and the hero; it takes no class without a logo.
    `base_url` is the public origin, without a slash at the end. Raises ValueError for a colour that is
    not #rrggbb, for no locale, and for a name or description that is missing in the default one.
    """

    program_id: UUID
    version: int
    slug: str
    organization: str
    name: Texts
    description: Texts
    background: str
    foreground: str
    label: str
    locales: tuple[str, ...]
    labels: Mapping[str, Texts]
    base_url: str
    logo: bytes
    icon: bytes | None = None
    strip: bytes | None = None
    hero: bytes | None = None
    logo_url: str | None = None
    hero_url: str | None = None
    logo_text: str | None = None
    barcode: BarcodeFormat = "qr"
    # The names of fields, by their place on the front of a loyalty card.
    places: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: PLACES)
    texts: Mapping[str, "OwnText"] = {}
    back: tuple["OwnText", ...] = ()
    beacons: tuple["Beacon", ...] = ()
    max_distance: int | None = None

    def __post_init__(self) -> None:
        if not self.locales:
            raise ValueError("a design needs at least one locale")
        if not all(texts.get(self.locales[0], "").strip() for texts in (self.name, self.description)):
            raise ValueError("a design needs its name and description in the default locale")
        for colour in (self.background, self.foreground, self.label):
            rgb(colour)

    def text(self, texts: Texts, locale: str | None = None) -> str:
        """The text in `locale`, else in the programme's default, else in any language there is."""
        for choice in (locale or self.locales[0], self.locales[0], *texts):
            if text := texts.get(choice):
                return text
        return ""

    def label_texts(self, label_id: str) -> dict[str, str]:
        """A label in each of the programme's languages, the English source standing in for a missing one."""
        texts = self.labels.get(label_id, {})
        fallback = texts.get(self.locales[0]) or LABELS[label_id]
        return {locale: texts.get(locale) or fallback for locale in self.locales}

    def label_text(self, label_id: str, locale: str | None = None) -> str:
        return self.text(self.label_texts(label_id), locale)

    def page_links(self) -> tuple["Link", ...]:
        """The session pages, for the back of a card: whoever is not signed in there can be."""
        return tuple(
            Link(label=label, url=f"{self.base_url}/{self.slug}/{path}") for label, path in _PAGES.items()
        )

    def message_url(self, code: str) -> str:
        """Where a card links to from a message: our own address, which notes the tap and leads on."""
        return f"{self.base_url}/{self.slug}/m/{code}"


class OwnText(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the merchant's own, in their languages; `url` makes it a link."""

    label: Texts
    value: Texts
    url: str | None = None


class Beacon(msgspec.Struct, frozen=True, kw_only=True):
    """A Bluetooth beacon near which the phone offers the card, and what it says there."""

    uuid: str
    major: int | None
    minor: int | None
    text: Texts


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link on the card. `label` is the id of one of the design's labels."""

    label: str
    url: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a card says: lines of text, and the code of the short address that they link to."""

    text: str
    code: str | None = None


class NextReward(msgspec.Struct, frozen=True, kw_only=True):
    """The reward a holder is on the way to; `cost` and `missing` in the card's minor units."""

    title: str
    cost: int
    missing: int


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place near which the phone offers the card, and what it says there in the holder's language. WGS 84."""

    latitude: float
    longitude: float
    text: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One holder's copy. `balance` is in minor units, `scale` (0 or 2) says how many decimals they are.

    `number` is empty where nobody is left whose it could be. `headline` is what a coupon gives or what a
    membership is called; `currency` (ISO 4217) is set where the balance is money. `serial` and `token`
    never change for a pass. `speaks` is the one field whose change the phone may tell of. Raises ValueError
    for a short token, a date without a zone, another scale, more than ten locations or two links of one
    label.
    """

    kind: Kind = "loyalty"
    serial: str
    token: str
    number: str
    locale: str
    balance: int = 0
    scale: int = 0
    currency: str | None = None
    member: str | None = None
    headline: str | None = None
    tier: str | None = None
    member_since: datetime | None = None
    next_reward: NextReward | None = None
    links: tuple[Link, ...] = ()
    expires: datetime | None = None
    voided: bool = False
    locations: tuple[Location, ...] = ()
    # Whether its holder wants to be told of the card near a shop.
    hears_places: bool = True
    message: Message | None = None
    speaks: Voice | None = None

    def __post_init__(self) -> None:
        if len(self.token) < MIN_TOKEN:
            raise ValueError(f"an authentication token has at least {MIN_TOKEN} characters")
        if not 0 <= self.scale <= 3:
            raise ValueError("the scale of a balance is 0 to 3")
        if len(self.locations) > MAX_LOCATIONS:
            raise ValueError(f"a card has at most {MAX_LOCATIONS} locations")
        if len({link.label for link in self.links}) < len(self.links):
            raise ValueError("the links of a card have different labels")
        if self.expires is not None and self.expires.tzinfo is None:
            raise ValueError("the expiry of a card needs a time zone")

    @property
    def spaced_number(self) -> str:
        """The number below the barcode, in groups that can be read aloud."""
        return spaced(self.number)

    def amount(self, minor: int) -> str:
        """Minor units as the holder's language writes them, with the currency's code where it is money."""
        written = format_amount(minor, self.scale, self.locale)
        return f"{written} {self.currency}" if self.currency else written


def own_labels(
    locales: Iterable[str],
    translate: Callable[[str, str], str],
    chosen: Mapping[str, Texts] | None = None,
) -> dict[str, dict[str, str]]:
    """Every label of a card in every locale: `translate(locale, source)`, unless the merchant chose a text.

    `chosen` holds the merchant's own words by label id and locale, such as their name for points.
    """
    chosen, locales = chosen or {}, tuple(locales)
    return {
        label: {locale: chosen.get(label, {}).get(locale) or translate(locale, source) for locale in locales}
        for label, source in LABELS.items()
    }


def rgb(colour: str) -> tuple[int, int, int]:
    """(red, green, blue) of a colour written #rrggbb. Raises ValueError for any other writing."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"a colour is written #rrggbb, not {colour!r}")
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
