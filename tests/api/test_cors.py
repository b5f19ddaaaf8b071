"""Browsers of other sites: a customer's own calls from listed origins, and a key from nowhere."""

import uuid
from typing import Any

import httpx
import pytest

from tests.api.conftest import BASE, calling, new_key
from tests.conftest import SECRET
from tests.support.rows import in_database
from tests.support.serving import Server
from web.foundation.sealing import Sealer
from web.loyalty.program import create_program
from web.loyalty.program_settings import ORIGIN, ProgramSettings

SHOP, OTHER = "https://shop.example.com", "https://other.example.com"
TRANSACTIONS = f"{BASE}/customers/ana@example.com/transactions"


@pytest.fixture
def token(api: httpx.Client) -> str:
    assert api.patch(BASE, json={"origins": [SHOP]}).status_code == 200
    asked = {"email": "ana@example.com", "token_type": "auth"}
    return str(api.get(f"{BASE}/customers/token", params=asked).json()["accessToken"])


def call(server: Server, method: str, path: str, origin: str | None, **headers: str) -> httpx.Response:
    given = {**server.headers(), **headers, **({"origin": origin} if origin else {})}
    return httpx.request(method, f"{server.url}{path}", headers=given)


def asked(server: Server, path: str, origin: str, method: str = "GET") -> Any:
    """What a browser hears that asks before it calls."""
    wanted = {"access-control-request-method": method, "access-control-request-headers": "authorization"}
    answer = call(server, "OPTIONS", path, origin, **wanted)
    assert answer.status_code == 204
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers
    return answer.headers.get("access-control-allow-origin")


def test_a_listed_site_reads_a_customers_own_and_failures_too(server: Server, token: str) -> None:
    bearer = {"authorization": f"Bearer {token}"}
    for path in ("/v1/me", TRANSACTIONS):
        assert asked(server, path, SHOP) == SHOP
        answer = call(server, "GET", path, SHOP, **bearer)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)
        assert answer.headers["vary"] == "origin"
        assert "ratelimit" in answer.headers["access-control-expose-headers"]
        assert "ratelimit" in answer.headers
    redeem = f"{BASE}/rewards/{uuid.uuid4()}/redeem"
    headers = call(server, "OPTIONS", redeem, SHOP, **{"access-control-request-method": "POST"}).headers
    assert headers["access-control-allow-headers"] == "authorization, content-type, idempotency-key"
    assert headers["access-control-allow-methods"] == "POST"
    # What is wrong with a call can be read there, or the page could not ask for a new token.
    for path, given, status in (
        ("/v1/me", {"authorization": "Bearer a.b.c"}, 401),
        ("/v1/me", {}, 401),
        (f"{BASE}/customers/ben@example.com", bearer, 404),
        (f"{TRANSACTIONS}?limit=1000", bearer, 422),
    ):
        answer = call(server, "GET", path, SHOP, **given)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SHOP), path


def test_a_site_that_is_not_listed_is_told_nothing_and_refused(server: Server, token: str) -> None:
    bearer = {"authorization": f"Bearer {token}"}
    for path in ("/v1/me", TRANSACTIONS):
        for origin in (OTHER, "null", f"{SHOP}.example.org", "http://shop.example.com", SHOP.upper()):
            assert asked(server, path, origin) is None
            answer = call(server, "GET", path, origin, **bearer)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
    # Our own pages and programs are no other site.
    assert call(server, "GET", "/v1/me", server.url, **bearer).status_code == 200
    assert call(server, "GET", "/v1/me", None, **bearer).status_code == 200


def test_one_programmes_list_opens_nothing_of_anothers(server: Server, token: str) -> None:
    elsewhere = ProgramSettings(name="Elsewhere", origins=(OTHER,))
    in_database(
        server.environment["DATABASE_URL"],
        lambda conn: create_program(conn, "elsewhere", elsewhere, Sealer((SECRET,))),
    )
    with calling(server, new_key(server, slug="elsewhere")) as other:
        # From now on this process knows it.
        assert other.patch("/v1/programs/elsewhere", json={"name": "Over there"}).status_code == 200
    # Before the token is seen nobody knows whose customer it is; then it counts.
    assert asked(server, "/v1/me", OTHER) == OTHER
    answer = call(server, "GET", "/v1/me", OTHER, authorization=f"Bearer {token}")
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert asked(server, TRANSACTIONS, OTHER) is None


def test_a_key_is_refused_from_any_site(server: Server, api: httpx.Client, token: str) -> None:
    key = api.headers["api-key"]
    for given in ({"api-key": key}, {"authorization": f"Bearer {key}"}, {"api-key": token}):
        for path in ("/v1/me", TRANSACTIONS, f"{BASE}/api-keys"):
            answer = call(server, "GET", path, SHOP, **given)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
    assert asked(server, f"{BASE}/api-keys", SHOP) is None
    assert asked(server, TRANSACTIONS, SHOP, method="DELETE") is None
    assert asked(server, f"{BASE}/customers/ana@example.com", SHOP, method="PATCH") is None
    assert call(server, "GET", f"{BASE}/api-keys", server.url, **{"api-key": key}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "is_one"),
    [
        ("https://shop.example.com", True),
        ("https://shop.example.com:8443", True),
        ("http://localhost:3000", True),
        ("http://shop.example.com", False),
        ("https://shop.example.com/", False),
        ("https://SHOP.example.com", False),
        ("https://*.example.com", False),
        ("https://user@shop.example.com", False),
        ("null", False),
        ("*", False),
    ],
)
def test_an_origin_is_written_as_browsers_do(origin: str, is_one: bool) -> None:
    assert bool(ORIGIN.fullmatch(origin)) is is_one
