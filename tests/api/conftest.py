"""A merchant's system that calls the API of a real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.conftest import BOTH, Fresh
from tests.support.rows import in_database
from tests.support.serving import Server, serving
from web.demo import SLUG
from web.loyalty.api_key import SCOPES, make_key
from web.loyalty.program import program

BASE = f"/v1/programs/{SLUG}"


def program_id_of(server: Server, slug: str = SLUG) -> str:
    found: str = in_database(
        server.environment["DATABASE_URL"],
        lambda conn: conn.scalar(select(program.c.id).where(program.c.slug == slug)),
    )
    return found


def new_key(server: Server, *scopes: Any, slug: str = SLUG, **more: Any) -> str:
    """The secret of a fresh key, which has a limit of its own; every scope unless told otherwise."""
    program_id = program_id_of(server, slug)
    secret: str = in_database(
        server.environment["DATABASE_URL"],
        lambda conn: make_key(conn, program_id, "Tests", scopes or SCOPES, **more)[1],
    )
    return secret


def calling(server: Server, secret: str) -> httpx.Client:
    return httpx.Client(
        base_url=server.url,
        headers={"api-key": secret, "x-forwarded-for": server.headers()["x-forwarded-for"]},
        timeout=20,
        verify=False,
    )


@pytest.fixture(scope="package", params=BOTH)
def server(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    """One server on each database for all tests of the API: each uses customers and keys of its own."""
    with ExitStack() as stack:
        yield stack.enter_context(serving(Fresh(request, stack)(request.param), data_dir))


@pytest.fixture(scope="package")
def api(server: Server) -> Iterator[httpx.Client]:
    """A client with a key of every scope, on either database."""
    with calling(server, new_key(server)) as client:
        yield client


@pytest.fixture
def customer(api: httpx.Client) -> Callable[..., str]:
    """Makes customers by the API; returns the id. `customer(email=…, balance=…, **payload)`."""

    def make(email: str, /, balance: int | None = None, **payload: Any) -> str:
        items: list[dict[str, Any]] = [{"email": email, "feature": "users", "payload": payload}]
        if balance is not None:
            standing = {
                "loyaltyCustomerId": f"L-{email}",
                "balance": balance,
                "memberSince": "2024-05-01T00:00:00Z",
            }
            items.append({"email": email, "feature": "loyalty", "payload": standing})
        answer = api.post(f"{BASE}/integrations/api", json=items)
        assert answer.status_code == 201, answer.text
        assert all(result["status"] != "failed" for result in answer.json()["results"]), answer.text
        return str(answer.json()["results"][0]["customerId"])

    return make
