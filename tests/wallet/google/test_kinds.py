"""Coupons, gift cards and memberships at Google: each kind is a resource of its own, and is taken as it is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.google import ISSUER_ID, Google
from tests.wallet.designs import card, design
from web.wallet.card import Card, Kind
from web.wallet.google.client import GoogleClient
from web.wallet.google.kinds import FAMILIES
from web.wallet.google.save_link import MAX_LENGTH
from web.wallet.google.wallet import GoogleWallet

HOSTILE = '<b>"Zoë"</b> & عرض خاص \u202e'


def of(kind: Kind, **changes: Any) -> Card:
    money = {"balance": 2550, "scale": 2, "currency": "EUR"} if kind == "gift_card" else {}
    return card(
        kind=kind,
        tier=None,
        next_reward=None,
        locations=(),
        headline=f"Dos por uno {HOSTILE}",
        **money,
        **changes,
    )


@pytest.mark.parametrize("kind", ["coupon", "gift_card", "membership"])
async def test_google_takes_every_kind_and_hears_that_it_is_void(
    client: GoogleClient, google: Google, kind: Kind
) -> None:
    family = FAMILIES[kind]
    look, shown = design(), of(kind)
    await client.insert(
        f"{family.name}Class", family.class_of(look, shown, ISSUER_ID, "https://cards.example/hook")
    )
    sent = family.object_of(look, shown, ISSUER_ID)
    await client.insert(f"{family.name}Object", sent)
    held = google.held[f"{family.name}Object"][sent["id"]]
    assert held["state"] == "ACTIVE"
    assert held["barcode"]["value"] == shown.number
    await client.replace(
        f"{family.name}Object", family.object_of(look, of(kind, voided=True, expires=None), ISSUER_ID)
    )
    assert google.held[f"{family.name}Object"][sent["id"]]["state"] == "INACTIVE"


def test_a_gift_card_tells_what_is_left_in_millionths() -> None:
    sent = FAMILIES["gift_card"].object_of(design(), of("gift_card"), ISSUER_ID)
    assert sent["balance"] == {"currencyCode": "EUR", "micros": "25500000"}


def test_what_is_over_is_expired_and_what_was_taken_back_is_not() -> None:
    over = of("coupon", voided=True, expires=datetime(2020, 1, 1, tzinfo=UTC))
    assert FAMILIES["coupon"].object_of(design(), over, ISSUER_ID)["state"] == "EXPIRED"


def test_two_coupons_of_other_names_are_two_classes() -> None:
    one, other = (
        FAMILIES["coupon"].class_of(design(), card(kind="coupon", headline=name), ISSUER_ID, None)["id"]
        for name in ("A cup", "A cake")
    )
    assert one != other


@pytest.mark.parametrize("kind", ["coupon", "gift_card", "membership"])
def test_the_link_that_saves_one_is_short_enough(wallet: GoogleWallet, google: Google, kind: Kind) -> None:
    link = wallet.save_url(design(), of(kind))
    assert len(link) <= MAX_LENGTH
    assert google.phone.shows(google.phone.save(link))["state"] == "ACTIVE"
