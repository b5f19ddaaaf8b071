"""The phone is lost: back in by a link in one's own inbox, out of an app's browser, and helped when it is used."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from e2e.person import Device, People
from e2e.test_register import INSTAGRAM
from tests.pages.steps import change
from tests.support.rows import rows_of
from tests.support.serving import ROOT, Server
from tests.wallet.apple.verifier import Verified, verify
from web.foundation.schema import utc_now

DEAD = "This link has done its work"
PIXEL_IN_APP = (
    "Mozilla/5.0 (Linux; Android 16; Pixel 9 Build/BP1A.250505.005; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/142.0.7444.48 Mobile Safari/537.36 Instagram 405.0.0.41.78 Android (36/16; 420dpi; "
    "1080x2205; Google/google; Pixel 9; tokay; tokay; en_GB; 123456789)"
)


def loses_phone(people: People, device: Device = "iphone") -> str:
    """Registers on a phone that is gone then; returns the address."""
    with people.one(device) as owner:
        address = owner.registers(name="Ana")
        if device == "iphone":
            owner.takes_apple_pass()
    people.server.messages(address)
    return address


def card_link(server: Server, address: str, *, at_least: int) -> str:
    return link_in_newest(server, address, "/download?", at_least=at_least)


def link_in_newest(server: Server, address: str, part: str, *, at_least: int) -> str:
    newest = server.messages(address, at_least=at_least)[0]
    [link] = {link for link in re.findall(r"https?://\S+", newest["text"]) if part in link}
    return str(link)


def session_link(server: Server, address: str, *, at_least: int) -> str:
    return link_in_newest(server, address, "/brewbar/ZXl", at_least=at_least)


def opened(package: bytes, data_dir: Path) -> Verified:
    return verify(package, data_dir / "signing" / "root.pem")


def uses(server: Server, address: str) -> int:
    url = server.environment["DATABASE_URL"]
    [customer] = rows_of(url, "customer", email_key=address)
    links = rows_of(url, "one_time_link", customer_id=customer["id"], purpose="download")
    return sum(link["uses"] for link in links)


@pytest.mark.parametrize("script", [True, False])
def test_a_lost_phone_a_mail_in_an_app_and_the_card_on_the_new_one(
    people: People, data_dir: Path, script: bool
) -> None:
    address = loses_phone(people)
    asker = people("iphone", java_script_enabled=script)
    asker.asks_for_card(address)
    link = card_link(people.server, address, at_least=2)

    inside = people("iphone", user_agent=INSTAGRAM, java_script_enabled=script)
    inside.opens(link)
    assert inside.page.get_by_role("heading", name="You are inside Instagram").is_visible()
    assert "Ana" not in inside.page.content()
    assert not inside.button("Add to Apple Wallet").is_visible(), "a tap would use the link up for nothing"
    out = inside.page.get_by_label("Or take the link with you").input_value()
    assert uses(people.server, address) == 0

    safari = people("iphone", java_script_enabled=script)
    safari.opens(out)
    assert safari.heading.inner_text() == "Your card is ready"
    assert "Ana" in str(opened(safari.takes_apple_pass(), data_dir).fields())
    assert uses(people.server, address) == 1

    later = people("iphone", java_script_enabled=script)
    for same in (link, out):
        later.opens(same)
        assert later.heading.inner_text() == DEAD
    later.taps("Send me a new one")
    later.sees("Look in your inbox")
    later.opens(card_link(people.server, address, at_least=3))
    opened(later.takes_apple_pass(), data_dir)


def test_an_android_app_hands_the_link_to_chrome(people: People) -> None:
    address = loses_phone(people)
    inside = people("pixel", user_agent=PIXEL_IN_APP)
    inside.asks_for_card(address)
    inside.opens(card_link(people.server, address, at_least=2))
    intent = inside.button("Open in my browser").get_attribute("href") or ""
    assert intent.startswith("intent://")
    code = re.search(r"/brewbar/l/([0-9A-Z]{26})", intent)
    assert code is not None
    chrome = people("pixel")
    chrome.opens(f"/brewbar/l/{code[1]}")
    assert chrome.takes_google_pass().count(".") == 2


def test_an_older_mail_s_link_works_until_one_of_them_is_used(people: People, data_dir: Path) -> None:
    address = loses_phone(people)
    links = []
    for number in (2, 3):
        with people.one("iphone") as asker:
            asker.asks_for_card(address)
            links.append(card_link(people.server, address, at_least=number))
    older, newer = links
    phone = people("iphone")
    phone.opens(older)
    opened(phone.takes_apple_pass(), data_dir)
    other = people("iphone")
    other.opens(newer)
    assert other.heading.inner_text() == DEAD


def test_support_s_link_for_a_time_works_twice_and_dies(people: People, data_dir: Path) -> None:
    address = loses_phone(people)
    link = by_command(people.server, address, "--expires-in", "600")
    for _ in range(2):
        with people.one("iphone") as phone:
            phone.opens(link)
            opened(phone.takes_apple_pass(), data_dir)
    ten_minutes_pass(people.server, address)
    late = people("iphone")
    late.opens(link)
    assert late.heading.inner_text() == DEAD


def ten_minutes_pass(server: Server, address: str) -> None:
    [customer] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    over = utc_now() - timedelta(seconds=1)
    change(server, "one_time_link", {"customer_id": customer["id"], "created_by": "support"}, expires_at=over)
    change(server, "visit", {"customer_id": customer["id"]}, granted_until=over)


def by_command(server: Server, address: str, *options: str) -> str:
    command = [sys.executable, "-m", "web", "link", "download", "--program", "brewbar", "--email", address]
    environment = {"PATH": "/usr/bin:/bin", **server.environment}
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_link_for_an_iphone_explains_itself_on_android(people: People) -> None:
    address = loses_phone(people)
    pixel = people("pixel")
    pixel.opens(by_command(people.server, address, "--platform", "ios", "--utm", "source=counter"))
    assert pixel.page.get_by_text("made for another kind of phone").is_visible()
    assert pixel.takes_google_pass().count(".") == 2
    url = people.server.environment["DATABASE_URL"]
    [customer] = rows_of(url, "customer", email_key=address)
    [held] = [
        row for row in rows_of(url, "wallet_pass", customer_id=customer["id"]) if row["platform"] == "google"
    ]
    [touch] = rows_of(url, "touch", id=held["touch_id"])
    assert touch["source"] == "counter", "the pass is credited to the link's campaign"


@pytest.mark.parametrize("script", [True, False])
def test_the_mail_opens_one_s_own_pages_and_a_new_name_reaches_the_card(
    people: People, data_dir: Path, script: bool
) -> None:
    address = loses_phone(people)
    ana = people("iphone", java_script_enabled=script)
    ana.asks_for_card(address)
    way_in = session_link(people.server, address, at_least=2)
    ana.opens(way_in)
    assert ana.path() == "/brewbar/profile"
    ana.taps("Name and details")
    ana.page.wait_for_url("**/profile/details")
    ana.page.get_by_label("Your name").fill("Ana María")
    ana.page.locator("main form button[type=submit]").first.click()
    ana.page.wait_for_url("**/profile?saved=1")
    assert "Ana María" in str(opened(ana.takes_apple_pass(), data_dir).fields())
    ana.taps("Log out")
    ana.page.wait_for_url("**/brewbar/card")
    for closed in ("/brewbar/profile", "/brewbar/session", "/brewbar/card.pkpass", "/brewbar/download"):
        ana.opens(closed)
        assert ana.heading.inner_text() in (
            "Send me my card",
            "This link no longer works",
            DEAD,
        ), f"{closed} is closed to the next person at this screen"
        assert "Ana" not in ana.page.content()


def test_a_dead_session_link_sends_its_owner_a_new_one(people: People) -> None:
    address = loses_phone(people)
    with people.one("iphone") as asker:
        asker.asks_for_card(address)
    way_in = session_link(people.server, address, at_least=2)
    _end_all_links(people.server, address)
    ana = people("iphone")
    ana.opens(way_in)
    assert ana.heading.inner_text() == "This link no longer works"
    assert "ZXl" not in ana.page.url
    ana.taps("Send me a new one")
    ana.sees("Look in your inbox")
    assert address not in ana.page.content()
    ana.opens(session_link(people.server, address, at_least=3))
    assert ana.path() == "/brewbar/profile"


def _end_all_links(server: Server, address: str) -> None:
    [customer] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    change(server, "one_time_link", {"customer_id": customer["id"]}, revoked_at=utc_now())
