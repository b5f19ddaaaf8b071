"""Back in by a link: sessions are opened by links alone, switched only when asked, and end at once."""

import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from tests.support.links import session_path
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server, serving
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.event_catalogue import check_properties
from web.loyalty.session import session
from web.pages.session import DESTINATIONS
from web.tables import TABLES

ANA, BEN = "ana@example.com", "ben@example.com"


def new_customer(server: Server, name: str = "Kim Park") -> str:
    """A customer of this test alone, with a card in Apple Wallet."""
    address = f"kim-{uuid4().hex[:12]}@example.org"
    with server.client() as client:
        client.post("/brewbar/register", data={"contact": address})
        done = client.post("/brewbar/register/about", data={"name": name})
        assert done.headers["location"] == "/brewbar/register/card"
    return address


def enter(client: httpx.Client, path: str, to: str = "profile") -> httpx.Response:
    return client.get(path, params={"redirectTo": to})


def dead(client: httpx.Client, path: str) -> bool:
    """Whether a session link leads to the page that offers a new one."""
    return client.get(path, follow_redirects=True).status_code == 410


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_a_session_link_opens_each_section(server: Server, sealer: Sealer, destination: str) -> None:
    with server.client() as client:
        opened = enter(client, session_path(server, sealer, ANA), destination)
        assert opened.headers["location"] == f"/brewbar/{destination}"
        page = client.get(opened.headers["location"])
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "profile/../../x",
        "no-such",
        "",
        "\r\nX: 1",
    ],
)
def test_any_other_destination_is_the_profile(server: Server, sealer: Sealer, elsewhere: str) -> None:
    with server.client() as client:
        opened = enter(client, session_path(server, sealer, ANA), elsewhere)
        assert opened.headers["location"] == "/brewbar/profile"


def test_without_a_session_the_pages_lead_to_asking_for_a_link(server: Server) -> None:
    with server.client() as client:
        for destination in DESTINATIONS:
            assert client.get(f"/brewbar/{destination}").headers["location"] == "/brewbar/card"


def test_the_token_is_gone_from_the_address_and_the_cookie_is_for_us_alone(
    server: Server, sealer: Sealer
) -> None:
    with server.client() as client:
        opened = enter(client, session_path(server, sealer, ANA))
        cookie = next(
            value for value in opened.headers.get_list("set-cookie") if value.startswith("session-")
        )
        assert "HttpOnly" in cookie
        assert re.search("samesite=lax", cookie, re.I)
        assert opened.headers["referrer-policy"] == "no-referrer"
        assert "token" not in opened.headers["location"]


def test_a_session_that_a_browser_brings_along_is_never_taken_over(server: Server, sealer: Sealer) -> None:
    with server.client() as client:
        client.cookies.set("session-brewbar", "chosen-by-somebody-else")
        enter(client, session_path(server, sealer, ANA))
        sessions = client.cookies.jar
        values = {cookie.value for cookie in sessions if cookie.name == "session-brewbar"}
        assert values != {"chosen-by-somebody-else"}
    with server.client() as client:
        client.cookies.set("session-brewbar", "chosen-by-somebody-else")
        assert client.get("/brewbar/profile").headers["location"] == "/brewbar/card"


def test_another_persons_session_is_not_left_without_a_yes(server: Server, sealer: Sealer) -> None:
    with server.client() as client:
        enter(client, session_path(server, sealer, ANA))
        asked = enter(client, session_path(server, sealer, BEN), "coupons")
        assert asked.headers["location"] == "/brewbar/session?redirectTo=coupons"
        assert "Ana" in client.get("/brewbar/profile").text
        client.get(asked.headers["location"])
        switched = client.post("/brewbar/session", data={"redirectTo": "coupons"})
        assert switched.headers["location"] == "/brewbar/coupons"
        assert "Ben" in client.get("/brewbar/profile").text


def test_a_robot_that_looks_ahead_gets_no_session(server: Server, sealer: Sealer) -> None:
    path = session_path(server, sealer, ANA)
    before = len(rows_of(server.environment["DATABASE_URL"], "session"))
    with server.client(user_agent="Slackbot-LinkExpanding 1.0", origin=server.url) as client:
        client.get(path)
        client.head(path)
    with server.client(sec_purpose="prefetch") as client:
        client.get(path)
    assert len(rows_of(server.environment["DATABASE_URL"], "session")) == before


def test_logging_out_here_ends_this_session_and_everywhere_ends_all(server: Server, sealer: Sealer) -> None:
    address = new_customer(server)
    path = session_path(server, sealer, address)
    with server.client() as one, server.client() as two:
        for client in (one, two):
            enter(client, path)
            assert client.get("/brewbar/profile").status_code == 200
        kept = one.cookies["session-brewbar"]
        one.post("/brewbar/session/end")
        one.cookies.clear()
        one.cookies.set("session-brewbar", kept)
        assert one.get("/brewbar/profile").status_code == 303, "its token opens nothing any more"
        assert two.get("/brewbar/profile").status_code == 200
        enter(one, path)
        one.post("/brewbar/session/end", data={"session": "all"})
        assert two.get("/brewbar/profile").status_code == 303


def test_changing_the_details_changes_the_card(server: Server, sealer: Sealer) -> None:
    address = new_customer(server)
    with server.client() as client:
        enter(client, session_path(server, sealer, address))
        done = client.post(
            "/brewbar/profile/details",
            data={"name": "Kim <b>P.</b>", "field_favourite": "tea", "locale": "es"},
        )
        assert done.status_code == 303
        page = client.get("/brewbar/profile")
        assert "Kim &lt;b&gt;P.&lt;/b&gt;" in page.text
        assert '<html lang="es"' in page.text
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    assert row["extra"] == {"favourite": "tea"}
    assert row["locale"] == "es"


def test_consents_are_given_and_withdrawn_with_their_wording(server: Server, sealer: Sealer) -> None:
    address = new_customer(server)
    url = server.environment["DATABASE_URL"]
    [row] = rows_of(url, "customer", email_key=address)
    with server.client() as client:
        enter(client, session_path(server, sealer, address))
        client.post(
            "/brewbar/profile/messages", data={"consents": "news", "notifications": ["balance", "tier"]}
        )
        client.post("/brewbar/profile/messages", data={"notifications": ["balance"]})
    decided = [
        event["decision"]
        for event in rows_of(url, "consent_event", customer_id=row["id"])
        if event["purpose"] == "news"
    ]
    assert decided == ["refused", "granted", "withdrawn"]
    [row] = rows_of(url, "customer", email_key=address)
    assert row["notifications"]["balance"] is True
    assert row["notifications"]["tier"] is False


def link_in(text: str) -> str:
    return re.search(r"http://\S+", text)[0]  # type: ignore[index]


def test_an_address_changes_only_when_both_sides_agree(server: Server, sealer: Sealer) -> None:
    old, new = new_customer(server), f"new-{uuid4().hex[:12]}@example.org"
    url = server.environment["DATABASE_URL"]
    path = session_path(server, sealer, old)
    with server.client() as client, server.client() as inbox:
        enter(client, path)
        assert client.post("/brewbar/profile/address", data={"contact": new}).status_code == 303
        asked_new = server.messages(new)[0]
        asked_old = next(
            message for message in server.messages(old, at_least=2) if "/change?token=" in message["text"]
        )
        inbox.get(link_in(asked_new["text"]))
        inbox.get("/brewbar/change")
        assert rows_of(url, "customer", email_key=old), "looking changes nothing"
        inbox.post("/brewbar/change")
        assert rows_of(url, "customer", email_key=old), "one side is not enough"
        inbox.get(link_in(asked_old["text"]))
        inbox.post("/brewbar/change")
        [row] = rows_of(url, "customer", email_key=new)
        assert row["email_verified_at"] is not None
        assert not rows_of(url, "customer", email_key=old)
        assert client.get("/brewbar/profile").status_code == 303, "every session ends with the address"
    with server.client() as client:
        assert dead(client, path), "and so does every link"


def test_an_address_that_is_somebody_elses_is_never_taken(server: Server, sealer: Sealer) -> None:
    old = new_customer(server)
    with server.client() as client:
        enter(client, session_path(server, sealer, old))
        answer = client.post("/brewbar/profile/address", data={"contact": BEN})
        free = client.post("/brewbar/profile/address", data={"contact": f"free-{uuid4().hex}@example.org"})
        assert (answer.status_code, answer.headers["location"]) == (
            free.status_code,
            free.headers["location"],
        )
    assert len(rows_of(server.environment["DATABASE_URL"], "customer", email_key=BEN)) == 1


def test_everything_kept_of_a_person_can_be_taken_away(server: Server, sealer: Sealer) -> None:
    address = new_customer(server)
    with server.client() as client:
        enter(client, session_path(server, sealer, address))
        answer = client.post("/brewbar/profile/data/export")
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        parts = json.loads(archive.read("my-data.json"))
        assert parts["customer"][0]["email"] == address
        assert {"consent_event", "wallet_pass", "session", "event"} <= parts.keys()
        assert address in archive.read("my-data.html").decode()
        assert client.cookies["session-brewbar"] not in archive.read("my-data.json").decode()


def test_a_forgotten_person_is_nowhere_in_the_database(server: Server, sealer: Sealer) -> None:
    name = f"Robin {uuid4().hex[:8]}"
    address = new_customer(server, name)
    url = server.environment["DATABASE_URL"]
    server.messages(address)
    path = session_path(server, sealer, address)
    with server.client() as client:
        client.get("/brewbar?utm_source=poster")
        client.post("/brewbar/card", data={"contact": address})
        enter(client, path)
        refused = client.post("/brewbar/profile/data/erase")
        assert refused.status_code == 422
        assert client.post("/brewbar/profile/data/erase", data={"sure": "yes"}).status_code == 200
        assert client.get("/brewbar/profile").status_code == 303
        assert dead(client, path)
    ends = time.monotonic() + 10
    while any(row["state"] == "waiting" for row in rows_of(url, "delivery")) and time.monotonic() < ends:
        time.sleep(0.05)
    for table in TABLES:
        kept = repr(rows_of(url, table.name))
        assert address not in kept, table.name
        assert name not in kept, table.name


def test_a_session_that_lay_unused_for_longer_than_allowed_is_over(
    data_dir: Path, fresh_database: Callable[[str], str], sealer: Sealer
) -> None:
    url = fresh_database("sqlite")
    with serving(url, data_dir, PASITO_SESSION_IDLE_HOURS="3") as strict, strict.client() as client:
        enter(client, session_path(strict, sealer, ANA))
        for hours, status in ((2, 200), (4, 303)):
            seen = utc_now() - timedelta(hours=hours)
            in_database(url, lambda conn, seen=seen: conn.execute(update(session).values(seen_at=seen)))
            assert client.get("/brewbar/coupons").status_code == status


def test_the_card_is_opened_by_a_link_and_again_by_a_page_after_half_an_hour(
    server: Server, sealer: Sealer
) -> None:
    address, url = new_customer(server), server.environment["DATABASE_URL"]
    [owner] = rows_of(url, "customer", email_key=address)

    def openings() -> list[str]:
        rows = rows_of(url, "event", customer_id=owner["id"], name="Loyalty card opened")
        for row in rows:
            check_properties(row["name"], row["properties"])
        assert len({row["properties"]["sessionId"] for row in rows}) <= 1
        assert not any(kept["id"] in str(rows) for kept in rows_of(url, "session", customer_id=owner["id"]))
        return [row["properties"]["path"] for row in rows]

    def lie_for(minutes: int) -> None:
        seen = utc_now() - timedelta(minutes=minutes)
        its = update(session).where(session.c.customer_id == owner["id"]).values(seen_at=seen)
        in_database(url, lambda conn: conn.execute(its))

    with server.client() as client:
        path = session_path(server, sealer, address)
        client.head(path)
        assert openings() == [], "a robot's look opens nothing"
        enter(client, path, "loyalty/rewards")
        for page in ("loyalty/rewards", "coupons", "profile"):
            assert client.get(f"/brewbar/{page}").status_code == 200
        assert openings() == ["loyalty/rewards"]
        lie_for(29)
        client.get("/brewbar/coupons")
        lie_for(31)
        client.get("/brewbar/coupons", headers={"sec-purpose": "prefetch"})
        assert openings() == ["loyalty/rewards"]
        client.get("/brewbar/profile/devices")
        client.get("/brewbar/coupons")
        assert openings() == ["loyalty/rewards", "profile/devices"]
