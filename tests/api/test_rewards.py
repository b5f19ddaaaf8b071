"""Rewards and coupons over the API: written by a merchant, redeemed by a shop and a till, used once."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import BASE, calling, new_key, program_id_of
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.loyalty.wallet_pass import issue_pass

Make = Callable[..., str]
# Rows that were never made.
NOBODY = "0199a1b2-4d5e-7f60-9a7b-8c9d0e1f2a3b"


def made(answer: httpx.Response, status: int = 201) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int = 409) -> str:
    """The name of the rule that stands against it, else of the kind of problem."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    codes = [fault["code"] for fault in body.get("errors", ()) if "code" in fault]
    return str(codes[0] if codes else re.sub(".*#problem-", "", body["type"]))


def a_reward(api: httpx.Client, **fields: Any) -> str:
    return str(
        made(api.post(f"{BASE}/rewards", json={"title": {"en": "Coffee"}, "cost": 100, **fields}))["id"]
    )


def csv(api: httpx.Client, path: str, text: str) -> httpx.Response:
    return api.post(f"{BASE}/{path}/codes", content=text.encode(), headers={"content-type": "text/csv"})


@pytest.fixture
def who(customer: Make) -> str:
    """A new customer with a proven address and 500 points."""
    return customer(f"{uuid4().hex}@example.org", 500, name="Zoë", emailVerified=True)


def test_a_merchant_writes_changes_and_retires_a_reward(api: httpx.Client, who: str) -> None:
    given = {
        "title": {"en": "Bag of beans", "es": "Bolsa de café"},
        "cost": 120,
        "kind": "fixed",
        "value": 500,
        "stock": 3,
        "limitCount": 2,
        "limitPeriod": "month",
        "redeemableTo": 5000,
        "endsAt": "2099-01-01T00:00:00+01:00",
        "channel": "online",
    }
    reward = made(api.post(f"{BASE}/rewards", json=given))
    assert reward["endsAt"] == "2098-12-31T23:00:00Z"
    assert {name: reward[name] for name in given if name != "endsAt"} == {
        name: value for name, value in given.items() if name != "endsAt"
    }
    its = f"{BASE}/rewards/{reward['id']}"
    changed = made(api.patch(its, json={"cost": 150, "stock": None, "endsAt": None}), 200)
    assert (changed["cost"], changed["stock"], changed["endsAt"], changed["value"]) == (150, None, None, 500)
    assert made(api.get(its), 200) == changed
    assert changed in made(api.get(f"{BASE}/rewards"), 200)["items"]
    assert made(api.delete(its), 200)["active"] is False
    redeem = api.post(f"{its}/redeem", json={"customerEmail": who})
    assert refused(redeem) == "reward_gone"
    for path in (f"{BASE}/rewards/{NOBODY}", f"{BASE}/rewards/none", f"{BASE}/rewards/{NOBODY.upper()}"):
        assert api.get(path).status_code == api.delete(path).status_code == 404
        assert api.patch(path, json={}).status_code == 404


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"title": {"en": " "}}, "/title"),
        ({"title": {"xx": "Coffee"}}, "/title"),
        ({"title": {}}, "/title"),
        ({"cost": -1}, "/cost"),
        ({"cost": 1.5}, "/cost"),
        ({"kind": "percent", "value": 101}, "/value"),
        ({"kind": "fixed"}, "/value"),
        ({"stock": -1}, "/stock"),
        ({"stock": 10**12}, "/stock"),
        ({"limitCount": 0}, "/limitCount"),
        ({"redeemableFrom": 5, "redeemableTo": 4}, "/redeemableTo"),
        ({"startsAt": "2026-01-01T00:00:00"}, "/startsAt"),
        ({"endsAt": "9999-12-31T23:59:59-14:00"}, "/endsAt"),
        ({"codeMinutes": 0}, "/codeMinutes"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_what_does_not_fit_is_pointed_at(api: httpx.Client, fields: dict[str, Any], pointer: str) -> None:
    answer = api.post(f"{BASE}/rewards", json={"title": {"en": "Coffee"}, "cost": 100, **fields})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_shop_redeems_once_for_each_key_and_the_till_uses_the_code_once(
    api: httpx.Client, who: str, server: Server
) -> None:
    reward = a_reward(api, kind="percent", value=10, stock=5)
    path, body, key = f"{BASE}/customers/{who}/redemptions", {"rewardId": reward}, {"idempotency-key": who}
    first = api.post(path, json=body, headers=key)
    issued = made(first)
    assert (issued["state"], issued["cost"], issued["discountType"], issued["value"]) == (
        "issued",
        100,
        "percent",
        10,
    )
    again = api.post(path, json=body, headers=key)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    code = issued["code"]
    found = made(api.get(f"{BASE}/codes/{code.lower()}"), 200)
    assert (found["type"], found["isGood"], found["customerId"]) == ("reward", True, who)
    use = {"orderId": "1001", "location": "malasana", "staff": "Ana", "device": "till 2"}
    used = made(api.post(f"{BASE}/codes/{code}/use", json=use), 200)
    assert (used["isGood"], used["redemption"]["state"], used["redemption"]["orderId"]) == (
        False,
        "used",
        "1001",
    )
    assert made(api.post(f"{BASE}/codes/{code}/use", json=use), 200) == used, "the same order asks again"
    assert refused(api.post(f"{BASE}/codes/{code}/use", json={"orderId": "1002"})) == "code_not_good"
    assert api.get(f"{BASE}/codes/NOT-THERE").status_code == 404
    assert api.post(f"{BASE}/codes/NOT-THERE/use", json={}).status_code == 404
    one = f"{BASE}/redemptions/{issued['id']}"
    assert api.post(f"{one}/use", json={"location": "atlantis"}).status_code == 422
    back = made(api.post(f"{one}/cancel", json={"reason": "Order 1001 was returned"}), 200)
    assert (back["state"], back) == ("returned", made(api.post(f"{one}/cancel", json={}), 200))
    assert made(api.get(one), 200) == back
    [entry] = rows_of(server.environment["DATABASE_URL"], "ledger_entry", customer_id=who, kind="give_back")
    assert (entry["reason"], entry["available_after"]) == ("Order 1001 was returned", 500)
    assert made(api.get(f"{BASE}/rewards/{reward}"), 200)["stock"] == 5


def test_in_two_steps_a_checkout_holds_and_then_issues_or_lets_go(api: httpx.Client, who: str) -> None:
    reward = a_reward(api)
    held = made(api.post(f"{BASE}/rewards/{reward}/redeem", json={"customerEmail": who, "hold": True}))
    assert (held["state"], held["code"]) == ("reserved", None)
    one = f"{BASE}/redemptions/{held['id']}"
    assert refused(api.post(f"{one}/use", json={})) == "code_not_good"
    issued = made(api.post(f"{one}/issue"), 200)
    assert (issued["state"], len(issued["code"])) == ("issued", 9)
    assert made(api.post(f"{one}/issue"), 200) == issued
    other = made(api.post(f"{BASE}/rewards/{reward}/redeem", json={"customerEmail": who, "hold": True}))
    let_go = made(api.post(f"{BASE}/redemptions/{other['id']}/cancel", json={}), 200)
    assert refused(api.post(f"{BASE}/redemptions/{other['id']}/issue")) == "code_not_good"
    mine = f"{BASE}/customers/{who}/redemptions"
    assert made(api.get(mine), 200)["items"] == [let_go, issued]
    assert made(api.get(mine, params={"state": "issued"}), 200)["items"] == [issued]
    page = made(api.get(mine, params={"limit": 1}), 200)
    rest = made(api.get(mine, params={"limit": 1, "cursor": page["nextCursor"]}), 200)
    assert (page["items"], rest["items"], rest["nextCursor"]) == ([let_go], [issued], None)
    balance = made(api.get(f"{BASE}/customers/{who}"), 200)["loyaltyData"]["balance"]
    assert balance == 400


def test_whatever_stands_in_the_way_has_a_name(api: httpx.Client, who: str, customer: Make) -> None:
    stranger = customer(f"{uuid4().hex}@example.org", 500)
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("out_of_stock", {"stock": 0}, who),
        ("not-enough", {"cost": 501}, who),
        ("out_of_range", {"redeemableTo": 499}, who),
        ("tier_too_low", {"tierLevel": 50}, who),
        ("not_yet", {"startsAt": "2098-01-01T00:00:00Z"}, who),
        ("wrong_channel", {"channel": "in_store"}, who),
        ("no_codes_left", {"codeSource": "pool"}, who),
        ("not_verified", {}, stranger),
    ]
    for name, fields, whom in cases:
        answer = api.post(f"{BASE}/customers/{whom}/redemptions", json={"rewardId": a_reward(api, **fields)})
        assert refused(answer) == name
        assert answer.headers["content-type"] == "application/problem+json"
    once = a_reward(api, limitCount=1)
    for status in (201, 409):
        last = api.post(f"{BASE}/customers/{who}/redemptions", json={"rewardId": once})
        assert last.status_code == status
    assert refused(last) == "limit_reached"
    for path in (
        f"{BASE}/customers/nobody@example.org/redemptions",
        f"{BASE}/customers/{NOBODY}/redemptions",
    ):
        assert api.post(path, json={"rewardId": once}).status_code == 404
    assert api.post(f"{BASE}/customers/{who}/redemptions", json={"rewardId": NOBODY}).status_code == 404
    assert api.post(f"{BASE}/rewards/{once}/redeem", json={}).status_code == 422
    offers = {
        each["reward"]["id"]: each for each in made(api.get(f"{BASE}/customers/{who}/rewards"), 200)["items"]
    }
    assert (offers[once]["state"], offers[once]["leftForYou"]) == ("used_up", 0)
    assert next(each["state"] for each in offers.values()) == "ready"


def test_a_customer_redeems_and_looks_with_their_own_token_for_themselves_alone(
    api: httpx.Client, who: str, customer: Make, server: Server
) -> None:
    email, other = f"{uuid4().hex}@example.org", who
    me = customer(email, 300, emailVerified=True)
    reward = a_reward(api)
    program_id = program_id_of(server)
    in_database(server.environment["DATABASE_URL"], lambda conn: issue_pass(conn, program_id, me, "apple"))
    token = made(api.get(f"{BASE}/customers/token", params={"email": email, "token_type": "auth"}), 200)
    bearer = {"authorization": f"Bearer {token['accessToken']}"}
    with httpx.Client(base_url=server.url, headers={**bearer, "x-forwarded-for": "198.51.100.77"}) as mine:
        issued = made(mine.post(f"{BASE}/rewards/{reward}/redeem", json={}))
        assert issued["customerId"] == me
        assert made(mine.get(f"{BASE}/customers/{me}/redemptions"), 200)["items"] == [issued]
        assert made(mine.get(f"{BASE}/redemptions/{issued['id']}"), 200) == issued
        assert mine.get(f"{BASE}/customers/{me}/rewards").status_code == 200
        assert mine.get(f"{BASE}/customers/{me}/coupons").status_code == 200
        for path in ("redemptions", "rewards", "coupons"):
            assert mine.get(f"{BASE}/customers/{other}/{path}").status_code == 404
        forbidden = [
            mine.post(f"{BASE}/rewards/{reward}/redeem", json={"customerEmail": other}),
            mine.post(f"{BASE}/redemptions/{issued['id']}/cancel", json={}),
            mine.post(f"{BASE}/codes/{issued['code']}/use", json={}),
            mine.get(f"{BASE}/codes/{issued['code']}"),
        ]
        assert [each.status_code for each in forbidden] == [404, 403, 403, 403]
    theirs = made(api.post(f"{BASE}/customers/{other}/redemptions", json={"rewardId": reward}))
    with httpx.Client(base_url=server.url, headers={**bearer, "x-forwarded-for": "198.51.100.77"}) as mine:
        assert mine.get(f"{BASE}/redemptions/{theirs['id']}").status_code == 404
    with calling(server, new_key(server, "read")) as reader:
        assert reader.post(f"{BASE}/customers/{me}/redemptions", json={"rewardId": reward}).status_code == 403


def test_coupons_from_a_file_to_the_till(api: httpx.Client, who: str, customer: Make) -> None:
    name = f"treat-{uuid4().hex[:8]}"
    given = {
        "name": {"en": "Treat"},
        "slug": name,
        "codeSource": "pool",
        "kind": "free_product",
        "goodDays": 9,
    }
    coupon = made(api.post(f"{BASE}/coupons", json=given))
    its = f"{BASE}/coupons/{name}"
    assert refused(api.post(f"{its}/assign", json={"customerEmail": who})) == "no_codes_left"
    one, two = f"{name}-1", f"{name}-2"
    loaded = made(
        csv(api, f"coupons/{name}", f"Code,Note\r\n{one},x\r\n\r\n{one}\r\nnot good\r\n{two}\r\n"), 200
    )
    assert loaded == {
        "added": 2,
        "leftOut": 2,
        "codesLeft": 2,
        "problems": [{"line": 4, "why": "repeated"}, {"line": 5, "why": "not_a_code"}],
    }
    assert made(csv(api, f"coupons/{name}", one), 200)["problems"] == [{"line": 1, "why": "known"}]
    assert api.post(f"{its}/codes", json=["A"]).status_code == 415
    bad = api.post(f"{its}/codes", content=b"\xff\xfe", headers={"content-type": "text/csv"})
    assert bad.status_code == 400
    assert made(csv(api, f"coupons/{name}", ""), 200)["added"] == 0
    assert csv(api, f"rewards/{a_reward(api)}", "AAA").status_code == 409
    key = {"idempotency-key": name}
    held = made(api.post(f"{its}/assign", json={"customerEmail": who}, headers=key))
    assert (held["code"], held["state"], held["couponId"]) == (one, "assigned", coupon["id"])
    assert made(api.post(f"{its}/assign", json={"customerEmail": who}, headers=key)) == held
    assert refused(api.post(f"{BASE}/customers/{who}/coupons", json={"coupon": name})) == "has_it_already"
    other = customer(f"{uuid4().hex}@example.org")
    theirs = made(api.post(f"{BASE}/customers/{other}/coupons", json={"coupon": coupon["id"]}))
    assert theirs["code"] == two
    mine = f"{BASE}/customers/{who}/coupons"
    assert made(api.get(mine), 200)["items"] == [held]
    found = made(api.get(f"{BASE}/codes/{one}"), 200)
    assert (found["type"], found["isGood"], found["coupon"]) == ("coupon", True, held)
    used = made(api.post(f"{BASE}/codes/{one}/use", json={"orderId": "7", "location": "lavapies"}), 200)
    assert (used["coupon"]["state"], used["isGood"]) == ("used", False)
    assert refused(api.post(f"{BASE}/codes/{one}/use", json={"orderId": "8"})) == "coupon_not_good"
    assert made(api.get(mine, params={"state": "used"}), 200)["items"] == [used["coupon"]]
    assert made(api.get(mine), 200)["items"] == []
    revoke = f"{BASE}/assignments/{theirs['id']}/revoke"
    assert made(api.post(revoke), 200)["state"] == "revoked"
    assert refused(api.post(f"{BASE}/codes/{two}/use", json={})) == "coupon_not_good"
    assert made(api.patch(its, json={"mostEach": 2, "lowStock": 5}), 200)["mostEach"] == 2
    assert made(api.get(its), 200)["codesLeft"] == 0
    assert api.post(f"{BASE}/coupons", json=given).status_code == 422
    assert made(api.delete(its), 200)["active"] is False
    assert refused(api.post(f"{its}/assign", json={"customerEmail": other})) == "coupon_gone"
    for path in (f"{BASE}/coupons/none", f"{BASE}/coupons/{NOBODY}"):
        assert api.get(path).status_code == 404
    assert api.post(f"{BASE}/assignments/{NOBODY}/revoke").status_code == 404
    shared = {
        "name": {"en": "Hello"},
        "slug": f"hello-{name}",
        "codeSource": "shared",
        "sharedCode": f"HI-{name}",
    }
    made(api.post(f"{BASE}/coupons", json=shared))
    made(api.post(f"{BASE}/coupons/hello-{name}/assign", json={"customerEmail": who}))
    assert api.get(f"{BASE}/codes/HI-{name}").status_code == 404, "it says nothing of who holds it"
    done = made(api.post(f"{BASE}/codes/HI-{name}/use", json={"customer": who}), 200)
    assert done["coupon"]["state"] == "used"
