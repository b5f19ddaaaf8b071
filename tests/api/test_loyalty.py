"""Points over the API: given, taken, set and explained; the coffee story; messages and what became of them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.api.conftest import BASE, calling, new_key, program_id_of
from tests.conftest import SECRET
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.sealing import Sealer
from web.loyalty.installation import mark_installed
from web.loyalty.program import create_program
from web.loyalty.program_settings import PointsRules, ProgramSettings
from web.loyalty.wallet_pass import issue_pass, wallet_pass


def balance_of(api: httpx.Client, name: str) -> float:
    found: float = api.get(f"/v1/loyalty/{name}").json()["meta"]["loyalty"]["balance"]
    return found


def test_one_change_or_many_each_with_its_result(api: httpx.Client, customer: Callable[..., str]) -> None:
    who = customer("change@example.org", 10, externalCustomerId="change-1")
    one = api.post(
        f"{BASE}/balance/increase", json={"email": "change@example.org", "amount": 5, "reason": "Coffee"}
    )
    assert one.status_code == 200
    result = one.json()["results"][0]["result"]
    assert (result["customerId"], result["amount"], result["balance"]) == (who, 5, 15)
    many = api.post(
        f"{BASE}/balance/decrease",
        json=[
            {"customerId": "change-1", "amount": 4, "reason": "Cake"},
            {"email": "change@example.org", "amount": 100, "reason": "Too much"},
            {"email": "change@example.org", "amount": 0, "reason": "Nothing"},
            {"email": "nobody@example.org", "amount": 1, "reason": "Nobody"},
            {"amount": 1, "reason": "Nobody named"},
            {"email": "change@example.org", "amount": 1.5, "reason": "Half"},
        ],
    )
    assert many.status_code == 200
    results = many.json()["results"]
    assert [each.get("error", {}).get("type") for each in results] == [
        None, "not-enough", "invalid", "not-found", "invalid", "invalid",
    ]  # fmt: skip
    assert [each["error"]["pointer"] for each in results[1:]] == [
        "/1", "/2/amount", "/3", "/4/email", "/5/amount",
    ]  # fmt: skip
    assert balance_of(api, "change-1") == 11


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"amount": -1}, 422),
        ({"amount": 0}, 422),
        ({"amount": "5"}, 422),
        ({"amount": 1e300}, 422),
        ({"amount": 1, "reason": ""}, 422),
        ({"amount": 10**9}, 409),
        ({"amount": 1, "email": "nobody@example.org"}, 404),
        ({"amount": 1, "surprise": 1}, 422),
    ],
)
def test_a_change_that_cannot_be_is_answered_by_its_own_problem(
    api: httpx.Client, customer: Callable[..., str], change: dict[str, Any], status: int
) -> None:
    customer("single@example.org", 10)
    body = {"email": "single@example.org", "reason": "Test"} | change
    assert api.post(f"{BASE}/balance/decrease", json=body).status_code == status
    assert balance_of(api, "single@example.org") == 10


def test_an_items_own_key_makes_it_happen_once_whichever_request_it_comes_in(
    api: httpx.Client, customer: Callable[..., str]
) -> None:
    customer("item-key@example.org", 0)
    item = {"email": "item-key@example.org", "amount": 3, "reason": "Order 7", "idempotencyKey": "order-7"}
    first = api.post(f"{BASE}/balance/increase", json=item).json()["results"][0]["result"]
    other = {"email": "item-key@example.org", "amount": 1, "reason": "Order 8"}
    second = api.post(f"{BASE}/balance/increase", json=[other, item]).json()["results"]
    assert second[1]["result"]["transactionId"] == first["transactionId"]
    assert balance_of(api, "item-key@example.org") == 4
    changed = api.post(f"{BASE}/balance/increase", json=item | {"amount": 9})
    assert (changed.status_code, changed.json()["type"].split("#")[1]) == (409, "problem-key-reused")


def test_of_many_who_spend_at_once_only_so_many_are_served_as_there_are_points(
    api: httpx.Client, customer: Callable[..., str]
) -> None:
    customer("race@example.org", 3)
    start = threading.Barrier(10)

    def spend(_: int) -> int:
        start.wait()
        body = {"email": "race@example.org", "amount": 1, "reason": "Coffee"}
        return api.post(f"{BASE}/balance/decrease", json=body).status_code

    with ThreadPoolExecutor(10) as crowd:
        statuses = sorted(crowd.map(spend, range(10)))
    assert statuses == [200] * 3 + [409] * 7
    assert balance_of(api, "race@example.org") == 0


def test_an_adjustment_names_who_did_it_and_why(api: httpx.Client, customer: Callable[..., str]) -> None:
    who = customer("adjust@example.org", 10)
    made = api.post(
        f"{BASE}/customers/{who}/adjustments",
        json={"amount": -4, "reason": "Counted twice", "actor": "Maria"},
    )
    assert (made.status_code, made.json()["balance"]) == (201, 6)
    latest = api.get(f"{BASE}/customers/{who}/transactions?limit=1").json()["items"][0]
    assert (latest["kind"], latest["amount"], latest["reason"]) == ("adjust", -4, "Counted twice")
    assert latest["actor"].startswith("api:")
    assert latest["actor"].endswith(" Maria")
    assert (
        api.post(f"{BASE}/customers/{who}/adjustments", json={"amount": 0, "reason": "x"}).status_code == 422
    )


def test_transactions_come_page_by_page_newest_first(api: httpx.Client, customer: Callable[..., str]) -> None:
    who = customer("history@example.org", 0)
    changes = [{"customerId": who, "amount": n, "reason": f"Order {n}"} for n in range(1, 8)]
    api.post(f"{BASE}/balance/increase", json=changes)
    numbers: list[int] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = api.get(f"{BASE}/customers/{who}/transactions", params=query).json()
        numbers += [each["number"] for each in page["items"]]
        if not (cursor := page["nextCursor"]):
            break
        query["cursor"] = cursor
    assert numbers == [7, 6, 5, 4, 3, 2, 1]


def test_a_pass_is_read_and_changed_by_its_own_id_or_its_owners(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("pass@example.org", 5, externalCustomerId="pass-owner", firstName="Ana")
    bare = api.get("/v1/loyalty/pass-owner").json()["data"]
    assert (bare["id"], bare["attributes"]["deviceType"]) == (who, None)
    program_id, url = program_id_of(server), server.environment["DATABASE_URL"]
    in_database(url, lambda conn: issue_pass(conn, program_id, who, "apple"))
    pass_id = rows_of(url, "wallet_pass", customer_id=who)[0]["id"]
    answers = [
        api.get(f"{prefix}/loyalty/{name}").json()
        for prefix in ("/v1", "/api/v1")
        for name in (pass_id, "pass-owner")
    ]
    assert all(answer == answers[0] for answer in answers)
    data = answers[0]["data"]
    assert (data["id"], data["type"]) == (pass_id, "pass")
    assert (data["attributes"]["status"], data["attributes"]["extId"]) == ("issued", "pass-owner")
    assert data["attributes"]["barcode"]["value"]
    changed = api.patch(f"/api/v1/loyalty/{pass_id}", json={"balance": -2})
    assert changed.json()["meta"] == {"loyalty": {"balance": 3}}
    assert api.get("/v1/loyalty/nobody").status_code == 404
    for body in (
        {"balance": 1, "overrideBalance": 2},
        {},
        {"balance": 3.7},
        {"overrideBalance": -1},
        {"blance": 1},
    ):
        assert api.patch("/v1/loyalty/pass-owner", json=body).status_code == 422
    assert api.patch("/v1/loyalty/pass-owner", json={"balance": -100}).status_code == 409
    assert (
        api.patch("/v1/loyalty/pass-owner", json={"balance": 2.0}).json()["meta"]["loyalty"]["balance"] == 5
    )
    cut = api.patch("/v1/loyalty/pass-owner?coerce=1", json={"balance": 3.7})
    assert cut.json()["meta"]["loyalty"]["balance"] == 8


def test_what_became_of_a_message_is_told_truly(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("push@example.org", 0, externalCustomerId="push-1")
    program_id, url = program_id_of(server), server.environment["DATABASE_URL"]
    in_database(url, lambda conn: issue_pass(conn, program_id, who, "apple"))
    bare = {"customer_id": "push-1", "message": "Your reward is ready!", "url": "https://example.com/rewards"}
    for path in ("/v1/push", f"{BASE}/push"):
        nowhere = api.post(path, json=bare)
        assert nowhere.status_code == 201
        assert nowhere.json()["status"] == "notDelivered"
        assert nowhere.json()["reason"] == "Pass has not been added to the wallet"
    told = api.patch("/v1/loyalty/push-1", json={"balance": 1, "message": "Thank you"}).json()["meta"]
    assert told["notifications"]["status"] == "notDelivered"
    assert not rows_of(url, "delivery", kind="push")
    [held] = rows_of(url, "wallet_pass", customer_id=who)
    in_database(url, lambda conn: mark_installed(conn, program_id, held["id"]))
    assert "not agreed" in api.post("/v1/push", json=bare).json()["reason"], "the programme asks first"
    wanted = bare | {"kind": "reward"}
    key = {"idempotency-key": "push-once"}
    answers = [api.post("/v1/push", json=wanted, headers=key) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].json()["status"] == "queued"
    told = api.patch("/v1/loyalty/push-1", json={"balance": 1, "message": "Thank you"}).json()["meta"]
    assert told["notifications"] == {"status": "queued", "message": ""}
    for address in (
        "javascript:alert(1)",
        "https://a.example/\r\nset-cookie: a=b",
        "https://a.example/\n",
        "https:///x",
    ):
        assert api.post("/v1/push", json=bare | {"url": address}).status_code == 422
    assert api.post("/v1/push", json=bare | {"customer_id": "nobody"}).status_code == 404
    texts = [row["text"] for row in rows_of(url, "push_message", customer_id=who)]
    assert texts.count("Your reward is ready!") == 4


def test_a_flow_that_sends_again_sends_one_message_and_can_ask_what_became_of_it(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    """As Klaviyo's flows call: Bearer, no Idempotency-Key, and again where the answer was lost."""
    who = customer("flow@example.org", 0, externalCustomerId="01HXKLAVIYOPERSON")
    program_id, url = program_id_of(server), server.environment["DATABASE_URL"]
    in_database(url, lambda conn: issue_pass(conn, program_id, who, "apple"))
    [held] = rows_of(url, "wallet_pass", customer_id=who)
    in_database(url, lambda conn: mark_installed(conn, program_id, held["id"]))
    flow = {"authorization": f"Bearer {api.headers['api-key']}"}
    wanted = {
        "customer_id": "01HXKLAVIYOPERSON",
        "message": "Your reward is ready!",
        "url": "https://example.com/rewards",
        "kind": "reward",
    }
    with httpx.Client(base_url=server.url, headers=flow, timeout=20) as klaviyo:
        answers = [klaviyo.post("/v1/push", json=wanted).json() for _ in range(3)]
        assert len({answer["id"] for answer in answers}) == 1
        message_id = answers[0]["id"]
        in_database(
            url,
            lambda conn: conn.execute(
                update(wallet_pass).where(wallet_pass.c.id == held["id"]).values(fetched_version=2**40)
            ),
        )
        shown = klaviyo.get(f"/v1/push/{message_id}").json()
    assert (shown["status"], shown["customerId"]) == ("shown", who)
    assert shown["passes"] == [
        {"passId": held["id"], "platform": "apple", "status": "shown", "notified": True}
    ]
    assert api.get(f"{BASE}/push/{message_id}").json() == shown
    assert api.get(f"{BASE}/push/{held['id']}").status_code == 404
    assert api.get(f"{BASE}/push/nonsense").status_code == 404


def test_the_coffee_story(api: httpx.Client, customer: Callable[..., str]) -> None:
    """Every 10 spent earns a point, five points are worth 5 off: the seed of PassEntry, step by step."""
    customer("coffee@example.org", 0, externalCustomerId="coffee-1")
    thanks = "Thank you for your order. You've earned 2 points!"
    steps: list[tuple[dict[str, Any], float]] = [
        ({"balance": 2, "message": thanks}, 2),
        ({"balance": 2, "message": thanks}, 4),
        ({"balance": 1, "message": "Congratulations! You've got £5 off on your next order!"}, 5),
        ({"balance": -5, "message": "You've used your £5 off discount!"}, 0),
        ({"overrideBalance": 0}, 0),
    ]
    for body, balance in steps:
        answer = api.patch("/v1/loyalty/coffee-1", json=body)
        assert answer.status_code == 200
        assert answer.json()["meta"]["loyalty"]["balance"] == balance
    reasons = [each["reason"] for each in api.get(f"{BASE}/customers/coffee-1/transactions").json()["items"]]
    assert reasons == [body["message"] for body, _ in reversed(steps[:4])]


def test_a_programme_of_hundredths_whose_points_another_system_keeps(server: Server) -> None:
    """Decimals are exact, and in mirror mode the other system's word is what is booked (feature A61)."""
    settings = ProgramSettings(name="Mirror", scale=2, points=PointsRules(mirror=True))
    in_database(
        server.environment["DATABASE_URL"],
        lambda conn: create_program(conn, "mirror", settings, Sealer((SECRET,))),
    )
    people = [{"email": "a@example.org", "feature": "users", "payload": {"externalCustomerId": "m1"}}]
    with calling(server, new_key(server, slug="mirror")) as api:
        api.post("/v1/programs/mirror/integrations/api", json=people)
        expected = [(100000.34, 100000.34), (-0.04, 100000.3), (10.95, 100011.25)]
        for change, balance in expected:
            answer = api.patch("/v1/loyalty/m1", json={"balance": change}).json()
            assert answer["meta"]["loyalty"]["balance"] == balance
        assert api.patch("/v1/loyalty/m1", json={"balance": 1.005}).status_code == 422
        item = {"customerId": "m1", "amount": 1.5, "reason": "Till", "idempotencyKey": "till-1"}
        for _ in range(2):
            assert api.post("/v1/programs/mirror/balance/increase", json=item).status_code == 200
        assert balance_of(api, "m1") == 100012.75
        assert (
            api.patch("/v1/loyalty/m1", json={"overrideBalance": 0}).json()["meta"]["loyalty"]["balance"] == 0
        )
        by_hand = {"amount": 1, "reason": "By hand"}
        assert api.post("/v1/programs/mirror/customers/m1/adjustments", json=by_hand).status_code == 409
