from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.google import ISSUER_ID, Google, RefusalError
from tests.wallet.designs import card, design
from web.wallet.card import NextReward
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.objects import loyalty_object
from web.wallet.google.save_link import MAX_LENGTH, SAVE_URL, LinkTooLongError
from web.wallet.google.wallet import GoogleWallet


def claims(url: str) -> dict[str, Any]:
    return jwt.decode(url.removeprefix(SAVE_URL), options={"verify_signature": False})


def test_a_fat_link_brings_card_and_class_to_a_google_that_knows_neither(
    wallet: GoogleWallet, google: Google
) -> None:
    held = google.save(wallet.save_url(design(), card()))
    assert held["loyaltyPoints"]["balance"] == {"int": 12345}
    assert held["accountName"] == "Zoë Núñez"
    assert held["barcode"] == {
        "type": "QR_CODE",
        "value": "100000123456",
        "alternateText": "1000 0012 3456",
    }


def test_the_claims_are_those_that_google_asks_for(wallet: GoogleWallet) -> None:
    read = claims(wallet.save_url(design(), card()))
    assert (read["aud"], read["typ"]) == ("google", "savetowallet")
    assert read["origins"] == ["https://club.example"]
    header = jwt.get_unverified_header(wallet.save_url(design(), card()).removeprefix(SAVE_URL))
    assert header["alg"] == "RS256"


def test_a_fat_link_sheds_the_optional_and_keeps_the_card(wallet: GoogleWallet) -> None:
    payload = claims(wallet.save_url(design(), card()))["payload"]
    assert "linksModuleData" not in payload["loyaltyObjects"][0]
    assert "localizedLabel" not in payload["loyaltyObjects"][0]["loyaltyPoints"]
    assert payload["loyaltyObjects"][0]["validTimeInterval"]["end"]["date"] == "2031-05-01T12:30:00Z"
    assert payload["loyaltyClasses"][0]["programLogo"]["sourceUri"]["uri"].endswith("/logo.png")


def test_a_name_in_any_script_finds_room_in_a_link(wallet: GoogleWallet, google: Google) -> None:
    long_name = "عبد الرحمن بن عبد العزيز بن محمد الأنصاري القرطبي"
    held = google.save(wallet.save_url(design(), card(member=long_name, tier="الذهبي")))
    assert held["accountName"] == long_name


def test_a_card_too_long_for_a_link_has_to_be_stored_first(wallet: GoogleWallet) -> None:
    long = design(logo_url="https://club.example/" + "a" * 900)
    with pytest.raises(LinkTooLongError):
        wallet.save_url(long, card())
    assert len(wallet.save_url(long, card(), stored=True)) < 1000


async def test_a_skinny_link_names_what_google_holds(
    wallet: GoogleWallet, google: Google, client: GoogleClient
) -> None:
    link = wallet.save_url(design(), card(), stored=True)
    with pytest.raises(RefusalError):
        google.save(link)
    for part in (wallet.class_of(design(), card()), wallet.object_of(design(), card())):
        await client.insert(part.resource, part.content)
    held = google.save(link)
    assert held["linksModuleData"]["uris"][0]["uri"] == "https://club.example/brewbar/profile"
    assert held["textModulesData"][1]["body"] == "7.655"


def test_a_link_signed_with_another_key_is_refused(account: ServiceAccount, google: Google) -> None:
    forger = ServiceAccount(
        client_email=account.client_email,
        private_key_id=account.private_key_id,
        key=rsa.generate_private_key(65537, 2048),
    )
    with pytest.raises(RefusalError, match="invalid_grant"):
        google.save(GoogleWallet(forger, ISSUER_ID).save_url(design(), card()))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(member=st.text(max_size=100), tier=st.text(max_size=100), title=st.text(max_size=100))
def test_whatever_people_are_called_the_link_is_short_or_asks_to_be_skinny(
    wallet: GoogleWallet, google: Google, member: str, tier: str, title: str
) -> None:
    reward = NextReward(title=title, cost=1, missing=1)
    try:
        link = wallet.save_url(design(), card(member=member, tier=tier, next_reward=reward))
    except LinkTooLongError:
        return
    assert len(link) <= MAX_LENGTH
    google.held["loyaltyObject"].clear()
    google.save(link)


def test_labels_come_in_every_language_of_the_programme(wallet: GoogleWallet) -> None:
    label = loyalty_object(design(), card(), ISSUER_ID)["loyaltyPoints"]["localizedLabel"]
    assert label["defaultValue"] == {"language": "es", "value": "Puntos"}
    assert {"language": "en", "value": "Points"} in label["translatedValues"]


def test_balances_that_are_no_small_whole_number_are_written_out() -> None:
    def balance(**changes: Any) -> Any:
        return loyalty_object(design(), card(**changes), ISSUER_ID)["loyaltyPoints"]["balance"]

    assert balance(balance=2**31) == {"string": "2.147.483.648"}
    assert balance(balance=1250, scale=2) == {"string": "12,50"}
    assert balance(balance=-3) == {"int": -3}


def test_a_voided_card_is_inactive() -> None:
    assert loyalty_object(design(), card(voided=True), ISSUER_ID)["state"] == "INACTIVE"
