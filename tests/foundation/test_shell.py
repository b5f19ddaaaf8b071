"""The outermost wrapper, around the smallest application: what holds for every answer."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest

from web.foundation.metrics import Metrics
from web.foundation.shell import HEAD, Shell

HTTPS = "https://cards.example.com"


class Inner:
    """Answers 200 with its own headers, or fails; remembers what it was asked."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.headers: list[tuple[bytes, bytes]] = []
        self.error: Exception | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = dict(scope)
        scope["path_template"] = "/{slug:str}"
        if self.error:
            raise self.error
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"5"), *self.headers],
            }
        )
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        await send({"type": "http.response.body", "body": b"lo"})


async def refuse(status: int, scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"refused"})


class Door:
    def __init__(self, origin: str = HTTPS, proxies: tuple[str, ...] = ()) -> None:
        self.inner = Inner()
        self.metrics = Metrics()
        self.origin = origin
        hosts = frozenset([origin.partition("://")[2], "localhost"])
        self.shell = Shell(
            cast(Any, self.inner), refuse, self.metrics, origin=origin, hosts=hosts, trusted_proxies=proxies
        )

    @asynccontextmanager
    async def client(self, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(
            cast(Any, self.shell), client=(address, 1), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url=self.origin) as client:
            yield client

    async def ask(
        self, method: str = "GET", path: str = "/brewbar", address: str = "192.0.2.1", **headers: str
    ) -> httpx.Response:
        async with self.client(address) as client:
            return await client.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )


@pytest.fixture
def door() -> Door:
    return Door()


async def test_every_answer_is_closed_unless_the_page_says_otherwise(door: Door) -> None:
    answer = await door.ask()
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-request-id"])


async def test_what_the_page_says_counts(door: Door) -> None:
    door.inner.headers = [
        (b"content-security-policy", b"default-src 'self'"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    answer = await door.ask()
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("cache-control") == ["no-cache"]


async def test_without_https_nothing_promises_it() -> None:
    answer = await Door("http://localhost").ask()
    assert "strict-transport-security" not in answer.headers


async def test_a_refusal_has_the_headers_too(door: Door) -> None:
    answer = await door.ask(host="evil.example")
    assert answer.status_code == 421
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("cards.example.com", 200),
        ("CARDS.example.com", 200),
        ("cards.example.com:443", 200),
        ("localhost:8000", 200),
        ("evil.example", 421),
        ("cards.example.com.evil.example", 421),
        ("evil.example:443@cards.example.com", 421),
        ("cards.example.com:80:80", 421),
        ("", 421),
    ],
)
async def test_only_the_configured_hosts_are_answered(door: Door, host: str, status: int) -> None:
    assert (await door.ask(host=host)).status_code == status


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_those_who_watch_ask_by_any_name(door: Door, path: str) -> None:
    assert (await door.ask(path=path, host="10.0.0.3:8000")).status_code == 200


async def test_a_programme_whose_name_begins_alike_is_not_watched(door: Door) -> None:
    assert (await door.ask(path="/metrics-bar", host="evil.example")).status_code == 421


FORMS = [
    ({}, 200),
    ({"sec_fetch_site": "same-origin"}, 200),
    ({"sec_fetch_site": "none"}, 200),
    ({"sec_fetch_site": "same-site"}, 403),
    ({"sec_fetch_site": "cross-site"}, 403),
    ({"sec_fetch_site": "cross-site", "origin": HTTPS}, 403),
    ({"origin": HTTPS}, 200),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "https://cards.example.com.evil.example"}, 403),
    # A page that keeps its referrer to itself is sent so; the page behind asks for the form's token.
    ({"origin": "null"}, 200),
    ({"origin": ""}, 403),
]


@pytest.mark.parametrize(("headers", "status"), FORMS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_form_is_taken_from_our_own_pages_only(
    door: Door, method: str, headers: dict[str, str], status: int
) -> None:
    assert (await door.ask(method, **headers)).status_code == status


async def test_a_page_may_be_asked_for_from_anywhere(door: Door) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert (await door.ask(method, sec_fetch_site="cross-site")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/customers", "/passkit/v1/log", "/webhooks/google-wallet", "/flow/x"])
async def test_machines_bring_keys_of_their_own(door: Door, path: str) -> None:
    assert (await door.ask("POST", path, origin="https://shop.example")).status_code == 200


async def test_a_programme_is_no_machine(door: Door) -> None:
    answer = await door.ask("POST", "/brewbar/v1/x", origin="https://evil.example")
    assert answer.status_code == 403


async def test_head_is_answered_like_get_without_the_body_and_known_to_the_page(door: Door) -> None:
    answer = await door.ask("HEAD")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "5")
    assert door.inner.scope["method"] == "GET"
    assert HEAD in door.inner.scope
    assert (await door.ask()).content == b"hello"
    assert HEAD not in door.inner.scope


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1"),
    ],
)
async def test_only_our_own_proxies_are_believed(peer: str, forwarded: str, client: str) -> None:
    door = Door(proxies=("10.0.0.0/8",))
    await door.ask(address=peer, x_forwarded_for=forwarded)
    assert door.inner.scope["client"][0] == client


async def test_without_proxies_nobody_is_believed(door: Door) -> None:
    await door.ask(address="127.0.0.1", x_forwarded_for="203.0.113.9")
    assert door.inner.scope["client"][0] == "127.0.0.1"


async def test_metrics_know_routes_and_no_addresses(door: Door) -> None:
    await door.ask(path="/brewbar?token=secret")
    text = door.metrics.text().decode()
    assert 'pasito_request_seconds_count{route="/{slug:str}",status="200"} 1.0' in text
    assert "brewbar" not in text
    assert "secret" not in text


async def test_what_no_route_was_found_for_counts_under_one_name(door: Door) -> None:
    for number in range(20):
        await door.ask(path=f"/scan-{number}", host="evil.example")
    assert 'route="none",status="421"} 20.0' in door.metrics.text().decode()


async def test_a_page_that_breaks_is_counted_as_500(door: Door) -> None:
    door.inner.error = RuntimeError("broken")
    await door.ask()
    assert 'status="500"} 1.0' in door.metrics.text().decode()


async def test_what_is_no_request_goes_through_untouched(door: Door) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    shell = Shell(cast(Any, app), refuse, door.metrics, origin=HTTPS, hosts=frozenset())
    await shell(cast(Any, {"type": "lifespan"}), cast(Any, None), cast(Any, None))
    assert seen == ["lifespan"]
