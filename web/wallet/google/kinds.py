"""What Google is told of the kinds of pass beside the loyalty card: offers, gift cards, and generic passes.

After Google's Wallet API reference, REST resources `offerclass`, `giftcardclass`, `genericclass` and their objects. An
offer's title stands in its class, so that each coupon has a class of its own; a generic pass brings its look along.
"""

from collections.abc import Callable
from hashlib import sha256

import msgspec

from web.wallet.card import Card, Design, Kind
from web.wallet.google.objects import (
    NAME_LIMIT,
    Json,
    barcode_of,
    class_id,
    label_of,
    localized,
    loyalty_class,
    loyalty_object,
    object_id,
    validity_of,
)
from web.wallet.text import plain

MICROS = 6  # decimals


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The two resources of a kind, and what makes their contents."""

    name: str
    class_of: Callable[[Design, Card, str, str | None], Json]
    object_of: Callable[[Design, Card, str], Json]


def _offer_class(design: Design, card: Card, issuer_id: str, callback_url: str | None) -> Json:
    title = plain(card.headline or "", NAME_LIMIT)
    return _branded(design, issuer_id, callback_url) | {
        "id": _class_id(design, card, issuer_id),
        "title": title,
        "provider": plain(design.organization, NAME_LIMIT),
        "redemptionChannel": "BOTH",
        **({"titleImage": {"sourceUri": {"uri": design.logo_url}}} if design.logo_url else {}),
    }


def _gift_card_class(design: Design, card: Card, issuer_id: str, callback_url: str | None) -> Json:
    return _branded(design, issuer_id, callback_url) | {
        "id": _class_id(design, card, issuer_id),
        "merchantName": plain(design.organization, NAME_LIMIT),
        "cardNumberLabel": plain(design.label_text("card_number")),
        "localizedCardNumberLabel": label_of(design, "card_number"),
        **({"programLogo": {"sourceUri": {"uri": design.logo_url}}} if design.logo_url else {}),
    }


def _generic_class(design: Design, card: Card, issuer_id: str, callback_url: str | None) -> Json:
    content = {
        "id": _class_id(design, card, issuer_id),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    }
    return content | _callback(callback_url)


def _offer_object(design: Design, card: Card, issuer_id: str) -> Json:
    return _object(design, card, issuer_id)


def _gift_card_object(design: Design, card: Card, issuer_id: str) -> Json:
    balance = {"currencyCode": card.currency, "micros": str(card.balance * 10 ** (MICROS - card.scale))}
    return _object(design, card, issuer_id) | {
        "cardNumber": plain(card.number, NAME_LIMIT),
        "balance": balance,
        "notifyPreference": "NOTIFY_ON_UPDATE",
    }


def _generic_object(design: Design, card: Card, issuer_id: str) -> Json:
    names = {locale: design.text(design.name, locale) for locale in design.locales}
    content = _object(design, card, issuer_id) | {
        "genericType": "GENERIC_OTHER",
        "cardTitle": localized(design, names),
        "header": _said(card.locale, card.headline or card.number),
        "hexBackgroundColor": design.background.lower(),
    }
    if card.member:
        content["subheader"] = _said(card.locale, card.member)
    if design.logo_url:
        content["logo"] = {"sourceUri": {"uri": design.logo_url}}
    return content


FAMILIES: dict[Kind, Family] = {
    "loyalty": Family(
        name="loyalty",
        class_of=lambda design, _, issuer_id, callback_url: loyalty_class(design, issuer_id, callback_url),
        object_of=loyalty_object,
    ),
    "coupon": Family(name="offer", class_of=_offer_class, object_of=_offer_object),
    "gift_card": Family(name="giftCard", class_of=_gift_card_class, object_of=_gift_card_object),
    "membership": Family(name="generic", class_of=_generic_class, object_of=_generic_object),
}


def _class_id(design: Design, card: Card, issuer_id: str) -> str:
    base = class_id(issuer_id, design.program_id)
    if card.kind != "coupon":
        return f"{base}-{FAMILIES[card.kind].name}"
    return f"{base}-offer-{sha256((card.headline or '').encode()).hexdigest()[:16]}"


def _branded(design: Design, issuer_id: str, callback_url: str | None) -> Json:
    content: Json = {
        "issuerName": plain(design.organization, NAME_LIMIT),
        "reviewStatus": "UNDER_REVIEW",
        "hexBackgroundColor": design.background.lower(),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    }
    if design.hero_url:
        content["heroImage"] = {"sourceUri": {"uri": design.hero_url}}
    return content | _callback(callback_url)


def _callback(url: str | None) -> Json:
    return {"callbackOptions": {"url": url}} if url and url.startswith("https://") else {}


def _object(design: Design, card: Card, issuer_id: str) -> Json:
    is_over = card.expires is not None and card.voided
    content: Json = {
        "id": object_id(issuer_id, card.serial),
        "classId": _class_id(design, card, issuer_id),
        "state": "EXPIRED" if is_over else "INACTIVE" if card.voided else "ACTIVE",
    }
    if card.number:
        content["barcode"] = barcode_of(design, card)
    if card.expires:
        content["validTimeInterval"] = validity_of(card.expires)
    return content


def _said(locale: str, text: str) -> Json:
    return {"defaultValue": {"language": locale.replace("_", "-"), "value": plain(text, NAME_LIMIT)}}
