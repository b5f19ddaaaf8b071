"""From a programme and a customer's standing to the design and the card that wallets are given."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from babel.numbers import get_currency_precision
from sqlalchemy.engine import Connection

from web.foundation.theme import card_colours
from web.loyalty.held_card import HeldCard
from web.loyalty.pass_item import Item
from web.loyalty.preferences import Notifications
from web.loyalty.program import Program, image_of
from web.loyalty.quiet_hours import quiet_until
from web.loyalty.wallet_pass import BALANCE, MESSAGE, TIER, Pass
from web.wallet.card import (
    Beacon,
    Card,
    Design,
    Location,
    Message,
    NextReward,
    OwnText,
    Voice,
    own_labels,
)
from web.wallet.mark import draw_mark

Translate = Callable[[str, str], str]


def design_of(conn: Connection, program: Program, base_url: str, translate: Translate) -> Design:
    """A programme's look for wallets; without a logo of its own it gets its first letter as one."""
    settings = program.settings
    chosen = settings.card
    colours = card_colours(settings.brand.colour, chosen.background, chosen.foreground, chosen.label)
    texts = {language: settings.texts_in(language) for language in settings.languages}
    logo = image_of(conn, program.id, "logo")
    design = Design(
        program_id=UUID(program.id),
        version=0,
        slug=program.slug,
        organization=settings.name,
        name=dict.fromkeys(settings.languages, settings.name),
        description={language: text.gain or settings.name for language, text in texts.items()},
        background=colours.background,
        foreground=colours.foreground,
        label=colours.label,
        locales=settings.languages,
        labels=own_labels(
            settings.languages,
            translate,
            {"points": {language: text.points_name for language, text in texts.items() if text.points_name}},
        ),
        base_url=base_url,
        logo=logo or draw_mark(settings.name, colours.foreground),
        icon=image_of(conn, program.id, "icon"),
        strip=image_of(conn, program.id, "strip"),
        hero=image_of(conn, program.id, "hero"),
        logo_url=f"{base_url}/{program.slug}/logo.png?v={program.images.get('logo', 'none')[:12]}",
        hero_url=_hero_url(program, base_url),
        logo_text=settings.name if chosen.logo_text is None else chosen.logo_text,
        barcode=chosen.barcode,
        places=chosen.places,
        texts={own.key: OwnText(label=own.label, value=own.value) for own in chosen.texts},
        back=tuple(OwnText(label=back.title, value=back.text, url=back.url or None) for back in chosen.back),
        beacons=tuple(
            Beacon(uuid=beacon.uuid, major=beacon.major, minor=beacon.minor, text=beacon.text)
            for beacon in chosen.beacons
        ),
        max_distance=chosen.max_distance or None,
    )
    return msgspec.structs.replace(design, version=_number_of(design))


def _hero_url(program: Program, base_url: str) -> str | None:
    picture = program.images.get("hero")
    return f"{base_url}/{program.slug}/hero.png?v={picture[:12]}" if picture else None


def _number_of(design: Design) -> int:
    """A number that stands for all that a design is: wallets keep by it what they prepared."""
    return int.from_bytes(sha256(msgspec.json.encode(design)).digest()[:7])


def card_of(program: Program, shown: HeldCard) -> Card:
    """One customer's card, as of now, in the language that they chose where the programme speaks it.

    An erased customer's is void and says nothing but that. Nor does a loyalty card that was made void: the phone that
    holds it may be lost, and the number that the customer has now is for the new one alone.
    """
    settings, held, standing = program.settings, shown.held, shown.standing
    offered = settings.languages
    language = standing.locale if standing and standing.locale in offered else offered[0]
    if standing is None or (held.kind == "loyalty" and held.voided_at is not None):
        return Card(
            kind=held.kind,
            serial=held.id,
            token=held.token,
            number="",
            locale=language,
            voided=True,
        )
    if shown.item is not None:
        return _card_of_item(program, held, shown.item, standing.name, language)
    title = settings.say(standing.next_reward, language) if standing.next_reward else None
    wants = shown.notifications or Notifications()
    return Card(
        kind=held.kind,
        serial=held.id,
        token=held.token,
        number=standing.card_number,
        locale=language,
        balance=standing.points,
        scale=settings.scale,
        member=standing.name,
        tier=settings.say(standing.tier, language) if standing.tier else None,
        member_since=standing.since,
        locations=tuple(
            Location(
                latitude=shop.latitude,
                longitude=shop.longitude,
                text=settings.say(shop.nearby_text, language) or shop.name,
            )
            for shop in (program.shops if wants.location else ())
            if shop.latitude is not None and shop.longitude is not None
        ),
        next_reward=(
            NextReward(title=title, cost=standing.next_reward_cost or 0, missing=standing.missing)
            if title
            else None
        ),
        hears_places=wants.location,
        message=Message(text=shown.message.text, code=shown.message.code) if shown.message else None,
        speaks=voice_of(program, held, wants),
    )


def voice_of(program: Program, held: Pass, wants: Notifications) -> Voice | None:
    """The field that may tell on the lock screen what made this version of a pass, where that is wanted.

    It depends on nothing but the version, so that a pass built twice is the same: also its moment is the version's.
    """
    if held.voice == MESSAGE:
        return "message"
    notices = program.settings.notices
    changed = datetime.fromtimestamp(held.version, UTC)
    if quiet_until(changed, notices.quiet_hours, program.settings.timezone):
        return None
    if held.voice == TIER and notices.tier and wants.tier:
        return "tier"
    return "balance" if held.voice in (BALANCE, TIER) and notices.balance and wants.balance else None


def _card_of_item(program: Program, held: Pass, item: Item, member: str | None, language: str) -> Card:
    """The card of a coupon, gift card or membership."""
    return Card(
        kind=held.kind,
        serial=held.id,
        token=held.token,
        number=item.number,
        locale=language,
        balance=item.amount or 0,
        scale=get_currency_precision(program.settings.currency),
        currency=program.settings.currency,
        # Gift cards are given away; whoever gets one need not read who had it.
        member=None if item.kind == "gift_card" else member,
        headline=program.settings.say(item.title, language),
        expires=item.expires_at,
        speaks="balance" if item.kind == "gift_card" else None,
        voided=held.voided_at is not None,
    )
