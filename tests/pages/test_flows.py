"""Customer Flows: what is switched off sends nothing, is recorded all the same, and leaves nobody without a link."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import BOTH, Fresh
from tests.pages.conftest import PHONES, create_program
from tests.pages.steps import link_for, links_in, new_address, quiet, register, registered
from tests.pages.test_download import INSTAGRAM
from tests.support.rows import rows_of
from tests.support.serving import PIXEL, Server, serving
from web.foundation.schema import utc_now

QUIET = """
slug = "quiet"
[settings]
name = "Quiet"
country = "GB"
asks = "email"
[settings.flows]
confirmation_message = false
download_message = false
"""
PASS = "application/vnd.apple.pkpass"


@pytest.fixture(scope="module", params=BOTH)
def server(
    request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("flows")
    with ExitStack() as stack:
        started = stack.enter_context(serving(Fresh(request, stack)(request.param), data_dir))
        for slug, text in (("quiet", QUIET), ("kiosk", PHONES)):
            (folder / slug).write_text(text)
            create_program(started, slug, str(folder / slug))
        yield started


def events(server: Server, customer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was recorded of a customer: the newest of each name."""
    rows = rows_of(server.environment["DATABASE_URL"], "event", customer_id=customer["id"])
    return {row["name"]: row["properties"] for row in rows}


def member_of_quiet(server: Server) -> dict[str, Any]:
    address = new_address()
    with server.client() as client:
        register(client, address, slug="quiet", field="email")
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    return row


def test_without_a_confirmation_nothing_is_sent_and_the_customer_is_recorded(server: Server) -> None:
    owner = member_of_quiet(server)
    quiet(server)
    assert "Customer created" in events(server, owner)
    assert not server.messages(owner["email"], most=0)


def test_without_our_mail_the_event_carries_a_link_that_opens(server: Server) -> None:
    owner = member_of_quiet(server)
    with server.client() as client:
        assert client.post("/quiet/card", data={"contact": owner["email"]}).status_code == 202
    quiet(server)
    assert not server.messages(owner["email"], most=0)
    asked = events(server, owner)["Wallet pass requested"]
    assert asked["delivery"] == "merchant"
    assert datetime.fromisoformat(asked["expiresAt"]) - utc_now() > timedelta(days=6)
    path = asked["downloadUrl"].removeprefix(server.url)
    with server.client() as client:
        assert client.get(path, follow_redirects=True).status_code == 200
        assert client.post("/quiet/download/apple").headers["content-type"] == PASS
    with server.client() as client:
        assert client.get(path, follow_redirects=True).status_code == 410


def test_with_our_mail_the_event_carries_none(server: Server) -> None:
    owner = registered(server)
    with server.client() as client:
        client.post("/brewbar/card", data={"contact": owner["email"]})
    assert len(server.messages(owner["email"], at_least=2)) == 2
    asked = events(server, owner)["Wallet pass requested"]
    assert asked["delivery"] == "email"
    assert "http" not in str(asked)


def test_who_has_a_phone_only_gets_short_links_that_work(server: Server) -> None:
    number = "+447400" + str(abs(hash(new_address())))[:6]
    with server.client() as client:
        register(client, number, slug="kiosk", field="phone")
    [confirm] = links_in(server.messages(number)[0])
    with server.client() as client:
        client.post("/kiosk/card", data={"contact": number})
    [card] = links_in(server.messages(number, at_least=2)[0])
    for link, letter in ((confirm, "v"), (card, "l")):
        assert link.startswith(f"{server.url}/kiosk/{letter}/")
        assert len(link) - len(server.url) < 40
    with server.client() as client:
        client.get(confirm.removeprefix(server.url))
        assert client.post("/kiosk/verify").status_code == 200
        client.get(card.removeprefix(server.url))
        assert client.post("/kiosk/download/apple").headers["content-type"] == PASS
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", phone=number)
    assert row["phone_verified_at"] is not None


UTM = {
    "utm_source": "newsletter",
    "utm_medium": "email",
    "utm_campaign": "winter",
    "utm_term": "coffee",
    "utm_content": "button",
}


def credited(server: Server, customer: dict[str, Any], wallet: str) -> dict[str, Any]:
    """The touch that a customer's pass is credited to."""
    url = server.environment["DATABASE_URL"]
    [held] = [
        row for row in rows_of(url, "wallet_pass", customer_id=customer["id"]) if row["platform"] == wallet
    ]
    [touch] = rows_of(url, "touch", id=held["touch_id"])
    return {f"utm_{name}": touch[name] for name in ("source", "medium", "campaign", "term", "content")}


def test_a_link_s_campaign_reaches_the_pass_that_it_made(server: Server) -> None:
    owner = registered(server)
    made = link_for(server, owner["id"])
    with server.client(user_agent=PIXEL) as phone:
        phone.get("/brewbar/download", params={"token": made.token, **UTM})
        assert "save" in phone.post("/brewbar/download/google").headers["location"]
    assert credited(server, owner, "google") == UTM


def test_a_campaign_is_not_lost_on_the_way_out_of_an_app(server: Server) -> None:
    owner = registered(server)
    made = link_for(server, owner["id"])
    with server.client(user_agent=INSTAGRAM) as inside:
        page = inside.get("/brewbar/download", params={"token": made.token, **UTM})
    shown = httpx.URL(page.text.split('data-copy="')[1].split('"')[0].replace("&amp;", "&"))
    with server.client(user_agent=PIXEL) as phone:
        phone.get(shown.raw_path.decode())
        assert "save" in phone.post("/brewbar/download/google").headers["location"]
    assert credited(server, owner, "google") == UTM
