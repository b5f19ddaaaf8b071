"""Webhooks over the API: added, changed, paused, removed, each programme its own."""

from typing import Any

import httpx
import pytest

from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.loyalty.api_key import make_key

# A name that leads nowhere, by RFC 6761.
NOWHERE = "https://shop.invalid/hooks"


@pytest.fixture(scope="module")
def api(sqlite_server: Server) -> Any:
    url = sqlite_server.environment["DATABASE_URL"]
    [program] = rows_of(url, "program", slug="brewbar")
    _, secret = in_database(
        url, lambda conn: make_key(conn, program["id"], "test", ("read", "write", "admin"))
    )
    with httpx.Client(
        base_url=f"{sqlite_server.url}/v1/programs/brewbar/webhooks", headers={"api-key": secret}
    ) as client:
        yield client


def test_a_webhook_s_whole_life(api: httpx.Client) -> None:
    answer = api.post("", json={"url": NOWHERE}, headers={"Idempotency-Key": "one"})
    assert answer.status_code == 201
    made = answer.json()
    assert made.pop("secret").startswith("whsec_")
    assert len(made["events"]) == 18
    assert api.post("", json={"url": NOWHERE}, headers={"Idempotency-Key": "one"}).json()["id"] == made["id"]
    assert api.get("").json()["items"] == [made]
    its = f"/{made['id']}"
    changed = api.patch(its, json={"events": ["Tier changed"], "paused": True}).json()
    assert (changed["events"], changed["state"]) == (["Tier upgraded", "Tier downgraded"], "paused")
    assert api.post(f"{its}/test").json() == {"letters": 1}
    assert api.get("").json()["items"][0]["waiting"] == 1
    resumed = api.patch(its, json={"paused": False}).json()
    assert (resumed["state"], resumed["pauseReason"], resumed["waiting"]) == ("active", None, 1)
    assert api.post(f"{its}/secret").json()["secret"].startswith("whsec_")
    for since in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00Z"):
        assert api.post(f"{its}/replay", json={"since": since}).json() == {"letters": 0, "next": None}
    assert api.post(f"{its}/replay", json={"since": "2026-01-01T00:00:00"}).status_code == 422
    assert api.post(f"{its}/replay", json={}).json()["letters"] == 1
    assert api.delete(its).json()["id"] == made["id"]
    assert api.delete(its).status_code == 404
    assert api.get("").json() == {"items": []}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "http://shop.example.com/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": NOWHERE, "events": ["lunch"]}, "/events"),
        ({"url": NOWHERE, "events": []}, "/events"),
    ],
)
def test_what_does_not_fit_is_named(api: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = api.post("", json=body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert api.get("").json() == {"items": []}


def test_there_are_no_more_than_twenty_and_the_secrets_lie_sealed(
    api: httpx.Client, sqlite_server: Server
) -> None:
    made = [api.post("", json={"url": NOWHERE}, headers={"Idempotency-Key": f"n{n}"}) for n in range(21)]
    assert [answer.status_code for answer in made] == [201] * 20 + [409]
    url = sqlite_server.environment["DATABASE_URL"]
    kept = str([rows_of(url, table) for table in ("webhook_endpoint", "idempotency")])
    assert not any(answer.json()["secret"] in kept for answer in made[:20])
