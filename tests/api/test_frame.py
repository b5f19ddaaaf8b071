"""What holds for every call: problem documents, limits, and doing a thing once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.engine import Connection

from tests.api.conftest import BASE, calling, new_key
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.idempotency import idempotency, purge_answers
from web.foundation.schema import utc_now


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/nothing/at/all", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", BASE, 405),
        ("DELETE", f"{BASE}/locations", 405),
        ("POST", "/v1/me", 405),
        ("GET", f"{BASE}/customers/%00", 404),
        ("GET", f"{BASE}/customers/%FF%FE", 404),
        ("GET", f"{BASE}/customers/nobody@example.org", 404),
        ("GET", f"{BASE}/customers/0199a1b2-4d5e-7f60-9a7b-8c9d0e1f2a3b", 404),
        ("GET", f"{BASE}/customers?limit=1000", 422),
        ("GET", f"{BASE}/customers?cursor=%00", 422),
        ("GET", f"{BASE}/customers?cursor=bm90IGEgY3Vyc29y", 422),
        ("GET", f"{BASE}/customers/ana@example.com/transactions?cursor=4pyT", 422),
        ("GET", f"{BASE}/customers?updatedSince=yesterday", 422),
        ("DELETE", f"{BASE}/api-keys/no-id", 404),
    ],
)
def test_every_failure_is_a_problem_document(api: httpx.Client, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert "#problem-" in problem["type"]
    assert {"type", "title", "status", "detail", "instance"} <= problem.keys() <= {*problem, "errors"}
    if status == 405:
        assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]


def test_what_is_no_json_too_much_or_in_another_form_is_said_so(api: httpx.Client) -> None:
    where = f"{BASE}/integrations/api"
    json = {"content-type": "application/json"}
    assert api.post(where, content=b"[", headers=json).status_code == 400
    assert api.post(where, content=b"[]", headers={"content-type": "text/plain"}).status_code == 415
    assert api.post(where, content=b"[]").status_code == 415
    assert api.post(where, content=b"x", headers=json | {"content-encoding": "gzip"}).status_code == 415
    assert api.post(where, content=b" " * (1024 * 1024 + 1), headers=json).status_code == 413
    assert api.post(where, json=[]).status_code == 422
    assert api.post(where, json=[{}] * 251).status_code == 422
    assert api.post(where, json=[{}], headers={"idempotency-key": "a b"}).status_code == 400
    assert api.get(BASE, headers={"host": "elsewhere.example"}).status_code == 421


def test_the_limit_and_what_is_left_of_it_stand_in_each_answer(server: Server) -> None:
    with calling(server, new_key(server)) as caller:
        first, second = caller.get(BASE), caller.get(f"{BASE}/customers/nobody")
    assert first.headers["ratelimit-policy"] == '"api_key";q=600;w=60'
    assert first.headers["ratelimit"].startswith('"api_key";r=599;t=')
    assert second.headers["ratelimit"].startswith('"api_key";r=598;t=')


def test_who_guesses_keys_is_slowed_down_but_good_keys_beside_them_are_not(server: Server) -> None:
    network = server.headers()["x-forwarded-for"]
    with httpx.Client(base_url=server.url, headers={"x-forwarded-for": network}) as guesser:
        # A window may end under way: two limits' worth of guesses are enough in any case.
        answers = [guesser.get(BASE, headers={"api-key": f"pasito_x_{n}"}) for n in range(122)]
        last = next(answer for answer in answers if answer.status_code == 429)
        assert int(last.headers["retry-after"]) >= 1
        assert last.json()["type"].endswith("#problem-too-many")
        assert guesser.get(BASE, headers={"api-key": new_key(server)}).status_code == 200


def test_the_same_key_and_body_are_answered_the_same_and_done_once(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("once@example.org", 10)
    change = [{"email": "once@example.org", "amount": 5, "reason": "Coffee"}]
    answers = [
        api.post(f"{BASE}/balance/increase", json=change, headers={"idempotency-key": key})
        for key in ("once-1", '"once-1"', "once-1")
    ]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    entries = rows_of(server.environment["DATABASE_URL"], "ledger_entry", customer_id=who)
    assert len(entries) == 2
    other = [{"email": "once@example.org", "amount": 6, "reason": "Coffee"}]
    reused = api.post(f"{BASE}/balance/increase", json=other, headers={"idempotency-key": "once-1"})
    assert (reused.status_code, reused.json()["type"].split("#")[1]) == (409, "problem-key-reused")
    # The route belongs to the key: the same one elsewhere is another.
    less = api.post(f"{BASE}/balance/decrease", json=change, headers={"idempotency-key": "once-1"})
    assert less.status_code == 200
    assert api.get(f"{BASE}/customers/{who}").json()["loyaltyData"]["balance"] == 10


def test_many_at_once_with_one_key_are_one(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("many@example.org", 0)
    change = {"email": "many@example.org", "amount": 1, "reason": "Coffee"}
    start = threading.Barrier(12)

    def ask(_: int) -> httpx.Response:
        start.wait()
        return api.post(f"{BASE}/balance/increase", json=change, headers={"idempotency-key": "many-1"})

    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(ask, range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert api.get(f"{BASE}/customers/{who}").json()["loyaltyData"]["balance"] == 1


def test_what_failed_is_heard_anew(api: httpx.Client, customer: Callable[..., str]) -> None:
    customer("anew@example.org", 1)
    spend = {"email": "anew@example.org", "amount": 3, "reason": "Cake"}
    key = {"idempotency-key": "anew-1"}
    assert api.post(f"{BASE}/balance/decrease", json=spend, headers=key).status_code == 409
    api.post(f"{BASE}/balance/increase", json=spend)
    assert api.post(f"{BASE}/balance/decrease", json=spend, headers=key).status_code == 200


def test_an_answer_about_somebody_who_was_erased_is_gone_and_nothing_is_done_again(
    server: Server, api: httpx.Client
) -> None:
    people = [{"email": "gone-answer@example.org", "feature": "users", "payload": {"firstName": "Vanessa"}}]
    key = {"idempotency-key": "gone-1"}
    made = api.post(f"{BASE}/integrations/api", json=people, headers=key).json()["results"][0]["customerId"]
    change = {"firstName": "Vanessa-Unforgettable"}
    api.patch(f"{BASE}/customers/{made}", json=change, headers={"idempotency-key": "gone-2"})
    assert api.delete(f"{BASE}/customers/{made}").json()["status"] == "erased"
    assert api.post(f"{BASE}/integrations/api", json=people, headers=key).status_code == 410
    kept = rows_of(server.environment["DATABASE_URL"], "idempotency")
    assert "Unforgettable" not in repr(kept)
    assert api.get(f"{BASE}/customers/gone-answer@example.org").status_code == 404


def test_answers_are_kept_for_a_week(server: Server, api: httpx.Client) -> None:
    url = server.environment["DATABASE_URL"]
    api.post(f"{BASE}/locations", json={"slug": "week", "name": "W"}, headers={"idempotency-key": "week-1"})
    assert in_database(url, purge_answers) == 0

    def age(conn: Connection) -> int:
        conn.execute(
            idempotency.update()
            .where(idempotency.c.key == "week-1")
            .values(created_at=utc_now() - timedelta(days=7, minutes=1))
        )
        return purge_answers(conn)

    assert in_database(url, age) == 1
