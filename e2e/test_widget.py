"""A merchant's own site shows a customer what is theirs, by calls from the browser (B22)."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, Playwright

from tests.api.conftest import BASE, calling, new_key
from tests.support.serving import Server

CALL = """async ([url, headers]) => {
    try {
        const answer = await fetch(url, {headers});
        const body = await answer.json();
        return [answer.status, body.email ?? null, answer.headers.get("ratelimit-policy") !== null];
    } catch (error) {
        return [error.name];
    }
}"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Shop</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sites() -> Iterator[list[str]]:
    """Two sites of somebody's, each an origin of its own."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) for _ in range(2)]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{each.server_port}" for each in servers]
    for each in servers:
        each.shutdown()
        each.server_close()


def test_a_listed_site_may_ask_for_its_customer_and_no_other_site_may(
    shop: Server, browser: tuple[Playwright, Browser], sites: list[str]
) -> None:
    listed, other = sites
    key = new_key(shop)
    with calling(shop, key) as api:
        assert api.patch(BASE, json={"origins": [listed]}).status_code == 200
        asked = {"email": "ana@example.com", "token_type": "auth"}
        token = api.get(f"{BASE}/customers/token", params=asked).json()["accessToken"]
    page = browser[1].new_page()
    bearer = {"authorization": f"Bearer {token}"}

    def call(page: Page, path: str, headers: dict[str, str]) -> list[object]:
        answer: list[object] = page.evaluate(CALL, [f"{shop.url}{path}", headers])
        return answer

    page.goto(listed)
    assert call(page, "/v1/me", bearer) == [200, "ana@example.com", True]
    assert call(page, f"{BASE}/customers/ben@example.com", bearer)[0] == 404
    assert call(page, "/v1/me", {"authorization": "Bearer a.b.c"})[0] == 401
    for stolen in ({"api-key": key}, {"authorization": f"Bearer {key}"}):
        assert call(page, "/v1/me", stolen) == ["TypeError"]
    page.goto(other)
    assert call(page, "/v1/me", bearer) == ["TypeError"]
    page.close()
