"""What Google Wallet is told: one class for a programme's look, one object for each holder's card.

After Google's Wallet API reference, REST resources `loyaltyclass` and `loyaltyobject`. A text in several
languages stands in a `localized…` field beside the plain one, which holds the default language.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from web.wallet.card import Card, Design, Link, OwnText
from web.wallet.text import plain

Json = dict[str, Any]

_BARCODES = {"qr": "QR_CODE", "aztec": "AZTEC", "pdf417": "PDF_417", "code128": "CODE_128"}
_INT32 = 2**31
NAME_LIMIT = 64


def class_id(issuer_id: str, program_id: UUID) -> str:
    """`issuerId.suffix`: a class is one programme's for good, whatever its design becomes."""
    return f"{issuer_id}.program-{program_id}"


def object_id(issuer_id: str, serial: str) -> str:
    """`issuerId.suffix`; the suffix takes letters, digits, ".", "_" and "-" only."""
    return f"{issuer_id}.card-{serial}"


def pass_id_of(issuer_id: str, google_id: str) -> str | None:
    """The serial number in an object's id; None for another issuer's, or what is no card of ours."""
    opening = object_id(issuer_id, "")
    return google_id.removeprefix(opening) if google_id.startswith(opening) else None


def loyalty_class(design: Design, issuer_id: str, callback_url: str | None = None) -> Json:
    """The `LoyaltyClass` of a design. Google fetches pictures itself, so they are named by their address.

    `callback_url` hears of every save and removal; Google calls https addresses only, others are left out.
    """
    names = {locale: design.text(design.name, locale) for locale in design.locales}
    content: Json = {
        "id": class_id(issuer_id, design.program_id),
        "issuerName": plain(design.organization, NAME_LIMIT),
        "programName": plain(names[design.locales[0]], NAME_LIMIT),
        "localizedProgramName": localized(design, names),
        "reviewStatus": "UNDER_REVIEW",
        "hexBackgroundColor": design.background.lower(),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
        "accountNameLabel": plain(design.label_text("member")),
        "localizedAccountNameLabel": label_of(design, "member"),
        "accountIdLabel": plain(design.label_text("card_number")),
        "localizedAccountIdLabel": label_of(design, "card_number"),
    }
    if design.logo_url:
        content["programLogo"] = {"sourceUri": {"uri": design.logo_url}}
    if design.hero_url:
        content["heroImage"] = {"sourceUri": {"uri": design.hero_url}}
    if callback_url and callback_url.startswith("https://"):
        content["callbackOptions"] = {"url": callback_url}
    return content


def loyalty_object(design: Design, card: Card, issuer_id: str) -> Json:
    """The `LoyaltyObject` of a loyalty card; kinds.py has the others."""
    content: Json = {
        "id": object_id(issuer_id, card.serial),
        "classId": class_id(issuer_id, design.program_id),
        "state": "INACTIVE" if card.voided else "ACTIVE",
        "loyaltyPoints": _points(design, "points") | {"balance": _balance(card)},
        "linksModuleData": {"uris": list(_links(design, card.links or design.page_links()))},
    }
    if card.number:  # an erased customer's has none
        content["accountId"] = plain(card.number, NAME_LIMIT)
        content["barcode"] = barcode_of(design, card)
    if card.speaks in ("balance", "tier"):
        # Of a message Google is told by itself; it lasts for one request, and what is not named tells nothing.
        content["notifyPreference"] = "NOTIFY_ON_UPDATE"
    if card.member:
        content["accountName"] = plain(card.member, NAME_LIMIT)
    if card.tier:  # a class has a tier of its own, but one for all: the holder's stands with the points
        tier = {"balance": {"string": plain(card.tier, NAME_LIMIT)}}
        content["secondaryLoyaltyPoints"] = _points(design, "tier") | tier
    modules = (
        []
        if card.next_reward is None
        else [
            _module(design, "next_reward", plain(card.next_reward.title)),
            _module(design, "missing", card.amount(card.next_reward.missing)),
        ]
    )
    modules += [_own_module(design, name, own, card.locale) for name, own in design.texts.items()]
    modules += [
        _own_module(design, f"back_{number}", own, card.locale) for number, own in enumerate(design.back)
    ]
    if modules:
        content["textModulesData"] = modules
    if card.expires:
        content["validTimeInterval"] = validity_of(card.expires)
    if card.locations:
        content["merchantLocations"] = [
            {"latitude": place.latitude, "longitude": place.longitude} for place in card.locations
        ]
    return content


def barcode_of(design: Design, card: Card) -> Json:
    return {
        "type": _BARCODES[design.barcode],
        "value": card.number,
        "alternateText": plain(card.spaced_number),
    }


def validity_of(end: datetime) -> Json:
    return {"end": {"date": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}


def _balance(card: Card) -> Json:
    """A number where the phone can write it in its own language: whole, and within the 32 bits given it."""
    if card.scale == 0 and card.currency is None and -_INT32 <= card.balance < _INT32:
        return {"int": card.balance}
    return {"string": card.amount(card.balance)}


def _points(design: Design, label: str) -> Json:
    return {"label": plain(design.label_text(label)), "localizedLabel": label_of(design, label)}


def _module(design: Design, label: str, body: str) -> Json:
    header = plain(design.label_text(label))
    return {"id": label, "header": header, "localizedHeader": label_of(design, label), "body": body}


def _own_module(design: Design, name: str, own: OwnText, locale: str) -> Json:
    headers = {each: design.text(own.label, each) for each in design.locales}
    return {
        "id": f"own_{name}",
        "header": plain(headers[design.locales[0]]),
        "localizedHeader": localized(design, headers),
        "body": plain(design.text(own.value, locale)),
    }


def _links(design: Design, links: Iterable[Link]) -> Iterable[Json]:
    for link in links:
        yield {
            "id": link.label,
            "uri": link.url,
            "description": plain(design.label_text(link.label)),
            "localizedDescription": label_of(design, link.label),
        }


def label_of(design: Design, label: str) -> Json:
    return localized(design, design.label_texts(label))


def localized(design: Design, texts: dict[str, str]) -> Json:
    default, *others = (
        {"language": locale.replace("_", "-"), "value": plain(texts[locale])} for locale in design.locales
    )
    return {"defaultValue": default, "translatedValues": others}
