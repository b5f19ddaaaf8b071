"""From the sign in the shop to the card in the wallet, on an iPhone, a Pixel and a computer."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from PIL import Image

from e2e.person import Device, People, Person, new_address
from e2e.scenes import INSTAGRAM
from tests.support.rows import rows_of
from tests.support.serving import Server
from tests.wallet.apple.verifier import Verified, verify


def test_a_scanned_sign_ends_in_apple_wallet(people: People, data_dir: Path) -> None:
    ana = people("iphone")
    ana.opens(_scanned(people.server, "location=malasana&utm_campaign=autumn"))
    address = _walks_through(ana)
    customer, touches = _customer_and_touches(people.server, address)
    card = _verified(ana.takes_apple_pass(), data_dir)
    assert card.document["barcodes"][0]["message"] == customer["card_number"]
    assert "Zoë" in str(card.fields())
    [held] = rows_of(_database(people.server), "wallet_pass", customer_id=customer["id"])
    assert held["platform"] == "apple"
    assert held["id"] == card.document["serialNumber"]
    assert held["touch_id"] == customer["last_touch_id"]
    sign = touches[customer["first_touch_id"]]
    assert (sign["source"], sign["medium"], sign["campaign"]) == ("store", "qr", "autumn")
    [shop] = rows_of(_database(people.server), "location", slug="malasana")
    assert sign["location_id"] == shop["id"]
    _confirms(ana, address)


def test_a_campaign_link_ends_in_google_wallet(people: People, data_dir: Path) -> None:
    ben = people("pixel")
    ben.opens("/brewbar?utm_source=instagram&utm_medium=social&utm_campaign=first")
    ben.opens("/brewbar?utm_source=newsletter&utm_medium=email&utm_campaign=second")
    address = _walks_through(ben)
    customer, touches = _customer_and_touches(people.server, address)
    claims = _signed_by_us(ben.takes_google_pass(), data_dir)
    [loyalty_object] = claims["payload"]["loyaltyObjects"]
    assert loyalty_object["barcode"]["value"] == customer["card_number"]
    assert loyalty_object["accountName"] == "Zoë"
    assert claims["origins"] == [people.server.url]
    assert touches[customer["first_touch_id"]]["campaign"] == "first"
    assert touches[customer["last_touch_id"]]["campaign"] == "second"
    [held] = rows_of(_database(people.server), "wallet_pass", customer_id=customer["id"])
    assert (held["platform"], held["touch_id"]) == ("google", customer["last_touch_id"])
    _confirms(ben, address)


def test_a_computer_hands_over_to_the_phone(people: People, data_dir: Path) -> None:
    desk = people("laptop")
    desk.page.clock.install()
    desk.opens("/brewbar?utm_source=web")
    address = _walks_through(desk)
    customer, _ = _customer_and_touches(people.server, address)
    code = _code_on_screen(desk)
    assert code.startswith(people.server.url.upper())
    for _ in range(2):
        assert httpx.get(code, follow_redirects=True, headers={"user-agent": "curl/8"}).status_code == 200
    phone = people("iphone")
    phone.opens(code)
    assert phone.heading.inner_text() == "Your card is ready"
    assert "/l/" not in phone.page.url.lower()
    with desk.page.expect_response("**/taken") as asked:
        desk.page.clock.fast_forward(5000)
    assert asked.value.status == 204
    assert desk.page.get_by_text("Carry on with your phone").is_visible()
    card = _verified(phone.takes_apple_pass(), data_dir)
    assert card.document["barcodes"][0]["message"] == customer["card_number"]
    desk.page.clock.fast_forward(5000)
    desk.page.get_by_role("heading", name="Your phone has it").wait_for()
    late = people("pixel")
    late.opens(code)
    assert late.heading.inner_text() == "This link has done its work"


@pytest.mark.parametrize("device", ["iphone", "pixel", "laptop"])
def test_all_of_it_works_without_javascript(people: People, data_dir: Path, device: Device) -> None:
    cleo = people(device, java_script_enabled=False)
    cleo.opens(_scanned(people.server, "location=lavapies"))
    address = _walks_through(cleo)
    if device == "iphone":
        _verified(cleo.takes_apple_pass(), data_dir)
    elif device == "pixel":
        _signed_by_us(cleo.takes_google_pass(), data_dir)
    else:
        with people.one("iphone", java_script_enabled=False) as phone:
            phone.opens(_code_on_screen(cleo))
            _verified(phone.takes_apple_pass(), data_dir)
    _confirms(cleo, address)


def test_the_same_on_postgresql(people: People, postgres_shop: Server, data_dir: Path) -> None:
    dora = people("iphone", postgres_shop)
    dora.opens(_scanned(postgres_shop, "location=malasana"))
    address = _walks_through(dora)
    customer, touches = _customer_and_touches(postgres_shop, address)
    assert touches[customer["first_touch_id"]]["source"] == "store"
    _verified(dora.takes_apple_pass(), data_dir)
    _confirms(dora, address)


def test_an_app_that_opens_no_wallet_shows_the_way_out_and_the_link_carries_on(
    people: People, data_dir: Path
) -> None:
    inside = people("iphone", user_agent=INSTAGRAM, permissions=["clipboard-read", "clipboard-write"])
    inside.registers()
    assert inside.page.get_by_role("heading", name="You are inside Instagram").is_visible()
    inside.taps("Copy the link")
    inside.page.get_by_role("status").get_by_text("Copied").wait_for()
    copied = inside.page.evaluate("navigator.clipboard.readText()")
    safari = people("iphone")
    safari.opens(copied)
    _verified(safari.takes_apple_pass(), data_dir)


def _scanned(server: Server, query: str) -> str:
    """What a phone reads off the sign's own picture."""
    picture = httpx.get(f"{server.url}/brewbar/qr.png?{query}").content
    return _decoded(picture)


def _walks_through(person: Person) -> str:
    """From the front door to the card, by the buttons that are there."""
    assert person.path() == "/brewbar" or person.path().startswith("/brewbar?")
    assert person.heading.inner_text() == "Every tenth coffee is on us"
    person.taps("Get my card")
    person.page.wait_for_url("**/brewbar/register")
    assert person.page.get_by_text("Step 1 of 3").is_visible()
    address = new_address()
    person.enters(address)
    person.page.wait_for_url("**/brewbar/register/about")
    person.tells("Zoë", birthday=("27", "3", "1990"))
    assert not any(box.is_checked() for box in person.page.get_by_role("checkbox").all())
    person.page.get_by_label("Brew Bar may write to me").check()
    person.taps("Create my card")
    person.page.wait_for_url("**/brewbar/register/card")
    assert person.heading.inner_text() == "Zoë, here is your card"
    return address


def _confirms(person: Person, address: str) -> None:
    """The mail in the mailbox, its link, the tap, and what they change."""
    [customer] = rows_of(_database(person.server), "customer", email_key=address)
    assert customer["email_verified_at"] is None
    person.server.messages(address)
    person.opens("/dev/mailbox")
    person.page.get_by_role("link").filter(has_text=address).click()
    mail = person.page.frame_locator("iframe")
    mail.locator("a[href*='/verify?']").first.wait_for()
    [link] = {href for href in _links(mail) if "/verify?" in href}
    with person.context.expect_page() as opened:
        mail.locator(f"a[href='{link}']").first.click()
    person.page = opened.value
    assert person.heading.inner_text() == "Is this address yours?"
    assert "token" not in person.page.url
    person.taps("Confirm my address")
    person.sees("Confirmed. Thank you!")
    [customer] = rows_of(_database(person.server), "customer", email_key=address)
    assert customer["email_verified_at"] is not None


def _links(mail: Any) -> list[str]:
    return [link.get_attribute("href") for link in mail.locator("a").all()]


def _customer_and_touches(server: Server, address: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    [customer] = rows_of(_database(server), "customer", email_key=address)
    touches = rows_of(_database(server), "touch")
    return customer, {touch["id"]: touch for touch in touches}


def _verified(package: bytes, data_dir: Path) -> Verified:
    return verify(package, data_dir / "signing" / "root.pem")


def _signed_by_us(token: str, data_dir: Path) -> dict[str, Any]:
    account = json.loads((data_dir / "signing" / "google-service-account.json").read_text())
    key = load_pem_private_key(account["private_key"].encode(), None).public_key()
    assert isinstance(key, RSAPublicKey)
    claims: dict[str, Any] = jwt.decode(
        token, key, ["RS256"], audience="google", issuer=account["client_email"]
    )
    assert claims["typ"] == "savetowallet"
    return claims


def _code_on_screen(person: Person) -> str:
    """What a phone's camera reads from this screen, beside the card's own code."""
    shown = person.page.get_by_role("img", name="QR code that opens your card on your phone")
    return _decoded(shown.screenshot())


def _decoded(picture: bytes) -> str:
    [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    return str(found.text)


def _database(server: Server) -> str:
    return server.environment["DATABASE_URL"]
