"""Referrals over the API: a code for sharing, who came by it, what waits and how it is judged."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

from tests.api.conftest import BASE, calling, new_key
from tests.support.rows import rows_of
from tests.support.serving import Server

Customer = Callable[..., str]


def an_address(name: str) -> str:
    return f"{name}-{uuid4().hex[:10]}@example.org"


def friend_of(
    api: httpx.Client, customer: Customer, advocate: str, **payload: Any
) -> tuple[str, dict[str, Any]]:
    """A new customer who comes with the advocate's code; their id, and the referral."""
    code = api.post(f"{BASE}/customers/{advocate}/referral-link").json()["code"]
    friend = customer(payload.pop("email", an_address("friend")), referralCode=code, **payload)
    found = api.get(f"{BASE}/referrals", params={"limit": 5}).json()["items"]
    return friend, next(each for each in found if each["friendId"] == friend)


def settled(api: httpx.Client, referral_id: str, state: str) -> dict[str, Any]:
    """The referral once the worker has followed what happened."""
    ends = time.monotonic() + 10
    while (found := api.get(f"{BASE}/referrals/{referral_id}").json())["state"] != state:
        assert time.monotonic() < ends, found
        time.sleep(0.05)
    return dict(found)


def test_from_a_shared_link_to_what_both_have(server: Server, api: httpx.Client, customer: Customer) -> None:
    advocate = customer(an_address("ana"), name="Ana López")
    assert api.get(f"{BASE}/customers/{advocate}").json()["loyaltyData"]["referralLink"] is None
    made = api.post(f"{BASE}/customers/{advocate}/referral-link").json()
    assert made["link"].endswith(f"/brewbar/r/{made['code']}")
    assert api.post(f"{BASE}/customers/{advocate}/referral-link").json() == made

    friend, referral = friend_of(api, customer, advocate, name="Ben Carter", emailVerified=True)
    created = rows_of(server.environment["DATABASE_URL"], "event", customer_id=friend)[0]
    assert created["properties"]["referralCode"] == made["code"]
    paid = settled(api, referral["id"], "rewarded")
    assert (paid["advocatePoints"], paid["friendPoints"], paid["signals"]) == (50, 50, [])

    theirs = api.get(f"{BASE}/customers/{advocate}").json()
    assert (theirs["referralEarned"], theirs["loyaltyData"]["balance"]) == (50, 50)
    assert theirs["loyaltyData"]["referralLink"] == made["link"]
    assert api.get(f"{BASE}/customers/{friend}").json()["referral"] == made["code"]
    friends = api.get(f"{BASE}/customers/{advocate}/referrals").json()
    assert (friends["joined"], friends["rewarded"], friends["points"]) == (1, 1, 50)
    assert friends["items"][0]["friendName"] == "Ben"
    assert "Carter" not in str(friends)


def test_what_waits_is_told_with_its_reasons_and_judged_once(api: httpx.Client, customer: Customer) -> None:
    name = f"ana{uuid4().hex[:6]}"
    advocate = customer(f"{name}x@example.org")
    waiting = []
    for number in (1, 2):
        _, referral = friend_of(
            api, customer, advocate, email=f"{name}x{number}@example.org", emailVerified=True
        )
        waiting.append(settled(api, referral["id"], "flagged"))
    assert [each["code"] for each in waiting[0]["signals"]] == ["similar_email"]
    assert waiting[0]["score"] >= 50
    queue = api.get(f"{BASE}/referrals", params={"state": "flagged"}).json()["items"]
    assert {each["id"] for each in queue} >= {each["id"] for each in waiting}

    good, bad = (f"{BASE}/referrals/{each['id']}" for each in waiting)
    assert api.post(f"{good}/approve").json()["state"] == "rewarded"
    assert api.post(f"{bad}/reject").json()["blockedBy"]["code"] == "rejected"
    for address in (good, bad):
        for verdict in ("approve", "reject"):
            assert api.post(f"{address}/{verdict}").status_code == 409
    assert api.get(f"{BASE}/customers/{advocate}").json()["loyaltyData"]["balance"] == 50
    assert api.post(f"{BASE}/referrals/{uuid4()}/approve").status_code == 404
    assert api.post(f"{BASE}/referrals/x/approve").status_code == 404


def test_a_code_counts_for_new_customers_alone_and_lists_come_in_pages(
    server: Server, api: httpx.Client, customer: Customer
) -> None:
    advocate = customer(an_address("ana"))
    known = an_address("known")
    customer(known)
    code = api.post(f"{BASE}/customers/{advocate}/referral-link").json()["code"]
    customer(known, referralCode=code)
    customer(an_address("stray"), referralCode="ZZZZZZZZ")
    assert api.get(f"{BASE}/customers/{advocate}/referrals").json()["joined"] == 0
    for _ in range(3):
        friend_of(api, customer, advocate)
    first = api.get(f"{BASE}/customers/{advocate}/referrals", params={"limit": 2}).json()
    rest = api.get(
        f"{BASE}/customers/{advocate}/referrals", params={"limit": 2, "cursor": first["nextCursor"]}
    ).json()
    assert (len(first["items"]), len(rest["items"]), rest["nextCursor"]) == (2, 1, None)
    assert api.get(f"{BASE}/referrals", params={"cursor": "eA"}).status_code == 422
    with calling(server, new_key(server, "read")) as reader:
        assert reader.post(f"{BASE}/customers/{advocate}/referral-link").status_code == 403


def test_a_programme_may_say_who_invites_and_ask_for_a_purchase_whose_return_takes_both_back(
    server: Server, api: httpx.Client, customer: Customer
) -> None:
    before = api.get(BASE).json()["settings"]["referral"]
    wanted = {"says_who": True, "last_link_counts": True, "action": "first_purchase", "min_amount": 500}
    assert api.patch(BASE, json={"referral": wanted}).status_code == 200
    try:
        ana, eva = (customer(an_address(name.lower()), name=f"{name} Novak") for name in ("Ana", "Eva"))
        with server.client() as browser:
            for advocate in (ana, eva):
                link = api.post(f"{BASE}/customers/{advocate}/referral-link").json()["link"]
                browser.get(link.removeprefix(server.url))
            door = browser.get("/brewbar").text
        assert "Eva invited you." in door, "here the last link counts"
        assert "Novak" not in door
        assert "your first purchase of €5.00 or more." in door

        friend, referral = friend_of(api, customer, ana)
        order = {"id": f"o-{friend}", "customerId": friend, "paidAt": "2026-11-20T09:30:00Z", "amount": 700}
        assert api.post(f"{BASE}/orders", json=order).status_code == 201
        found = api.get(f"{BASE}/referrals/{referral['id']}").json()
        assert (found["state"], found["orderRef"]) == ("rewarded", f"api:o-{friend}")
        assert api.post(f"{BASE}/orders/{order['id']}/cancel").status_code == 200
        assert api.get(f"{BASE}/referrals/{referral['id']}").json()["state"] == "reversed"
        for each in (ana, friend):
            assert api.get(f"{BASE}/customers/{each}").json()["loyaltyData"]["balance"] == 0
    finally:
        api.patch(BASE, json={"referral": {name: before[name] for name in wanted}})


def test_a_customer_reads_their_own_friends_and_link_and_nobody_else_s(
    server: Server, api: httpx.Client
) -> None:
    token = api.get(f"{BASE}/customers/token?email=ana@example.com&token_type=auth").json()["accessToken"]
    bearer = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=bearer) as ana:
        mine = ana.get("/v1/me/referrals").json()
        assert (mine["joined"], mine["rewarded"], mine["points"]) == (3, 2, 100)
        assert [each["friendName"] for each in mine["items"]] == ["Fay", "Chiara", "Ben"]
        assert ana.post("/v1/me/referral-link").json()["link"].startswith(f"{server.url}/brewbar/r/")
        assert ana.get(f"{BASE}/customers/ben@example.com/referrals").status_code == 404
        assert ana.get(f"{BASE}/referrals").status_code == 403
