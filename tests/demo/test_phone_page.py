"""/dev/phone: a card that a browser is handed is offered there, changes there, and goes from there."""

import html
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import BASE, new_key
from tests.pages.steps import new_address, register
from tests.support.rows import rows_of
from tests.support.serving import Server


class Owner:
    """Somebody with a browser, and the emulated phone beside it."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server, self._client = server, client
        self.address = new_address()
        assert register(client, self.address).headers["location"] == "/brewbar/register/card"

    def taps(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def sees(self, path: str = "/dev/phone") -> str:
        answer = self._client.get(path, follow_redirects=True)
        assert answer.status_code == 200
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text)))

    def sees_soon(self, words: str, path: str = "/dev/phone") -> str:
        ends = time.monotonic() + 20
        while words not in (seen := self.sees(path)):
            assert time.monotonic() < ends, seen
            time.sleep(0.05)
        return seen

    def does(self, act: str) -> str:
        answer = self._client.post(f"/dev/phone/{act}")
        assert answer.status_code == 303
        return answer.headers["location"]

    def serial(self) -> str:
        [row] = rows_of(self.server.environment["DATABASE_URL"], "customer", email_key=self.address)
        passes = rows_of(self.server.environment["DATABASE_URL"], "wallet_pass", customer_id=row["id"])
        return str(next(each["id"] for each in passes if each["platform"] == "apple"))

    def status(self) -> str:
        [row] = rows_of(self.server.environment["DATABASE_URL"], "wallet_pass", id=self.serial())
        return str(row["status"])

    def earns(self, amount: int) -> None:
        with httpx.Client(base_url=self.server.url, headers={"api-key": new_key(self.server)}) as till:
            change = {"email": self.address, "amount": amount, "reason": "A birthday round"}
            assert till.post(f"{BASE}/balance/increase", json=change).status_code == 200


@pytest.fixture
def owner(sqlite_server: Server) -> Iterator[Owner]:
    with sqlite_server.client() as client:
        yield Owner(sqlite_server, client)


def test_a_card_is_offered_added_changed_before_ones_eyes_and_removed(owner: Owner) -> None:
    assert "No pass yet" in owner.sees()
    assert owner.taps("/brewbar/card.pkpass").status_code == 200
    serial = owner.serial()
    offered = owner.sees()
    assert "Cancel Add" in offered.replace("  ", " ")
    assert owner.status() == "created", "nothing is installed before its owner says so"
    place = owner.does(f"{serial}/add")
    assert place == f"/dev/phone/{serial}"
    assert owner.status() == "installed"
    owner.earns(60)
    shown = owner.sees_soon("Beans 60", place)
    assert "Your balance is now 60" in shown
    assert "Your balance is now 60" in owner.sees("/dev/phone/lock")
    assert "A push came" in shown
    back = owner.sees(f"{place}/back")
    assert "Registered for updates yes" in back
    assert "Card number" in back
    owner.does(f"{serial}/updates")
    assert "Registered for updates no" in owner.sees(f"{place}/back")
    assert owner.status() == "uninstalled", "Apple's service cannot tell this from a removal"
    owner.does(f"{serial}/updates")
    assert owner.status() == "installed"
    owner.does("restore")
    assert owner.status() == "installed"
    owner.does(f"{serial}/remove")
    assert owner.status() == "uninstalled"
    assert "No pass yet" in owner.sees()


def test_what_is_declined_is_gone_and_nothing_was_registered(owner: Owner) -> None:
    owner.taps("/brewbar/card.pkpass")
    owner.does(f"{owner.serial()}/decline")
    assert "Cancel" not in owner.sees()
    assert owner.status() == "created"


def test_a_google_card_is_shown_as_its_link_says(owner: Owner) -> None:
    assert owner.taps("/brewbar/google-wallet").status_code == 303
    shown = owner.sees("/dev/phone/android")
    assert "Brew Bar" in shown
    assert '"classId"' in shown


def test_what_has_not_changed_is_not_sent_again_and_what_is_not_there_is_not_found(owner: Owner) -> None:
    client = owner._client
    page = client.get("/dev/phone")
    [seen] = re.findall(r"seen=(\d+)", page.text) or ["0"]

    def fragment(number: str) -> httpx.Response:
        return client.get("/dev/phone", params={"seen": number}, headers={"hx-request": "true"})

    assert fragment(seen).status_code == 204
    owner.taps("/brewbar/card.pkpass")
    assert fragment(seen).status_code == 200
    serial = owner.serial()
    assert client.get(f"/dev/phone/passes/{serial}/logo.png").headers["content-type"] == "image/png"
    sheet = client.get("/dev/phone/colours.css")
    assert f".pass-{serial.replace('-', '')}{{--pass:rgb(" in sheet.text
    for path in ("passes/nobody/logo.png", f"passes/{serial}/pass.json"):
        assert client.get(f"/dev/phone/{path}").status_code == 404
    assert client.post("/dev/phone/nobody/explode").status_code == 404
    assert client.get("/dev/phone/nobody").headers["location"] == "/dev/phone"


def test_its_policy_is_strict_and_it_keeps_to_it(owner: Owner) -> None:
    page = owner.taps("/dev/phone")
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "style-src 'self';" in policy
    assert not re.search(r"\sstyle=|<style|\son\w+=", page.text)
