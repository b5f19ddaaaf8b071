"""Earning over the API: orders, custom flows, scans and check-ins, tiers and double-point days."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

from tests.api.conftest import BASE
from tests.support.rows import rows_of
from tests.support.serving import Server

Customer = Callable[..., str]
PAID = "2026-11-20T09:30:00Z"


def an_address() -> str:
    return f"zoe-{uuid4().hex[:10]}@example.org"


def balance(api: httpx.Client, customer_id: str) -> Any:
    return api.get(f"{BASE}/customers/{customer_id}").json()["loyaltyData"]["balance"]


def add_flow(api: httpx.Client, **flow: Any) -> dict[str, Any]:
    answer = api.post(f"{BASE}/earning-flows", json={"title": {"en": "A way"}, "points": 5, **flow})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_an_order_earns_once_and_its_refunds_take_back_what_it_earned(
    api: httpx.Client, customer: Customer
) -> None:
    for flow in api.get(f"{BASE}/earning-flows").json()["items"]:
        if flow["type"] == "INCENTIVIZE_PURCHASES":
            api.delete(f"{BASE}/earning-flows/{flow['id']}")
    flow = add_flow(api, type="INCENTIVIZE_PURCHASES", points=1, perMoney=100, conditions={"minAmount": 500})
    zoe, order_id = customer(an_address()), f"o-{uuid4().hex[:8]}"
    lines = [
        {"id": "1", "amount": 1550},
        {"id": "2", "amount": 450},
        {"id": "3", "amount": 9900, "giftCard": True},
    ]
    order = {"id": order_id, "customerId": zoe, "paidAt": PAID, "lines": lines}
    done = api.post(f"{BASE}/orders", json=order)
    assert done.status_code == 201, done.text
    assert done.json()["points"] == 20, "gift cards earn nothing"
    assert api.post(f"{BASE}/orders", json=order).json()["transactionId"] == done.json()["transactionId"]
    assert api.post(f"{BASE}/orders", json={**order, "lines": lines[:1]}).status_code == 409
    assert balance(api, zoe) == 20

    small = {"id": f"{order_id}-2", "customerId": zoe, "paidAt": PAID, "amount": 499}
    [verdict] = api.post(f"{BASE}/orders", json=small).json()["flows"]
    assert verdict["flowId"] == flow["id"]
    assert [each["rule"] for each in verdict["checks"] if not each["passed"]] == ["minimum"]

    refund = {"id": "r-1", "lines": {"2": 450}}
    back = api.post(f"{BASE}/orders/{order_id}/refunds", json=refund)
    assert (back.status_code, api.post(f"{BASE}/orders/{order_id}/refunds", json=refund).json()) == (
        201,
        back.json(),
    )
    assert balance(api, zoe) == 20 - back.json()["points"]
    for _ in range(2):
        assert api.post(f"{BASE}/orders/{order_id}/cancel").status_code == 200
        assert balance(api, zoe) == 0
    assert api.post(f"{BASE}/orders/nothing/cancel").status_code == 404
    assert (
        api.post(f"{BASE}/orders/{order_id}/refunds", json={"id": "r", "lines": {"9": 1}}).status_code == 422
    )
    for wrong in (
        {"amount": 1},
        {"lines": []},
        {"paidAt": "0001-01-01T00:00:00+14:00"},
        {"locationId": "moon"},
    ):
        assert api.post(f"{BASE}/orders", json={**order, "id": "wrong", **wrong}).status_code == 422, wrong


def test_a_custom_flow_is_executed_as_often_as_it_may_be(api: httpx.Client, customer: Customer) -> None:
    address = an_address()
    zoe = customer(address)
    flow = add_flow(api, type="CUSTOM_7", recurrence="month", times=2)
    execute = f"{BASE}/custom-earning-flows/CUSTOM_7/execute"
    first = api.post(execute, json={"customerEmail": address}, headers={"Idempotency-Key": f"k-{zoe}"})
    again = api.post(execute, json={"customerEmail": address}, headers={"Idempotency-Key": f"k-{zoe}"})
    assert first.content == again.content
    assert (first.json()["pointsAwarded"], first.json()["remainingExecutions"]) == (5, 1)
    assert first.json()["recurrence"] == "month"
    by_id = f"{BASE}/custom-earning-flows/{flow['id']}/execute"
    assert api.post(by_id, json={"customerId": zoe}).json()["remainingExecutions"] == 0
    over = api.post(execute, json={"customerEmail": address})
    assert over.status_code == 409
    assert "period" in over.json()["errors"][0]["detail"]
    assert balance(api, zoe) == 10
    assert api.post(execute, json={}).status_code == 422
    assert (
        api.post(f"{BASE}/custom-earning-flows/CUSTOM_9999/execute", json={"customerId": zoe}).status_code
        == 404
    )

    token = api.get(f"{BASE}/customers/token?email=ben@example.com&token_type=auth").json()["accessToken"]
    own = {"authorization": f"Bearer {token}"}
    assert httpx.post(f"{api.base_url}{execute}", json={}, headers=own).json()["pointsAwarded"] == 5
    theirs = httpx.post(f"{api.base_url}{execute}", json={"customerId": zoe}, headers=own)
    assert theirs.status_code == 404, "a customer acts for themselves alone"
    changed = {"type": "CUSTOM_7", "title": {"en": "Another"}, "points": 7, "recurrence": "unlimited"}
    assert api.put(f"{BASE}/earning-flows/{flow['id']}", json=changed).json()["points"] == 7
    assert api.post(by_id, json={"customerId": zoe}).json()["remainingExecutions"] is None
    assert (
        api.put(f"{BASE}/earning-flows/{flow['id']}", json={**changed, "perMoney": 100}).json()["errors"][0][
            "pointer"
        ]
        == "/perMoney"
    )
    assert api.delete(f"{BASE}/earning-flows/{flow['id']}").status_code == 200
    assert api.post(by_id, json={"customerId": zoe}).status_code == 404


def test_a_scan_tells_the_till_whose_card_it_is_and_counts_once_a_minute(
    server: Server, api: httpx.Client, customer: Customer
) -> None:
    zoe = customer(an_address(), 150, name="Zoë Novak", externalCustomerId=f"crm-{uuid4().hex[:8]}")
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", id=zoe)
    number = f"{row['card_number'][:4].lower()} {row['card_number'][4:]}"
    places = [each["slug"] for each in api.get(f"{BASE}/locations").json()["items"]]
    seen = api.post(f"{BASE}/scans", json={"cardNumber": number, "locationId": places[0]}).json()
    assert (seen["name"], seen["balance"], seen["repeated"]) == ("Zoë Novak", 150, False)
    assert seen["externalCustomerId"] == row["external_id"]
    assert "Free coffee" in str(seen["redeemables"])
    again = api.post(f"{BASE}/scans", json={"cardNumber": number, "locationId": places[0]}).json()
    assert again == {**seen, "repeated": True}
    api.post(f"{BASE}/scans", json={"cardNumber": number, "locationId": places[1]})
    told = rows_of(
        server.environment["DATABASE_URL"], "event", customer_id=zoe, name="Customer scanned on POS"
    )
    assert len(told) == 2
    assert api.post(f"{BASE}/scans", json={"cardNumber": "0000 0000 0000"}).status_code == 404
    assert api.post(f"{BASE}/scans", json={"cardNumber": number, "locationId": "moon"}).status_code == 422


def test_a_check_in_counts_as_a_visit_and_earns_by_its_flows(api: httpx.Client, customer: Customer) -> None:
    zoe = customer(an_address())
    place = api.get(f"{BASE}/locations").json()["items"][0]
    for flow in api.get(f"{BASE}/earning-flows").json()["items"]:
        if flow["type"] == "CHECK_IN":
            api.delete(f"{BASE}/earning-flows/{flow['id']}")
    flow = add_flow(api, type="CHECK_IN", points=3, recurrence="week")
    first, second = (
        api.post(f"{BASE}/check-ins", json={"customerId": zoe, "locationId": place["slug"]}).json()
        for _ in range(2)
    )
    assert (first["pointsAwarded"], first["firstVisit"], first["locationName"]) == (3, True, place["name"])
    assert (second["pointsAwarded"], second["firstVisit"]) == (0, False)
    assert [each["rule"] for each in second["flows"][0]["checks"] if not each["passed"]] == ["period"]
    assert api.post(f"{BASE}/check-ins", json={"locationId": place["slug"]}).status_code == 422
    api.delete(f"{BASE}/earning-flows/{flow['id']}")


def test_tiers_are_added_changed_granted_and_put_away(api: httpx.Client, customer: Customer) -> None:
    given = {"name": {"en": "Diamond"}, "requiredPoints": 77_777, "multiplier": 300}
    made = api.post(f"{BASE}/tiers", json=given)
    assert made.status_code == 201, made.text
    tier = made.json()
    assert api.post(f"{BASE}/tiers", json=given).json()["errors"][0]["pointer"] == "/requiredPoints"
    changed = api.put(f"{BASE}/tiers/{tier['id']}", json={**given, "multiplier": 200}).json()
    assert changed["multiplier"] == 200
    zoe = customer(an_address())
    assert api.put(f"{BASE}/customers/{zoe}/tier-grant", json={"tierId": str(uuid4())}).status_code == 422
    assert api.delete(f"{BASE}/tiers/{tier['id']}").status_code == 200
    [kept] = [each for each in api.get(f"{BASE}/tiers").json()["items"] if each["id"] == tier["id"]]
    assert kept["active"] is False
    assert api.put(f"{BASE}/tiers/{uuid4()}", json=given).status_code == 404
    lowest = api.get(f"{BASE}/tiers").json()["items"][1]["id"]
    assert api.put(f"{BASE}/customers/{zoe}/tier-grant", json={"tierId": lowest}).json()["tierId"] == lowest


def test_a_double_point_day_is_announced_and_called_off(api: httpx.Client) -> None:
    given = {
        "name": {"en": "Double"},
        "percent": 200,
        "starts": "2030-01-01T00:00:00",
        "ends": "2030-01-02T00:00:00",
    }
    made = api.post(f"{BASE}/multipliers", json=given)
    assert made.status_code == 201, made.text
    assert made.json()["starts"] == given["starts"]
    assert made.json() in api.get(f"{BASE}/multipliers").json()["items"]
    assert api.post(f"{BASE}/multipliers", json={**given, "ends": given["starts"]}).status_code == 422
    assert (
        api.post(f"{BASE}/multipliers", json={**given, "starts": "2030-01-01T00:00:00Z"}).status_code == 422
    )
    for status in (200, 404):
        assert api.delete(f"{BASE}/multipliers/{made.json()['id']}").status_code == status
