"""A link to the card: looking changes nothing, the tap uses it, and nobody honest is ever stuck (rulings 1 to 4)."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt
import pytest

from tests.pages.steps import (
    Made,
    change,
    customer_of,
    everything,
    link_for,
    links_in,
    new_address,
    quiet,
    register,
    registered,
    without_chance,
)
from tests.support.rows import rows_of
from tests.support.serving import IPHONE, LAPTOP, PIXEL, Server
from web.foundation.schema import utc_now
from web.foundation.sealing import digest
from web.foundation.tokens import from_url

INSTAGRAM = IPHONE.replace("Version/26.0 ", "").replace("Safari/604.1", "") + "Instagram 400.0.0.1 (iPhone)"
SCANNERS = (
    "Mozilla/5.0 (compatible; Microsoft Outlook SafeLinks; https://aka.ms/safelinks)",
    "Mozilla/5.0 (Windows NT 10.0) Proofpoint URL Defense",
    "facebookexternalhit/1.1",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Barracuda Sentinel (EE)",
    LAPTOP,
)
PASS = "application/vnd.apple.pkpass"


@pytest.fixture
def owner(server: Server) -> dict[str, Any]:
    return registered(server)


def state(server: Server, made: Made) -> dict[str, Any]:
    [row] = rows_of(server.environment["DATABASE_URL"], "one_time_link", jti_hash=digest(made.code))
    return row


def open_link(client: httpx.Client, made: Made, more: str = "") -> httpx.Response:
    """What a browser sees that opens the mail's link."""
    return client.get(f"/brewbar/download?token={made.token}{more}", follow_redirects=True)


def tap(client: httpx.Client, wallet: str = "apple") -> httpx.Response:
    return client.post(f"/brewbar/download/{wallet}")


@pytest.mark.parametrize(
    "spell",
    [
        lambda token: token,
        lambda token: token + "=" * (-len(token) % 4),
        lambda token: quote(token + "=" * (-len(token) % 4)),
        lambda token: quote(base64.b64encode(from_url(token).encode()).decode(), safe=""),
        lambda token: base64.b64encode(from_url(token).encode()).decode(),
        from_url,
    ],
    ids=["unpadded", "padded", "percent", "standard", "standard, not escaped", "bare"],
)
def test_every_spelling_of_the_token_opens(server: Server, owner: dict[str, Any], spell: Any) -> None:
    made = link_for(server, owner["id"])
    with server.client() as client:
        page = open_link(client, Made(spell(made.token), made.code))
        assert page.status_code == 200
        assert "/brewbar/download/apple" in page.text
        assert owner["email"] not in page.text
        assert owner["name"] not in page.text


def test_the_token_leaves_the_address_bar(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"])
    with server.client() as client:
        for path in (f"/brewbar/download?token={made.token}", f"/brewbar/l/{made.code.lower()}"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/brewbar/download")
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
        assert made.token not in client.get("/brewbar/download").text


def test_in_an_app_s_own_browser_the_address_stays_usable(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"])
    with server.client(user_agent=INSTAGRAM) as client:
        page = client.get(f"/brewbar/download?token={made.token}")
        assert page.status_code == 200
        assert f"{server.url}/brewbar/l/{made.code}" in page.text, "the link to take along"
        assert page.headers["referrer-policy"] == "no-referrer"
        other = re.search(r'href="([^"]+lang=es)"', page.text)
        assert other is not None
        assert made.token in other[1], "a change of language keeps the address usable"
    assert state(server, made)["uses"] == 0
    with server.client() as safari:
        safari.get(f"/brewbar/l/{made.code}")
        assert tap(safari).headers["content-type"] == PASS


def test_a_parade_of_robots_leaves_the_link_good(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"])
    quiet(server)
    before = everything(server)
    for robot in SCANNERS:
        with server.client(user_agent=robot) as client:
            for path in (f"/brewbar/download?token={made.token}", f"/brewbar/l/{made.code}"):
                assert client.head(path, follow_redirects=True).status_code == 200
                assert client.get(path, follow_redirects=True).status_code == 200
                assert client.options(path).status_code < 500
            assert client.get("/brewbar/download/apple").status_code == 405
            assert client.get(f"/brewbar/l/{made.code}/taken").status_code == 204
    assert everything(server) == before
    with server.client() as client:
        open_link(client, made)
        assert tap(client).headers["content-type"] == PASS


def test_fifty_taps_at_once_use_it_once(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"])

    def one(_: int) -> httpx.Response:
        with server.client() as client:
            open_link(client, made)
            return tap(client)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(50)))
    given = [answer for answer in answers if answer.headers["content-type"] == PASS]
    assert len(given) == 1
    assert {answer.status_code for answer in answers if answer not in given} == {410}
    assert state(server, made)["uses"] == 1


def test_fifty_taps_in_one_browser_use_it_once_and_leave_the_card_in_reach(
    server: Server, owner: dict[str, Any]
) -> None:
    made = link_for(server, owner["id"])
    with server.client() as client:
        open_link(client, made, "&utm_source=pasito")  # as the mail's link has it
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: tap(client), range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.headers["content-type"] for answer in answers].count(PASS) == 1
        assert client.get("/brewbar/card.pkpass").headers["content-type"] == PASS
    assert state(server, made)["uses"] == 1


def test_the_same_browser_may_fetch_it_again_for_fifteen_minutes(
    server: Server, owner: dict[str, Any]
) -> None:
    made = link_for(server, owner["id"])
    url = server.environment["DATABASE_URL"]
    with server.client() as client, server.client() as other:
        for browser in (client, other):
            open_link(browser, made)
        assert tap(client).headers["content-type"] == PASS
        assert open_link(client, made).status_code == 200
        assert client.get("/brewbar/card.pkpass").headers["content-type"] == PASS
        assert tap(other).status_code == open_link(other, made).status_code == 410
        assert other.get("/brewbar/card.pkpass").headers["location"] == "/brewbar/card"
        visits = [row for row in rows_of(url, "visit", customer_id=owner["id"]) if row["granted_until"]]
        left = visits[-1]["granted_until"] - utc_now()
        assert timedelta(minutes=14) < left <= timedelta(minutes=15)
        change(server, "visit", {"customer_id": owner["id"]}, granted_until=utc_now() - timedelta(seconds=1))
        assert client.get("/brewbar/card.pkpass").headers["location"] == "/brewbar/card"
        assert open_link(client, made).status_code == 410


def dead_links(server: Server, owner: dict[str, Any]) -> dict[str, Made]:
    used, revoked, expired, foreign, verify = (link_for(server, owner["id"]) for _ in range(5))
    verify = link_for(server, owner["id"], "verify")
    change(server, "one_time_link", {"jti_hash": digest(used.code)}, uses=1, used_at=utc_now())
    change(server, "one_time_link", {"jti_hash": digest(revoked.code)}, revoked_at=utc_now())
    change(server, "one_time_link", {"jti_hash": digest(expired.code)}, expires_at=utc_now())
    change(server, "one_time_link", {"jti_hash": digest(foreign.code)}, program_id=str(uuid4()))
    bare = from_url(link_for(server, owner["id"]).token)
    head, claims, signature = bare.split(".")
    unsigned = jwt.encode(jwt.decode(bare, options={"verify_signature": False}), "", "none")
    return {
        "used": used,
        "revoked": revoked,
        "expired": expired,
        "another programme's row": foreign,
        "another kind's": verify,
        "forged": Made(f"{head}.{claims}.{signature[:-4]}AAAA", "A" * 26),
        "unsigned": Made(unsigned, "B" * 26),
        "nonsense": Made("%00%ff<script>", "'; drop table"),
        "letters from elsewhere": Made("ключ", "ключ"),
        "empty": Made("", "-"),
    }


def test_all_dead_links_look_alike(server: Server, owner: dict[str, Any]) -> None:
    seen = {}
    for name, made in dead_links(server, owner).items():
        for path in (f"/brewbar/download?token={made.token}", f"/brewbar/l/{quote(made.code)}"):
            with server.client(accept_encoding="identity") as client:
                arrival = client.get(path)
                page = client.get("/brewbar/download")
                taps = tap(client)
            seen[name, path] = (
                without_chance(arrival),
                without_chance(page),
                (taps.status_code, re.sub(r'value="[^"]*"', "", taps.text)),
            )
    first = next(iter(seen.values()))
    assert first[1][0] == first[2][0] == 410
    assert "Send me a new one" in first[2][1]
    for name, answers in seen.items():
        assert answers == first, name


def test_another_programme_s_link_is_dead_here(shops: Server) -> None:
    owner = registered(shops)
    made = link_for(shops, owner["id"])
    with shops.client() as client:
        assert client.get(f"/atelier/download?token={made.token}").status_code == 303
        assert client.get("/atelier/download").status_code == 410
        assert client.post("/atelier/download/apple").status_code == 410
    assert state(shops, made)["uses"] == 0


def test_a_new_one_goes_to_the_owner_whose_address_is_not_shown(server: Server) -> None:
    owner = registered(server)
    made = link_for(server, owner["id"], lifetime=timedelta(seconds=-60))
    with server.client() as client:
        dead = open_link(client, made)
        sent = client.post("/brewbar/download/again")
        assert dead.status_code == 410
        assert sent.status_code == 200
        for page in (dead, sent):
            assert owner["email"] not in page.text
            assert owner["email"].partition("@")[0][:5] not in page.text
        assert "A new link is on its way" in sent.text
        assert "Look in your inbox" in sent.text
        assert 'href="/brewbar/card?lang=es"' in sent.text, (
            "a change of language leads to a page that is there"
        )
    mails = server.messages(owner["email"], at_least=2)
    [fresh] = [link for mail in mails for link in links_in(mail) if "/download?token=" in link]
    with server.client() as client:
        assert client.get(fresh.removeprefix(server.url), follow_redirects=True).status_code == 200
        assert tap(client).headers["content-type"] == PASS
    with server.client() as client:
        assert client.post("/brewbar/download/again").text.count("new link is on its way") == 1


@pytest.mark.parametrize(
    ("agent", "asked", "primary", "explains"),
    [
        (IPHONE, "ios", "apple", False),
        (IPHONE, "android", "apple", True),
        (PIXEL, "android", "google", False),
        (PIXEL, "ios", "google", True),
        (LAPTOP, "ios", "apple", False),
        (LAPTOP, "IOS", "apple", False),
        (LAPTOP, "android", "google", False),
        (IPHONE, "blackberry", "apple", False),
    ],
)
def test_the_platform_in_the_address_wins_where_the_phone_can(
    sqlite_server: Server, agent: str, asked: str, primary: str, explains: bool
) -> None:
    made = link_for(sqlite_server, registered(sqlite_server)["id"])
    with sqlite_server.client(user_agent=agent) as client:
        page = open_link(client, made, f"&platform={asked}").text
    ways = re.findall(r'action="/brewbar/download/(apple|google)"', page)
    assert ways[0] == primary
    assert set(ways) == {"apple", "google"}, "the other way stays in reach"
    assert ("made for another kind of phone" in page) == explains


def test_a_wallet_that_is_not_there_uses_nothing_up(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"])
    with server.client() as client:
        open_link(client, made)
        assert tap(client, "samsung").status_code == 404
    assert state(server, made)["uses"] == 0


def test_a_link_that_confirms_does_not_take_the_card_s_place(server: Server, owner: dict[str, Any]) -> None:
    made, verify = link_for(server, owner["id"]), link_for(server, owner["id"], "verify")
    with server.client() as client:
        open_link(client, made)
        client.get(f"/brewbar/verify?token={verify.token}", follow_redirects=True)
        assert tap(client).headers["content-type"] == PASS


def test_the_code_of_a_link_is_not_kept_with_its_touch(server: Server, owner: dict[str, Any]) -> None:
    made, campaign = link_for(server, owner["id"]), uuid4().hex
    with server.client() as client:
        client.get(f"/brewbar/l/{made.code}?utm_campaign={campaign}")
        client.get(f"/brewbar/download?token={made.token}&utm_campaign={campaign}")
    found = rows_of(server.environment["DATABASE_URL"], "touch", campaign=campaign)
    assert {touch["landing_path"] for touch in found} == {"/brewbar/l", "/brewbar/download"}


def test_on_a_computer_the_phone_carries_on_and_the_computer_hears_of_it(server: Server) -> None:
    with server.client(user_agent=LAPTOP) as computer, server.client() as phone:
        address = new_address()
        done = register(computer, address)
        page = computer.get("/brewbar/register/card")
        poll = re.search(r'hx-get="(/brewbar/l/([0-9A-Z]{26})/taken)"', page.text)
        assert poll is not None, (done.status_code, done.headers, page.status_code, page.text[-3000:])
        assert computer.get(poll[1]).status_code == 204
        phone.get(f"/brewbar/l/{poll[2]}")
        assert tap(phone).headers["content-type"] == PASS
        heard = computer.get(poll[1])
        assert heard.status_code == 200
        assert "Your phone has it" in heard.text
    assert customer_of(server, address)
