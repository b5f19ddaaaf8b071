"""What holds for every answer: policies, cookies, and the names that are answered to."""

import base64
import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import Fresh
from tests.pages.steps import link_for, new_address, registered
from tests.support.serving import Server, serving

HOST = "cards.example.test"
TOO_MUCH = "x" * 70_000
GETS = {
    "/brewbar": 200,
    "/brewbar/register": 200,
    "/brewbar/card": 200,
    "/brewbar/privacy": 200,
    "/brewbar/poster": 200,
    "/brewbar/qr.svg": 200,
    "/brewbar/qr.png": 200,
    "/brewbar/mark.png": 200,
    "/brewbar/sw.js": 200,
    "/health/live": 200,
    "/health/ready": 200,
    "/metrics": 401,
    "/brewbar/register/about": 303,
    "/brewbar/register/card": 303,
    "/brewbar/card.pkpass": 303,
    "/brewbar/google-wallet": 303,
    "/brewbar/download?token=x": 303,
    "/brewbar/download": 410,
    "/brewbar/verify": 410,
    "/brewbar/l/x/taken": 200,
    "/brewbar/nothing": 404,
    "/nobody": 404,
    "/assets/nothing.js": 404,
    "/brewbar/download/apple": 405,
}
POSTS = {
    "/brewbar": (405, ""),
    "/brewbar/register": (422, "contact="),
    "/brewbar/card": (422, "contact="),
    "/brewbar/register/over": (400, "a=%00"),
    "/brewbar/verify": (410, ""),
    "/brewbar/download/apple": (410, ""),
    "/brewbar/verify/again": (413, TOO_MUCH),
}


@pytest.fixture(scope="module")
def secure(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    """A server that customers reach by https, through a proxy."""
    with ExitStack() as stack:
        url = Fresh(request, stack)("sqlite")
        settings = {"PASITO_BASE_URL": f"https://{HOST}", "PASITO_METRICS_TOKEN": "watch"}
        yield stack.enter_context(serving(url, data_dir, **settings))


def browser(server: Server, **headers: str) -> httpx.Client:
    return server.client(**{"host": HOST, "origin": f"https://{HOST}", **headers})


def check(answer: httpx.Response) -> None:
    """The rules of every answer."""
    headers, where = answer.headers, f"{answer.request.method} {answer.request.url.path} {answer.status_code}"
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy, where
    assert policy.startswith("default-src 'none'"), where
    assert "frame-ancestors 'none'" in policy or answer.request.url.path.endswith("sw.js"), where
    assert headers["x-content-type-options"] == "nosniff", where
    assert headers["strict-transport-security"].startswith("max-age=63072000"), where
    assert headers["referrer-policy"] in ("no-referrer", "same-origin", "strict-origin-when-cross-origin"), (
        where
    )
    assert headers["cache-control"], where
    assert "server" not in headers, where
    for style in re.findall(r"<style>(.*?)</style>", answer.text, re.S):
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy, where
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", answer.text), where
    for cookie in headers.get_list("set-cookie"):
        assert cookie.startswith(("__Host-", "lang=")), where
        assert {"HttpOnly", "SameSite=lax", "Secure"} <= set(cookie.split("; ")), where
        assert "; Path=/" in cookie, where
        assert "Domain" not in cookie, where
    if answer.status_code >= 400:
        assert not re.search(r"Traceback|[Ss]qlite|SELECT |[Ll]itestar|uvicorn|Python/|/web/", answer.text), (
            where
        )
        assert headers["cache-control"] == "no-store", where


@pytest.mark.parametrize("language", ["en", "es", "ar"])
def test_every_answer_to_a_look_keeps_the_rules(secure: Server, language: str) -> None:
    for path, status in GETS.items():
        for method in ("GET", "HEAD"):
            with browser(secure, accept_language=language) as client:
                answer = client.request(method, path)
            assert answer.status_code == status, path
            check(answer)


def test_every_answer_to_a_form_keeps_the_rules(secure: Server) -> None:
    for path, (status, body) in POSTS.items():
        with browser(secure, content_type="application/x-www-form-urlencoded") as client:
            answer = client.post(path, content=body)
        assert answer.status_code == status, path
        check(answer)
    with browser(secure) as client:
        answers = [client.post("/brewbar/card", data={"contact": "hans@example.org"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    for answer in answers:
        check(answer)
    with browser(secure, origin="https://evil.example") as client:
        refused = client.post("/brewbar/card")
    assert refused.status_code == 403
    check(refused)


def test_a_method_that_is_not_there_says_which_are(secure: Server) -> None:
    with browser(secure) as client:
        assert "GET" in client.post("/brewbar").headers["allow"]
        assert client.options("/brewbar").headers["allow"]


def test_the_whole_journey_keeps_the_rules(secure: Server) -> None:
    """By hand, for a cookie that is `Secure` does not travel over this test's plain connection by itself."""
    cookies: dict[str, str] = {}

    def step(method: str, path: str, **form: str) -> httpx.Response:
        with browser(secure, cookie="; ".join(f"{k}={v}" for k, v in cookies.items())) as client:
            answer = client.request(method, path, data=form or None)
        check(answer)
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            cookies[name] = value
        return answer

    address = new_address()
    assert step("GET", "/brewbar?lang=en").status_code == 200
    assert step("POST", "/brewbar/register", contact=address).status_code == 303
    assert "__Host-visit-brewbar" in cookies
    assert step("GET", "/brewbar/register/about").status_code == 200
    assert step("POST", "/brewbar/register/about", name="Zoë").headers["location"] == "/brewbar/register/card"
    assert step("GET", "/brewbar/register/card").status_code == 200
    assert address not in str(cookies)
    [mail] = secure.messages(address)
    links = re.findall(r"https?://\S+", mail["text"])
    assert links
    assert all(link.startswith(f"https://{HOST}/brewbar") for link in links), "never built from a request"
    confirm = next(link for link in links if "/verify?" in link)
    step("GET", confirm.removeprefix(f"https://{HOST}"))
    for answer in (step("GET", "/brewbar/verify"), step("POST", "/brewbar/verify")):
        assert answer.status_code == 200
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_pages_that_a_link_leads_to_keep_it_to_themselves(server: Server) -> None:
    made = link_for(server, registered(server)["id"])
    with server.client() as client:
        paths = (f"/brewbar/l/{made.code}", "/brewbar/download", f"/brewbar/l/{made.code}/taken")
        for answer in (*(client.get(path) for path in paths), client.post("/brewbar/download/apple")):
            assert answer.headers["cache-control"] == "no-store"
            if answer.status_code != 204:
                assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "host", ["evil.example", f"{HOST}.evil.example", f"evil.example:{HOST}", "", "[::1]"]
)
def test_other_names_are_not_answered_to(secure: Server, host: str) -> None:
    with browser(secure, host=host or "x") as client:
        for answer in (
            client.get("/brewbar"),
            client.post("/brewbar/card", data={"contact": "ana@example.com"}),
        ):
            assert answer.status_code == 421
            assert "evil" not in answer.text
            check(answer)
        assert client.get("/health/live").status_code == 200, "a supervisor asks by address"


def test_a_forwarded_host_is_nobody_s_business(secure: Server) -> None:
    with browser(secure, x_forwarded_host="evil.example", forwarded="host=evil.example") as client:
        assert "evil" not in client.get("/brewbar/poster").text


def test_a_request_without_a_host_is_turned_away(secure: Server) -> None:
    port = int(secure.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET /brewbar HTTP/1.0\r\n\r\n")
        assert raw.recv(100).split(b" ")[1] in (b"400", b"421")


def test_a_name_with_markup_keeps_the_rules_too(secure: Server) -> None:
    with browser(secure) as client:
        evil = "\"><script>alert(1)</script><p style='x' onclick=x>"
        answer = client.post("/brewbar/register", data={"contact": evil})
        assert answer.status_code == 422
        assert "<script>alert" not in answer.text
