"""Customers over the API: made and changed in numbers, read in the documented shape, erased."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import jwt
import pytest
from sqlalchemy import Connection

from tests.api.conftest import BASE, program_id_of
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.tokens import for_url
from web.loyalty.installation import mark_installed
from web.loyalty.wallet_pass import issue_pass, pass_for

DOCUMENTED = {
    "id", "programId", "email", "origin", "referral", "utmCampaign", "utmSource", "utmMedium",
    "balanceNotifications", "tierNotifications", "rewardAvailableNotifications", "locationNotifications",
    "marketingNotifications", "referralEarned", "walletStatus", "walletInstalled", "walletPlatforms", "createdAt",
    "updatedAt", "userData", "loyaltyData",
}  # fmt: skip
USER_DATA = {
    "id", "customerId", "externalCustomerId", "firstName", "lastName", "phone", "emailVerified", "createdAt",
    "updatedAt",
}  # fmt: skip
LOYALTY_DATA = {
    "id", "customerId", "loyaltyCustomerId", "balance", "memberSince", "tierStatus", "referralLink",
}  # fmt: skip


def user(email: str, /, **payload: object) -> dict[str, object]:
    return {"email": email, "feature": "users", "payload": payload}


def standing(email: str, balance: float, /, **payload: object) -> dict[str, object]:
    given = {"loyaltyCustomerId": "L1", "balance": balance, "memberSince": "2024-05-01"} | payload
    return {"email": email, "feature": "loyalty", "payload": given}


def give_pass(server: Server, customer_id: str) -> None:
    program_id = program_id_of(server)
    in_database(
        server.environment["DATABASE_URL"], lambda conn: issue_pass(conn, program_id, customer_id, "apple")
    )


def test_a_customer_has_the_documented_shape(api: httpx.Client, customer: Callable[..., str]) -> None:
    who = customer(
        "Shape@Example.org", 30, externalCustomerId="shape-1", firstName="María José", lastName="López",
        phone="600 123 450", emailVerified=True,
    )  # fmt: skip
    for name in ("shape@example.ORG", who, "shape-1"):
        found = api.get(f"{BASE}/customers/{name}").json()
        assert found["id"] == who
    assert found.keys() == DOCUMENTED
    assert found["userData"].keys() == USER_DATA
    assert found["loyaltyData"].keys() == LOYALTY_DATA
    assert found["email"] == "Shape@example.org"
    assert (found["userData"]["firstName"], found["userData"]["lastName"]) == ("María José", "López")
    assert (found["userData"]["phone"], found["userData"]["emailVerified"]) == ("+34600123450", True)
    assert found["loyaltyData"]["balance"] == 30
    assert found["loyaltyData"]["memberSince"] == "2024-05-01T00:00:00Z"
    assert found["origin"] == "API"


def test_of_250_items_the_bad_ones_fail_alone(server: Server, api: httpx.Client) -> None:
    items = [user(f"bulk-{n}@example.org", firstName=f"N{n}") for n in range(125)]
    items += [standing(f"bulk-{n}@example.org", n) for n in range(125)]
    items[7] = user("bulk-7", firstName="No address")
    answer = api.post(f"{BASE}/integrations/api", json=items)
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(250))
    # Without the customer there is no standing of theirs, either.
    assert [result["index"] for result in results if result["status"] == "failed"] == [7, 132]
    assert results[7]["error"]["pointer"] == "/7/email"
    # Whom another system told us of is written to by nobody.
    assert not rows_of(server.environment["DATABASE_URL"], "delivery", kind="confirmation")
    assert api.get(f"{BASE}/customers/bulk-124@example.org").json()["loyaltyData"]["balance"] == 124


def test_where_none_worked_it_is_404_with_the_reason_of_each(api: httpx.Client) -> None:
    items = [
        user("no"),
        standing("nobody-here@example.org", 1),
        {"feature": "x"},
        user("a@example.org", nam="x"),
    ]
    answer = api.post(f"{BASE}/integrations/api", json=items)
    assert answer.status_code == 404
    pointers = [error["pointer"] for error in answer.json()["errors"]]
    assert pointers == ["/0/email", "/1", "/2/feature", "/3/payload/nam"]


def test_a_balance_is_set_and_the_difference_booked_once(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("sync@example.org", 30)
    for target in (30, 30, 12):
        api.post(f"{BASE}/integrations/api", json=[standing("sync@example.org", target)])
    entries = rows_of(server.environment["DATABASE_URL"], "ledger_entry", customer_id=who)
    assert [(entry["kind"], entry["amount"]) for entry in entries] == [("opening", 30), ("sync", 18)]
    assert {entry["reason"] for entry in entries} == {"external_sync"}
    answer = api.post(f"{BASE}/integrations/api", json=[standing("sync@example.org", 12.5)])
    assert answer.json()["errors"][0]["pointer"] == "/0/payload/balance"


def test_a_new_address_is_the_key_from_then_on_and_old_links_die(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("before@example.org", firstName="Zoë")
    give_pass(server, who)
    asked = {"email": "before@example.org", "token_type": "auth"}
    token = api.get(f"{BASE}/customers/token", params=asked).json()["accessToken"]
    bearer = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{server.url}/v1/me", headers=bearer).status_code == 200
    moved = api.post(f"{BASE}/integrations/api", json=[user("before@example.org", email="after@example.org")])
    assert moved.json()["results"][0] == {"index": 0, "status": "updated", "customerId": who}
    assert api.get(f"{BASE}/customers/before@example.org").status_code == 404
    after = api.get(f"{BASE}/customers/after@example.org").json()
    assert (after["id"], after["userData"]["firstName"]) == (who, "Zoë")
    assert httpx.get(f"{server.url}/v1/me", headers=bearer).status_code == 401


def test_what_another_customer_has_is_not_taken_from_them(
    api: httpx.Client, customer: Callable[..., str]
) -> None:
    first = customer("first@example.org", externalCustomerId="taken-1", phone="+34600123451")
    customer("second@example.org")
    for payload in (
        {"externalCustomerId": "taken-1"},
        {"phone": "+34600123451"},
        {"email": "FIRST@example.org"},
        {"externalCustomerId": first},
    ):
        assert api.patch(f"{BASE}/customers/second@example.org", json=payload).status_code == 409
        items = [user("second@example.org", **payload)]
        assert api.post(f"{BASE}/integrations/api", json=items).status_code == 404


def test_a_change_names_what_changes_and_leaves_the_rest(
    api: httpx.Client, customer: Callable[..., str]
) -> None:
    customer("patch@example.org", firstName="Ana", lastName="Gil", phone="+34600123452")
    change = {
        "lastName": "Gil Ruiz",
        "firstName": "Ana",
        "tierNotifications": False,
        "phone": None,
        "locale": "es",
    }
    changed = api.patch(f"{BASE}/customers/patch@example.org", json=change).json()
    assert (changed["userData"]["lastName"], changed["userData"]["phone"]) == ("Gil Ruiz", None)
    assert (changed["tierNotifications"], changed["balanceNotifications"]) == (False, True)
    assert api.patch(f"{BASE}/customers/patch@example.org", json={"locale": "xx"}).status_code == 422
    assert api.patch(f"{BASE}/customers/patch@example.org", json={"id": "x"}).status_code == 422


def test_pages_of_customers_are_whole_and_in_order(api: httpx.Client, customer: Callable[..., str]) -> None:
    made = [customer(f"page-{n}@example.org") for n in range(5)]
    seen: list[str] = []
    query: dict[str, object] = {"limit": 3}
    while True:
        page = api.get(f"{BASE}/customers", params=query).json()
        seen += [each["id"] for each in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert seen == sorted(set(seen))
    assert set(made) <= set(seen)
    found = api.get(f"{BASE}/customers", params={"email": "PAGE-3@example.org"}).json()["items"]
    assert [each["id"] for each in found] == [made[3]]
    since = datetime.now(UTC).isoformat()
    assert api.get(f"{BASE}/customers", params={"updatedSince": since}).json()["items"] == []
    api.post(f"{BASE}/balance/increase", json={"customerId": made[1], "amount": 1, "reason": "Tea"})
    changed = api.get(f"{BASE}/customers", params={"updatedSince": since}).json()["items"]
    assert [each["id"] for each in changed] == [made[1]]


def test_erasing_leaves_no_name_and_an_import_does_not_bring_them_back(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    who = customer("erase-me@example.org", 20, firstName="Xanthippe", externalCustomerId="erase-1")
    give_pass(server, who)
    api.post(f"{BASE}/balance/increase", json={"email": "erase-me@example.org", "amount": 2, "reason": "Tea"})
    erased = api.request("DELETE", f"{BASE}/integrations/api", json=[{"email": "erase-me@example.org"}])
    assert erased.json()["results"] == [{"index": 0, "status": "deleted", "customerId": who}]
    url = server.environment["DATABASE_URL"]
    for table in (
        "customer",
        "event",
        "idempotency",
        "membership",
        "one_time_link",
        "wallet_pass",
        "ledger_entry",
    ):
        kept = repr(rows_of(url, table))
        assert "Xanthippe" not in kept
        assert "erase-me" not in kept
    assert {row["status"] for row in rows_of(url, "wallet_pass", customer_id=who)} == {"voided"}
    assert len(rows_of(url, "ledger_entry", customer_id=who)) == 2
    again = api.post(f"{BASE}/integrations/api", json=[user("Erase-Me@example.org")])
    assert again.status_code == 404
    assert "erased" in again.json()["errors"][0]["detail"]
    assert not rows_of(url, "customer", email_key="erase-me@example.org")


def test_deleting_a_standing_leaves_customer_and_balance(
    api: httpx.Client, customer: Callable[..., str]
) -> None:
    customer("keep@example.org", 7)
    items = [{"email": "keep@example.org", "feature": "loyalty"}, {"email": "nobody@example.org"}]
    results = api.request("DELETE", f"{BASE}/integrations/api", json=items).json()["results"]
    assert [result["status"] for result in results] == ["deleted", "failed"]
    loyalty = api.get(f"{BASE}/customers/keep@example.org").json()["loyaltyData"]
    assert (loyalty["loyaltyCustomerId"], loyalty["balance"]) == (None, 7)


def test_tokens_open_what_they_are_for(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    """The seed's own call: email, token_type and expires_in."""
    who = customer("token@example.org")

    def token(**query: object) -> httpx.Response:
        return api.get(f"{BASE}/customers/token", params=query)

    assert token(email="token@example.org", token_type="auth").status_code == 409
    assert token(email="token@example.org", token_type="verify").status_code == 422
    assert token(email="token@example.org").status_code == 422
    assert token(token_type="download").status_code == 422
    assert token(email="nobody@example.org", token_type="download").status_code == 404
    assert token(email="token@example.org", token_type="auth", expires_in=10**9).status_code == 422
    assert token(email="token@example.org", token_type="download", expires_in=0).status_code == 422
    give_pass(server, who)
    answer = token(email="TOKEN@example.org", token_type="auth")
    assert answer.json().keys() == {"accessToken"}
    claims = claims_of(answer.json()["accessToken"])
    assert claims["exp"] - claims["iat"] == 604_800
    assert (
        claims_of(token(customer=who, token_type="auth", expires_in=60).json()["accessToken"])["sub"] == who
    )
    download = token(email="token@example.org", token_type="download").json()["accessToken"]
    with server.client() as phone:
        page = phone.get(f"/brewbar/download?token={for_url(download)}", follow_redirects=True)
        assert page.status_code == 200
        session = answer.json()["accessToken"]
        inside = phone.get(f"/brewbar/{for_url(session)}?redirectTo=transactions", follow_redirects=True)
        assert (inside.status_code, inside.url.path) == (200, "/brewbar/transactions")
    url = server.environment["DATABASE_URL"]
    uses = {row["most_uses"] for row in rows_of(url, "one_time_link", customer_id=who, purpose="download")}
    assert uses == {1}
    token(email="token@example.org", token_type="download", expires_in=3600)
    reusable = rows_of(url, "one_time_link", customer_id=who, purpose="download")
    assert {row["most_uses"] for row in reusable} == {1, None}


def claims_of(token: str) -> dict[str, int]:
    claims: dict[str, int] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.mark.parametrize("name", ["ann", "x" * 254, "a@b", "%2e%2e", "'; drop table customer; --", "😀"])
def test_a_strange_name_names_nobody(api: httpx.Client, name: str) -> None:
    assert api.get(f"{BASE}/customers/{name}").status_code == 404


def test_locations_and_settings_are_changed_without_touching_the_database(
    server: Server, api: httpx.Client
) -> None:
    made = api.post(f"{BASE}/locations", json={"slug": "delicias", "name": "Delicias"})
    assert (made.status_code, made.json()["slug"]) == (201, "delicias")
    assert api.post(f"{BASE}/locations", json={"slug": "delicias", "name": "Other"}).status_code == 409
    assert api.post(f"{BASE}/locations", json={"slug": "No Slug", "name": "x"}).status_code == 422
    renamed = api.patch(f"{BASE}/locations/delicias", json={"name": "Delicias 2"}).json()
    assert renamed["name"] == "Delicias 2"
    assert "Delicias 2" in [place["name"] for place in api.get(f"{BASE}/locations").json()["items"]]
    assert api.patch(f"{BASE}/locations/nowhere", json={"name": "x"}).status_code == 404
    before = api.get(BASE).json()["settings"]
    patch = {"sender": {"reply_to": "hola@example.com"}, "texts": {"en": {"tagline": "Slow coffee, fast"}}}
    after = api.patch(BASE, json=patch).json()["settings"]
    assert after["sender"] == before["sender"] | {"reply_to": "hola@example.com"}
    assert after["texts"]["en"] == before["texts"]["en"] | {"tagline": "Slow coffee, fast"}
    assert after["texts"]["es"] == before["texts"]["es"]
    assert "Slow coffee, fast" in httpx.get(f"{server.url}/brewbar").text
    for bad, pointer in (
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"scale": 2}, "/scale"),
        ({"name": None}, "/name"),
        ({"brand": {"colour": "red"}}, "/brand/colour"),
        ({"colour": "red"}, "/colour"),
    ):
        refused = api.patch(BASE, json=bad)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_customer_says_what_their_wallets_hold_and_is_found_by_it(
    api: httpx.Client, server: Server, customer: Callable[..., str]
) -> None:
    person = customer("wallet-holder@example.org")

    def seen() -> tuple[object, ...]:
        document = api.get(f"{BASE}/customers/{person}").json()
        return document["walletStatus"], document["walletInstalled"], document["walletPlatforms"]

    assert seen() == ("never", False, [])
    program_id = program_id_of(server)

    def install(conn: Connection) -> None:
        mark_installed(conn, program_id, pass_for(conn, program_id, person, "apple").id)

    in_database(server.environment["DATABASE_URL"], install)
    assert seen() == ("installed", True, ["apple"])
    for status, is_there in (("installed", True), ("never", False)):
        found = api.get(f"{BASE}/customers", params={"walletStatus": status, "limit": 100}).json()["items"]
        assert {each["walletStatus"] for each in found} <= {status}
        assert (person in [each["id"] for each in found]) is is_there
    assert api.get(f"{BASE}/customers", params={"walletStatus": "lost"}).status_code == 422
