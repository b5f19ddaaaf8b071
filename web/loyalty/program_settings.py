"""What a merchant decides about a programme: brand, texts, what is asked, consents, flows.

The same model is read from a TOML file, from the API and from the database. Text that customers read is given for
each language; the first of `languages` is what is shown where another is missing, so that nobody ever sees a key.
"""

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale, UnknownLocaleError
from msgspec import Meta

from web.foundation.address import BadEmailError, parse_email
from web.foundation.theme import READABLE, card_colours, contrast
from web.loyalty.card_settings import CardSettings, check_card
from web.loyalty.quiet_hours import PATTERN, is_written_well
from web.loyalty.tiering import TierRules

Localised = dict[str, str]

# As browsers write it. Plain HTTP is for trying things out on one's own machine.
ORIGIN = re.compile(r"(https://[a-z0-9-]+(\.[a-z0-9-]+)*|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?")
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
# First parts of addresses that are not programmes.
RESERVED_SLUGS = frozenset(
    [
        "assets",
        "health",
        "metrics",
        "schema",
        "v1",
        "passkit",
        "webhooks",
        "flow",
        "dev",
        "s",
        "static",
        "api",
        "admin",
        "favicon",
        "robots",
    ]
)

ShortText = Annotated[str, Meta(min_length=1, max_length=80)]
Key = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class InvalidProgram(Exception):
    """A programme that cannot be served; `problems` says each of its faults and what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Brand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it looks. Everything else is derived from the one colour, with contrast guaranteed."""

    colour: Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")] = "#6b4226"


class Texts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The merchant's own words in one language."""

    tagline: Annotated[str, Meta(max_length=120)] = ""
    gain: Annotated[str, Meta(max_length=120)] = ""
    gains: Annotated[tuple[Annotated[str, Meta(max_length=120)], ...], Meta(max_length=4)] = ()
    points_name: Annotated[str, Meta(max_length=24)] = ""
    # What the card says by itself, where the merchant has words of their own: {reward}, {points} stand in them.
    reward_ready: Annotated[str, Meta(max_length=160)] = ""
    friend_came: Annotated[str, Meta(max_length=160)] = ""
    came_by_friend: Annotated[str, Meta(max_length=160)] = ""


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a choice."""

    value: Key
    label: Localised


class ExtraField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question of step 2 beyond the name."""

    key: Key
    kind: Literal["text", "date", "choice", "birthday"]
    label: Localised
    hint: Localised = {}
    required: bool = False
    options: tuple[Option, ...] = ()


class Consent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One purpose with its own box. Its wording is versioned when the programme is saved."""

    purpose: Key
    channel: Literal["email", "sms", "push", "any"] = "email"
    wording: Localised
    more: Localised = {}


class Flows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ "Customer Flows": what is sent by itself. A flow that is off sends nothing; its event is still recorded.

    `pass_updated`: whether each update of a pass is an event, too, for webhooks that ask for it.
    """

    confirmation_message: bool = True
    download_message: bool = True
    pass_updated: bool = False
    require_verified_for: tuple[Literal["redeem"], ...] = ("redeem",)


class Notices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a card tells by itself on the lock screen, and when it tells nothing.

    `balance`, `tier`: that it changed; `reward`: that one can be had now; `referral`: what bringing a friend gave.
    `quiet_hours`, like "21:00-09:00" in the programme's time zone: messages wait until they end, and what changes
    meanwhile changes silently.
    """

    balance: bool = True
    tier: bool = True
    reward: bool = True
    referral: bool = True
    quiet_hours: Annotated[str, Meta(pattern=f"^$|{PATTERN}")] = ""


class PointsRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How points live: when they can be spent, when they run out, and what a refund may take back.

    `expiry`: "none"; "after_earn" (so many `expiry_months` and `expiry_days` after they were earned); "rolling" (the
    same, counted from the last visit); "calendar_end" (at the end of the year, `expiry_months` later).
    `hold_days`: how long what a purchase earns waits for a return. `grace_days`: how long points that are given back
    after they ran out may still be spent. `negative`: whether taking back what was spent already leads below zero
    ("allow") or stops there ("floor"). `mirror`: another system keeps the points and we show them.
    """

    expiry: Literal["none", "after_earn", "rolling", "calendar_end"] = "none"
    expiry_months: Annotated[int, Meta(ge=0, le=120)] = 0
    expiry_days: Annotated[int, Meta(ge=0, le=3650)] = 0
    grace_days: Annotated[int, Meta(ge=1, le=60)] = 7
    hold_days: Annotated[int, Meta(ge=0, le=60)] = 0
    negative: Literal["allow", "floor"] = "floor"
    mirror: bool = False


ReferralAction = Literal["register", "verify", "install", "first_purchase"]
MostReferrals = Annotated[int, Meta(ge=1, le=100_000)]


class ReferralRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bringing a friend gives, to both or to neither.

    `action`: what the friend must do; a purchase counts from `min_amount` on (minor units of the currency). The points
    are in the programme's minor units and can be spent after `hold_days`, the time in which a purchase may come back.
    `most_a_day`, `most_a_month`, `most_ever`: of how many friends one customer gets points, in the programme's days.
    `attribution_days`: how long a browser remembers the link it opened first; with `last_link_counts`, the last one.
    `says_who`: whether the friend reads the first name of the one who sent them. `busy_network`: so many joining from
    one network within a week are looked at by a person; a shop with its own Wi-Fi sets it higher.
    """

    active: bool = False
    action: ReferralAction = "first_purchase"
    min_amount: Annotated[int, Meta(ge=0, le=10**12)] = 0
    advocate_points: Annotated[int, Meta(ge=0, le=10**9)] = 0
    friend_points: Annotated[int, Meta(ge=0, le=10**9)] = 0
    most_a_day: MostReferrals | None = None
    most_a_month: MostReferrals | None = None
    most_ever: MostReferrals | None = None
    hold_days: Annotated[int, Meta(ge=0, le=60)] = 0
    attribution_days: Annotated[int, Meta(ge=1, le=365)] = 30
    last_link_counts: bool = False
    says_who: bool = False
    busy_network: Annotated[int, Meta(ge=2, le=10_000)] = 10


class Sender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signs the mails."""

    name: str = ""
    reply_to: str = ""
    postal_address: str = ""


class ProgramSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a merchant's decisions. `scale` is 0 for whole points, 2 for hundredths (money)."""

    name: ShortText
    languages: Annotated[tuple[str, ...], Meta(min_length=1, max_length=12)] = ("en",)
    timezone: str = "UTC"
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "GB"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    scale: Literal[0, 2] = 0
    asks: Literal["email", "phone", "either"] = "email"
    brand: Brand = Brand()
    texts: dict[str, Texts] = {}
    fields: Annotated[tuple[ExtraField, ...], Meta(max_length=8)] = ()
    consents: Annotated[tuple[Consent, ...], Meta(max_length=6)] = ()
    flows: Flows = Flows()
    notices: Notices = Notices()
    points: PointsRules = PointsRules()
    tiers: TierRules = TierRules()
    referral: ReferralRules = ReferralRules()
    sender: Sender = Sender()
    # Who is written to when something of the programme needs a person: one e-mail address, never shown to customers.
    contact: str = ""
    # Sites whose pages may call the API in a browser, with a customer's own token: https://shop.example.com.
    origins: Annotated[tuple[str, ...], Meta(max_length=20)] = ()
    card: CardSettings = CardSettings()

    @property
    def default_language(self) -> str:
        return self.languages[0]

    def say(self, texts: Localised, language: str) -> str:
        """A text in `language`, else in the programme's first one, else in any it was given in."""
        return texts.get(language) or texts.get(self.default_language) or next(iter(texts.values()), "")

    def texts_in(self, language: str) -> Texts:
        """The merchant's words, each falling back by itself to the programme's first language."""
        own, first = self.texts.get(language, Texts()), self.texts.get(self.default_language, Texts())
        return Texts(
            tagline=own.tagline or first.tagline,
            gain=own.gain or first.gain,
            gains=own.gains or first.gains,
            points_name=own.points_name or first.points_name,
            reward_ready=own.reward_ready or first.reward_ready,
            friend_came=own.friend_came or first.friend_came,
            came_by_friend=own.came_by_friend or first.came_by_friend,
        )


def check_program(slug: str, settings: ProgramSettings) -> None:
    """What types alone cannot say.

    Raises: InvalidProgram.
    """
    problems = [
        *_check_slug(slug),
        *_check_languages(settings),
        *_check_place(settings),
        *_check_contact(settings.contact),
        *_check_origins(settings.origins),
        *_check_fields(settings),
        *_check_notices(settings.notices),
        *_check_points(settings.points),
        *_check_referral(settings.referral),
        *_check_colours(settings),
        *check_card(settings.card, settings.default_language),
    ]
    if problems:
        raise InvalidProgram(problems)


def _check_slug(slug: str) -> list[str]:
    if slug in RESERVED_SLUGS:
        return [f"slug: {slug!r} is taken by the program itself; choose another."]
    if not SLUG.fullmatch(slug):
        return ["slug: use 2 to 40 small letters, digits and hyphens, like brewbar."]
    return []


def _check_languages(settings: ProgramSettings) -> list[str]:
    problems = []
    for language in settings.languages:
        try:
            Locale.parse(language, sep="-")
        except (ValueError, UnknownLocaleError):
            problems.append(f"languages: {language!r} is no language tag like en or es-MX.")
    problems += [
        f"texts.{language}: is not among languages."
        for language in settings.texts
        if language not in settings.languages
    ]
    return problems


def _check_place(settings: ProgramSettings) -> list[str]:
    try:
        ZoneInfo(settings.timezone)
    except (KeyError, ValueError, OSError):
        return [f"timezone: {settings.timezone!r} is unknown; write one like Europe/Madrid."]
    return []


def _check_contact(contact: str) -> list[str]:
    try:
        if contact:
            parse_email(contact)
    except BadEmailError:
        return [f"contact: {contact!r} is no e-mail address."]
    return []


def _check_origins(origins: tuple[str, ...]) -> list[str]:
    return [
        f"origins: write {origin!r} like https://shop.example.com, in small letters and without a path."
        for origin in origins
        if not ORIGIN.fullmatch(origin)
    ]


def _check_notices(notices: Notices) -> list[str]:
    if not is_written_well(notices.quiet_hours):
        return ["notices.quiet_hours: write them like 21:00-09:00; they cannot last the whole day."]
    return []


def _check_points(rules: PointsRules) -> list[str]:
    if rules.expiry in ("after_earn", "rolling") and not rules.expiry_months + rules.expiry_days:
        return [f"points.expiry: {rules.expiry!r} needs expiry_months or expiry_days."]
    return []


def _check_referral(rules: ReferralRules) -> list[str]:
    if rules.active and not rules.advocate_points + rules.friend_points:
        return ["referral: say what it gives, as advocate_points, friend_points or both."]
    return []


def _check_colours(settings: ProgramSettings) -> list[str]:
    """Somebody reads the card in the sun: what they chose themselves has to be told apart as well."""
    chosen = settings.card
    colours = card_colours(settings.brand.colour, chosen.background, chosen.foreground, chosen.label)
    return [
        f"card.{name}: its contrast to the background is {ratio:.1f} to 1 and has to be 4.5; choose one further off."
        for name, ratio in (
            ("foreground", contrast(colours.foreground, colours.background)),
            ("label", contrast(colours.label, colours.background)),
        )
        if ratio < READABLE
    ]


def _check_fields(settings: ProgramSettings) -> list[str]:
    problems = []
    keys = [field.key for field in settings.fields]
    problems += [f"fields: {key!r} is there twice." for key in {key for key in keys if keys.count(key) > 1}]
    for field in settings.fields:
        if field.key in ("name", "email", "phone"):
            problems.append(f"fields: {field.key!r} is asked for already.")
        if not field.label:
            problems.append(f"fields.{field.key}.label: give it a text in at least one language.")
        if (field.kind == "choice") != bool(field.options):
            problems.append(f"fields.{field.key}.options: a choice needs them, and nothing else has any.")
    purposes = [consent.purpose for consent in settings.consents]
    if len(set(purposes)) < len(purposes):
        problems.append("consents: each purpose may be asked once.")
    problems += [
        f"consents.{consent.purpose}.wording: give it in every language of the programme ({language} is missing)."
        for consent in settings.consents
        for language in settings.languages
        if not consent.wording.get(language)
    ]
    return problems
