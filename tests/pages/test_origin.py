"""Forms are taken from our own pages only, and looking changes nothing."""

import re
from typing import Any

import httpx
import pytest

from tests.pages.steps import everything, link_for, new_address, quiet, register, registered
from tests.support.rows import rows_of
from tests.support.serving import LAPTOP, PIXEL, Server

FORMS = (
    "register",
    "register/about",
    "register/over",
    "card",
    "download/apple",
    "download/google",
    "download/again",
    "verify",
    "verify/again",
)
ELSEWHERE: dict[str, dict[str, str]] = {
    "another site": {"sec-fetch-site": "cross-site"},
    "another host of the same site": {"sec-fetch-site": "same-site"},
    "another site that lies about its origin": {"sec-fetch-site": "cross-site", "origin": "OWN"},
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:1"},
    "another scheme": {"origin": "OWN-TLS"},
    "another host": {"origin": "http://shop.localhost"},
    "a name that begins like ours": {"origin": "OWN.evil.example"},
    "a sandboxed frame": {"origin": "null"},
}


def posting(server: Server, headers: dict[str, str]) -> dict[str, str]:
    """A browser's headers with these instead of the origin's."""
    own = {name: value for name, value in server.headers().items() if name != "origin"}
    written = {
        name: value.replace("OWN-TLS", server.url.replace("http:", "https:")).replace("OWN", server.url)
        for name, value in headers.items()
    }
    return own | written


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("path", FORMS)
def test_a_form_from_elsewhere_is_refused(sqlite_server: Server, path: str, place: str) -> None:
    with httpx.Client(base_url=sqlite_server.url, headers=posting(sqlite_server, ELSEWHERE[place])) as client:
        answer = client.post(f"/brewbar/{path}", data={"contact": "ana@example.com"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "our own pages only" in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "OWN"}, {}],
    ids=["by fetch metadata", "by the person", "by origin", "an old browser without anything of ours"],
)
def test_a_form_of_ours_is_taken(sqlite_server: Server, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=sqlite_server.url, headers=posting(sqlite_server, headers)) as client:
        assert client.post("/brewbar/register", data={"contact": new_address()}).status_code == 303


@pytest.mark.parametrize("hides", [{}, {"origin": "null"}], ids=["says nothing", "says null"])
def test_a_browser_that_hides_its_origin_registers_by_the_form_s_token(
    server: Server, hides: dict[str, str]
) -> None:
    """Pages that keep their referrer make browsers write `Origin: null`, on plain HTTP without Fetch Metadata."""
    address, url = new_address(), server.environment["DATABASE_URL"]
    with httpx.Client(base_url=server.url, headers=posting(server, {"origin": "OWN"})) as client:
        assert client.post("/brewbar/register", data={"contact": address}).status_code == 303
        page = client.get("/brewbar/register/about")
        token = token_in(page)
        del client.headers["origin"]
        client.headers.update(hides)
        about = {"name": "Zoë"}
        stranger = registered_token(server)
        for wrong in (
            {},
            {"form_token": ""},
            {"form_token": "%%%"},
            {"form_token": stranger},
            {"form_token": "é"},
        ):
            assert client.post("/brewbar/register/about", data={**about, **wrong}).status_code == 403
        assert rows_of(url, "customer", email_key=address) == []
        done = client.post("/brewbar/register/about", data={**about, "form_token": token})
        assert done.headers["location"] == "/brewbar/register/card"


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def registered_token(server: Server) -> str:
    """A token that somebody else's page holds."""
    with server.client() as client:
        client.post("/brewbar/register", data={"contact": new_address()})
        return token_in(client.get("/brewbar/register/about"))


@pytest.mark.parametrize(
    "agent", [PIXEL, PIXEL.replace(") Apple", "; wv) Apple")], ids=["browser", "in an app"]
)
def test_a_link_s_button_carries_a_token_without_any_visit(server: Server, agent: str) -> None:
    made = link_for(server, registered(server)["id"])
    with httpx.Client(base_url=server.url, headers=posting(server, {"user-agent": agent})) as client:
        page = client.get(f"/brewbar/download?token={made.token}&utm_source=mail", follow_redirects=True)
        client.headers["origin"] = "null"
        assert client.post("/brewbar/download/apple").status_code == 403
        given = client.post("/brewbar/download/apple", data={"form_token": token_in(page)})
        assert given.headers["content-type"] == "application/vnd.apple.pkpass"


def test_a_token_is_another_one_on_each_page(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        client.post("/brewbar/register", data={"contact": new_address()})
        tokens = {token_in(client.get("/brewbar/register/about")) for _ in range(5)}
    assert len(tokens) == 5


def test_looking_at_everything_changes_nothing(server: Server) -> None:
    """Every address that can be opened, with a visit, its grant, and both kinds of links in the browser."""
    with server.client(user_agent=LAPTOP) as client:
        address = new_address()
        register(client, address)
        [owner] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
        card, confirm = link_for(server, owner["id"]), link_for(server, owner["id"], "verify")
        for path in (f"l/{card.code}", f"v/{confirm.code}", "card.pkpass", "google-wallet", "qr.svg"):
            client.get(f"/brewbar/{path}")
        code = client.get("/brewbar/poster").text.split("/s/")[1][:6]
        quiet(server)
        before = kept(server)
        for path in (
            *("", "/register", "/register/about", "/register/sent", "/register/card", "/register/over"),
            *("/card", "/card.pkpass", "/google-wallet", "/download", "/download/apple", "/download/again"),
            *(f"/download?token={card.token}", f"/l/{card.code}", f"/l/{card.code}/taken"),
            *("/verify", "/verify/again", f"/verify?token={confirm.token}", f"/v/{confirm.code}"),
            *("/qr.svg", "/qr.png", "/poster", "/privacy", "/logo.png", "/mark.png", "/sw.js"),
        ):
            assert client.get(f"/brewbar{path}").status_code < 500, path
            assert client.head(f"/brewbar{path}").status_code < 500, path
        for path in (
            f"/s/{code}",
            "/",
            "/health/live",
            "/health/ready",
            "/metrics",
            "/dev/mailbox",
            "/robots.txt",
        ):
            assert client.get(path).status_code < 500, path
        quiet(server)
        assert kept(server) == before


def kept(server: Server) -> dict[str, list[dict[str, Any]]]:
    """All rows but those that an arrival leaves, and the ten-minute links that a computer's page shows its owner."""
    rows = everything(server)
    rows.pop("touch")
    rows["visit"] = [
        {name: value for name, value in row.items() if not name.endswith("touch_id")} for row in rows["visit"]
    ]
    rows["one_time_link"] = [row for row in rows["one_time_link"] if row["purpose"] != "handoff"]
    return rows
