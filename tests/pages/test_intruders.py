"""What somebody tries who is not the owner: other people's sessions, planted cookies, odd addresses and hosts."""

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.pages.steps import (
    change,
    customer_of,
    everything,
    link_for,
    links_in,
    new_address,
    quiet,
    registered,
)
from tests.support.rows import rows_of
from tests.support.serving import Server
from web.foundation.schema import utc_now
from web.foundation.sealing import digest, random_token

CLOSED = "/brewbar/card"


@pytest.fixture
def owner(server: Server) -> dict[str, Any]:
    return registered(server)


def let_in(
    client: httpx.Client, server: Server, owner: dict[str, Any], to: str = "profile"
) -> httpx.Response:
    """Open a session by a link of one's own."""
    made = link_for(server, owner["id"], "auth", most_uses=None)
    return client.get(f"/brewbar/{made.token}", params={"redirectTo": to})


def is_in(client: httpx.Client) -> bool:
    answer = client.get("/brewbar/profile")
    assert answer.status_code == 200 or answer.headers["location"] == CLOSED
    return answer.status_code == 200


def sessions(server: Server, owner: dict[str, Any]) -> list[dict[str, Any]]:
    return rows_of(server.environment["DATABASE_URL"], "session", customer_id=owner["id"])


# Sessions


def test_another_customer_s_session_cannot_be_ended(server: Server, owner: dict[str, Any]) -> None:
    other = registered(server)
    with server.client() as mine, server.client() as theirs:
        let_in(mine, server, owner)
        let_in(theirs, server, other)
        [their_session] = sessions(server, other)
        mine.post("/brewbar/session/end", data={"session": their_session["id"]})
        assert is_in(theirs)
        assert is_in(mine)


def test_what_a_session_may_change_is_its_own_customer_s_only(server: Server, owner: dict[str, Any]) -> None:
    other = registered(server)
    before = customer_of(server, other["email"])
    named = {"customer_id": other["id"], "id": other["id"], "customer": other["id"]}
    with server.client() as client:
        let_in(client, server, owner)
        client.post("/brewbar/profile/details", params=named, data={"name": "Mallory", **named})
        client.post("/brewbar/profile/messages", params=named, data=named)
        client.post("/brewbar/profile/data/erase", params=named, data={"sure": "yes", **named})
    assert customer_of(server, other["email"]) == before
    assert not rows_of(server.environment["DATABASE_URL"], "customer", id=owner["id"])


def test_a_session_lives_seven_days_and_no_longer(server: Server, owner: dict[str, Any]) -> None:
    with server.client() as client:
        let_in(client, server, owner)
        [row] = sessions(server, owner)
        assert row["expires_at"] - row["created_at"] == timedelta(days=7)
        for age, open_still in ((timedelta(days=7, minutes=-1), True), (timedelta(days=7, seconds=1), False)):
            aged = {
                name: row[name] - age + (utc_now() - row["created_at"])
                for name in ("created_at", "expires_at")
            }
            change(server, "session", {"id": row["id"]}, **aged, seen_at=utc_now())
            assert is_in(client) is open_still, age


def test_after_an_hour_a_session_gives_no_pass_and_no_data(server: Server, owner: dict[str, Any]) -> None:
    with server.client() as client:
        let_in(client, server, owner)
        assert client.get("/brewbar/card.pkpass").status_code == 200
        [row] = sessions(server, owner)
        change(server, "session", {"id": row["id"]}, created_at=row["created_at"] - timedelta(minutes=61))
        assert client.get("/brewbar/card.pkpass").headers["location"] == CLOSED
        assert client.post("/brewbar/profile/data/export").headers["location"] == "/brewbar/profile/data"
        client.post("/brewbar/profile/data/erase", data={"sure": "yes"})
    assert customer_of(server, owner["email"])["id"] == owner["id"]


def test_logging_out_leaves_nothing_ajar_at_this_screen(server: Server, owner: dict[str, Any]) -> None:
    made = link_for(server, owner["id"], "auth", most_uses=None)
    card = link_for(server, owner["id"])
    with server.client() as client:
        client.get(f"/brewbar/l/{card.code}")
        client.post("/brewbar/download/apple")
        client.get(f"/brewbar/{made.token}", headers={"sec-purpose": "prefetch"})
        client.post("/brewbar/session")
        assert is_in(client)
        client.post("/brewbar/session/end")
        assert not is_in(client)
        assert client.post("/brewbar/session").status_code == 410
        assert client.get("/brewbar/download").status_code == 410
        assert client.get("/brewbar/card.pkpass").headers["location"] == CLOSED


def test_a_session_s_token_opens_no_other_programme(shops: Server) -> None:
    owner = registered(shops)
    with shops.client() as client:
        let_in(client, shops, owner)
        client.cookies.set("session-atelier", client.cookies["session-brewbar"])
        assert client.get("/atelier/profile").headers["location"] == "/atelier/card"
        made = link_for(shops, owner["id"], "auth", most_uses=None)
        assert client.get(f"/atelier/{made.token}", follow_redirects=True).status_code == 410


@pytest.mark.parametrize("name", ["session", "visit", "link", "enter", "change", "verify"])
def test_a_planted_cookie_becomes_nobody_s_key(server: Server, owner: dict[str, Any], name: str) -> None:
    planted = random_token()
    with server.client() as client:
        client.cookies.set(f"{name}-brewbar", planted)
        let_in(client, server, owner)
        made = link_for(server, owner["id"])
        client.get(f"/brewbar/l/{made.code}")
        client.post("/brewbar/download/apple")
    with server.client() as intruder:
        intruder.cookies.set(f"{name}-brewbar", planted)
        assert not is_in(intruder)
        assert intruder.get("/brewbar/card.pkpass").headers["location"] == CLOSED
        assert intruder.get("/brewbar/download").status_code == 410


@pytest.mark.parametrize(
    "ahead", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"}]
)
def test_a_browser_that_looks_ahead_opens_no_session(
    server: Server, owner: dict[str, Any], ahead: dict[str, str]
) -> None:
    made = link_for(server, owner["id"], "auth", most_uses=None)
    with server.client(**ahead) as client:
        client.get(f"/brewbar/{made.token}")
        client.head(f"/brewbar/{made.token}")
        client.options(f"/brewbar/{made.token}")
    assert not sessions(server, owner)


def test_a_session_link_that_ends_while_it_is_opened_opens_nothing(
    server: Server, owner: dict[str, Any]
) -> None:
    """Its use and the session are one transaction; whoever asks first decides."""
    made = link_for(server, owner["id"], "auth", most_uses=None)
    with server.client(sec_purpose="prefetch") as client:
        client.get(f"/brewbar/{made.token}")
        change(server, "one_time_link", {"jti_hash": digest(made.code)}, revoked_at=utc_now())
        assert client.post("/brewbar/session").status_code == 410
    assert not sessions(server, owner)


# Changes of address


def test_both_sides_agreeing_at_the_same_moment_change_the_address(
    server: Server, owner: dict[str, Any]
) -> None:
    for _ in range(3):
        new = new_address()
        with server.client() as client:
            let_in(client, server, owner)
            client.post("/brewbar/profile/address", data={"contact": new})
        asked = [links_in(server.messages(to)[0])[0] for to in (new,)]
        asked.append(
            next(
                link
                for mail in server.messages(owner["email"], at_least=2)
                for link in links_in(mail)
                if "/change?" in link
            )
        )

        def agrees(link: str) -> int:
            with server.client() as inbox:
                inbox.get(link.removeprefix(server.url))
                return inbox.post("/brewbar/change").status_code

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(agrees, asked)) == [200, 200]
        owner = customer_of(server, new)
        change(server, "one_time_link", {"customer_id": owner["id"]}, created_by="test")


def test_a_stranger_s_inbox_is_not_flooded_by_changes_of_address(sqlite_server: Server) -> None:
    victim, statuses = new_address(), []
    for _ in range(4):
        owner = registered(sqlite_server)
        with sqlite_server.client() as client:
            let_in(client, sqlite_server, owner)
            statuses.append(client.post("/brewbar/profile/address", data={"contact": victim}).status_code)
    quiet(sqlite_server)
    assert statuses == [303, 303, 303, 429]
    assert len(sqlite_server.messages(victim)) == 3


# Addresses and headers


HOSTILE = (
    "//evil.example",
    "https://evil.example/profile",
    "/\\evil.example",
    "javascript:alert(1)",
    "profile\r\nset-cookie: a=b",
    "profile%0d%0aset-cookie: a=b",
    "\u2028//evil.example",
    "profile/../../evil",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_redirect_leads_out_and_no_header_is_slipped_in(sqlite_server: Server, hostile: str) -> None:
    owner = registered(sqlite_server)
    card, way_in = (
        link_for(sqlite_server, owner["id"]),
        link_for(sqlite_server, owner["id"], "auth", most_uses=None),
    )
    value = quote(hostile, safe="")
    with sqlite_server.client() as client:
        answers = [
            client.get(
                f"/brewbar/download?token={card.token}&platform={value}&lang={value}&redirectTo={value}"
            ),
            client.get(f"/brewbar/l/{card.code}?utm_source={value}&platform={value}"),
            client.get(f"/brewbar/l/{value}"),
            client.get(f"/brewbar/c/{value}"),
            client.get(f"/brewbar/v/{value}"),
            client.get(f"/brewbar?lang={value}&utm_campaign={value}"),
            client.get(f"/brewbar/{way_in.token}?redirectTo={value}&lang={value}"),
            client.post("/brewbar/session", data={"redirectTo": hostile}),
        ]
    for answer in answers:
        assert answer.status_code < 500
        assert answer.headers.get("location", "/brewbar").startswith("/brewbar"), answer.url
        assert "a" not in answer.cookies
        assert "evil" not in str(answer.headers)


def test_a_cookie_s_bytes_never_break_a_page(sqlite_server: Server) -> None:
    for value in ("\\015\\012set-cookie: a=b", '"', "é", "%0d%0a", "A" * 3000, "\x00"):
        for name in ("session", "visit", "link", "enter", "change", "verify"):
            said = raw(sqlite_server, "GET", "/brewbar/session", f"cookie: {name}-brewbar={value}")
            assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 303")), (name, value, said[:200])


@pytest.mark.parametrize(
    "path",
    [
        "//brewbar/profile",
        "/brewbar//profile",
        "/brewbar/..%2fprofile",
        "/brewbar/%2e%2e/profile",
        "/BREWBAR/profile",
        "/brewbar/PROFILE",
        "/brewbar/profile/",
        "/brewbar/profile%00",
        "/brewbar;x/profile",
        "/brewbar/profile%3fx",
        "http://evil.example/brewbar/profile",
    ],
)
def test_no_spelling_of_a_path_opens_a_page_without_a_session(sqlite_server: Server, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE", "get"):
        said = raw(sqlite_server, method, path)
        status = int(said.split(b" ")[1])
        assert status in (204, 303, 307, 308, 400, 403, 404, 405, 410, 421), (method, said[:200])
        assert b"Points" not in said
        assert b"evil" not in said


@pytest.mark.parametrize(
    "lines",
    [
        ("host: evil.example",),
        ("host: localhost.evil.example",),
        ("host: localhost@evil.example",),
        ("host: evil.example#localhost",),
        ("host: [::1]",),
        ("host: ",),
    ],
)
def test_only_our_own_names_are_answered(sqlite_server: Server, lines: tuple[str, ...]) -> None:
    assert b"HTTP/1.1 421" in raw(sqlite_server, "GET", "/brewbar/card", *lines, host=False)


def test_a_forwarded_host_changes_no_link(sqlite_server: Server) -> None:
    owner = registered(sqlite_server)
    with sqlite_server.client(
        x_forwarded_host="evil.example", forwarded="host=evil.example", x_original_url="/other"
    ) as client:
        assert "evil" not in client.get("/brewbar/card").text
        assert client.post("/brewbar/card", data={"contact": owner["email"]}).status_code == 202
        mails = sqlite_server.messages(owner["email"], at_least=2)
    assert "evil" not in str(mails)


def test_pages_with_a_token_tell_no_other_page_where_they_are(server: Server, owner: dict[str, Any]) -> None:
    links = {kind: link_for(server, owner["id"], kind) for kind in ("download", "verify", "auth")}
    with server.client() as client:
        for path in (
            f"download?token={links['download'].token}",
            f"l/{links['download'].code}",
            f"verify?token={links['verify'].token}",
            f"v/{links['verify'].code}",
            f"c/{links['verify'].code}",
            f"{links['auth'].token}",
            f"change?token={links['auth'].token}",
        ):
            answer = client.get(f"/brewbar/{path}")
            assert answer.status_code == 303
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert "token" not in answer.headers["location"]
        for page in ("download", "verify", "session", "change", "profile", "profile/devices"):
            assert client.get(f"/brewbar/{page}").headers["cache-control"] == "no-store"


def test_looking_ahead_or_asking_for_options_changes_nothing_at_any_door(
    server: Server, owner: dict[str, Any]
) -> None:
    links = {kind: link_for(server, owner["id"], kind) for kind in ("download", "verify", "auth")}
    quiet(server)
    before = everything(server)
    with server.client(sec_purpose="prefetch") as client:
        for path in (
            f"download?token={links['download'].token}&utm_source=mail",
            f"l/{links['download'].code}",
            f"verify?token={links['verify'].token}",
            f"v/{links['verify'].code}",
            f"{links['auth'].token}",
            "session",
            "change",
            "download/apple",
        ):
            for method in ("GET", "HEAD", "OPTIONS"):
                assert client.request(method, f"/brewbar/{path}").status_code < 500
    assert everything(server) == before


def raw(server: Server, method: str, path: str, *lines: str, host: bool = True) -> bytes:
    """What a hand-written request is answered, for what no client library would send."""
    where = urlsplit(server.url)
    head = [f"{method} {path} HTTP/1.1", *([f"host: {where.netloc}"] if host else []), *lines]
    with socket.create_connection(("127.0.0.1", where.port or 80), timeout=10) as wire:
        wire.sendall("\r\n".join([*head, "connection: close", "", ""]).encode("utf-8"))
        received = b""
        while more := wire.recv(65536):
            received += more
    return received
