"""A known address gets a link in its own inbox; looking at the link costs nothing, and a used one strands nobody."""

from pathlib import Path

import httpx
import pytest

from e2e.person import Device, People, Person
from tests.support.rows import rows_of
from tests.wallet.apple.verifier import verify

ROBOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.24.1 A",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
)


def registers_again(person: Person, address: str) -> None:
    person.registers(address, name="Somebody")
    assert person.heading.inner_text() == "Look in your inbox"


def the_link(person: Person, address: str, *, at_least: int) -> str:
    """The card's link in the newest of so many messages."""
    [link] = {link for link in person.links_in_mail(address, at_least=at_least) if "/download?" in link}
    return link


def a_parade_of_robots(link: str) -> None:
    """Twenty previews and scanners, which follow redirects and keep cookies as they like."""
    for number in range(20):
        headers = {"user-agent": ROBOTS[number % len(ROBOTS)], "x-forwarded-for": f"10.9.{number}.7"}
        method = "HEAD" if number % 2 else "GET"
        answer = httpx.request(method, link, headers=headers, follow_redirects=True)
        assert answer.status_code < 400


@pytest.mark.parametrize("device", ["iphone", "pixel"])
def test_the_link_survives_robots_and_its_owners_tap_uses_it(
    people: People, data_dir: Path, device: Device
) -> None:
    with people.one("iphone") as owner:
        address = owner.registers(name="Ana")
        own = owner.page.locator(".pass").inner_text()
    stranger = people("laptop")
    registers_again(stranger, address)
    assert "Ana" not in stranger.page.content()
    assert stranger.page.locator(".pass").count() == 0
    newest = stranger.server.messages(address, at_least=2)[0]
    assert "Somebody has tried to register" in newest["text"]
    link = the_link(stranger, address, at_least=2)
    a_parade_of_robots(link)

    phone = people(device)
    phone.opens(link)
    assert phone.heading.inner_text() == "Your card is ready"
    assert "token" not in phone.page.url
    a_parade_of_robots(link)
    if device == "iphone":
        card = verify(phone.takes_apple_pass(), data_dir / "signing" / "root.pem")
        assert card.document["barcodes"][0]["message"] in own.replace(" ", "")
    else:
        assert phone.takes_google_pass().count(".") == 2
    links = rows_of(people.server.environment["DATABASE_URL"], "one_time_link", purpose="download")
    assert [row["uses"] for row in links if row["used_at"]].count(1) >= 1


def test_a_used_link_is_kind_to_its_owner_and_sends_a_new_one(people: People, data_dir: Path) -> None:
    with people.one("iphone") as owner:
        address = owner.registers(name="Ana")
        asker = people("iphone")
        asker.asks_for_card(address)
    link = the_link(asker, address, at_least=2)
    phone = people("iphone")
    phone.opens(link)
    phone.takes_apple_pass()
    # The same browser has a quarter of an hour for a second try.
    phone.opens(link)
    assert phone.heading.inner_text() == "Your card is ready"
    phone.takes_apple_pass()

    other = people("iphone")
    other.opens(link)
    assert other.heading.inner_text() == "This link has done its work"
    assert address not in other.page.content()
    other.taps("Send me a new one")
    other.sees("Look in your inbox")
    assert address not in other.page.content()
    fresh = the_link(other, address, at_least=3)
    assert fresh != link
    other.opens(fresh)
    verify(other.takes_apple_pass(), data_dir / "signing" / "root.pem")


def test_a_link_that_was_never_good_is_met_as_kindly(people: People) -> None:
    ana = people("iphone")
    ana.opens("/brewbar/download?token=bm90IGEgdG9rZW4")
    assert ana.heading.inner_text() == "This link has done its work"
    ana.taps("Send me a new one")
    ana.sees("Look in your inbox")


def test_asking_looks_the_same_for_everybody(people: People) -> None:
    pages = []
    for address in ("ana@example.com", "nobody@example.com"):
        with people.one("iphone") as asker:
            asker.asks_for_card(address)
            pages.append(asker.page.locator("main").inner_html().replace(address, "…"))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("platform", "button"), [("ios", "Apple"), ("android", "Google")])
def test_an_address_that_names_the_wallet_wins_over_the_device(
    people: People, platform: str, button: str
) -> None:
    with people.one("iphone") as owner:
        address = owner.registers()
    asker = people("laptop")
    asker.asks_for_card(address)
    asker.opens(f"{the_link(asker, address, at_least=2)}&platform={platform}")
    assert asker.button(f"Add to {button} Wallet").is_visible()
    assert "platform=" in asker.page.url
