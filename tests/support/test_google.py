"""The Google of the tests is as strict as the reference of the real one."""

import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.google import SAVE_URL, SCOPE, Google, RefusalError
from tests.wallet.designs import card, design
from web.wallet.google.objects import loyalty_class, loyalty_object


class Caller:
    """Speaks to it without any code of ours."""

    def __init__(self, google: Google) -> None:
        self._google = google
        self._account = json.loads(google.account_file.read_bytes())
        self._key: Any = load_pem_private_key(self._account["private_key"].encode(), None)
        self._http = httpx.Client(base_url=google.origin)
        claims = {"iss": self._account["client_email"], "aud": google.token_url, "scope": SCOPE}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": self.sign(claims | _hour()),
        }
        self.token = self._http.post("/token", data=form).json()["access_token"]

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "key-1"})

    def __call__(self, method: str, path: str, content: Any = None) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {self.token}"}
        answer = self._http.request(method, f"/walletobjects/v1/{path}", json=content, headers=headers)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    def save_link(self, resource: str, google_object: dict[str, Any]) -> str:
        return SAVE_URL + self.sign(
            {
                "iss": self._account["client_email"],
                "aud": "google",
                "typ": "savetowallet",
                "origins": [],
                "payload": {f"{resource}Objects": [google_object]},
                **_hour(),
            }
        )


def _hour() -> dict[str, int]:
    return {"iat": int(time.time()), "exp": int(time.time()) + 3600}


@pytest.fixture
def ask(google: Google) -> Caller:
    return Caller(google)


def test_it_takes_what_the_reference_takes_and_says_what_is_wrong(google: Google, ask: Caller) -> None:
    program = loyalty_class(design(), google.issuer_id)
    held = loyalty_object(design(), card(), google.issuer_id)
    assert ask("POST", "loyaltyObject", held)[0] == 404, "its class is not there yet"
    assert ask("POST", "loyaltyClass", program | {"reviewStatus": "DRAFT"})[0] == 200
    assert ask("POST", "loyaltyObject", held)[0] == 400, "no object of a draft"
    assert ask("PATCH", f"loyaltyClass/{program['id']}", {"reviewStatus": "UNDER_REVIEW"})[0] == 200
    assert ask("POST", "loyaltyObject", held)[0] == 200
    assert ask("POST", "loyaltyObject", held)[0] == 409
    assert ask("POST", "loyaltyObject", held | {"id": "1.card"})[0] == 403
    assert ask("PATCH", f"loyaltyClass/{program['id']}", {"programName": "New"})[0] == 400, (
        "no review asked for"
    )
    for wrong, words in (
        ({"accountname": "Ana"}, "Unknown name"),
        ({"loyaltyPoints": {"balence": {}}}, "Unknown name"),
        ({"state": "GONE"}, "state"),
        ({"loyaltyPoints": {"label": "Points"}}, "balance"),
        ({"loyaltyPoints": {"balance": {"int": 2**31}}}, "balance.int"),
        ({"barcode": {"type": "QR"}}, "barcode.type"),
        ({"id": "3388 000.x"}, "id"),
        ({"validTimeInterval": {"end": {"date": "tomorrow"}}}, "date"),
        ({"messages": [{"body": "x"}] * 11}, "messages"),
        ({"heroImage": {"sourceUri": {"uri": "http://pictures.example.com/x.png"}}}, "https"),
    ):
        status, said = ask("PATCH", f"loyaltyObject/{held['id']}", wrong)
        assert (status, words in said) == (400, True), (wrong, said)
    assert ask("GET", f"loyaltyObject/{google.issuer_id}.nobody")[0] == 404
    ask.token = "stolen"
    assert ask("GET", f"loyaltyObject/{held['id']}")[0] == 401


def test_it_keeps_its_pace_and_fails_as_it_is_told(google: Google, ask: Caller) -> None:
    google.pace = 3
    statuses = [ask("GET", "loyaltyClass/1.x")[0] for _ in range(5)]
    assert statuses == [404, 404, 404, 429, 429]
    google.pace = 0
    google.fail_next(500, 503)
    assert [ask("GET", "loyaltyClass/1.x")[0] for _ in range(3)] == [500, 503, 404]


def test_its_phone_saves_what_is_signed_and_nothing_else(google: Google, ask: Caller) -> None:
    ask("POST", "loyaltyClass", loyalty_class(design(), google.issuer_id))
    held = loyalty_object(design(), card(), google.issuer_id)
    with pytest.raises(RefusalError, match="Unknown name"):
        google.phone.save(ask.save_link("loyalty", {**_lean(held), "colour": "red"}))
    link = ask.save_link("loyalty", _lean(held))
    with pytest.raises(RefusalError, match="invalid_grant"):
        google.phone.save(link[:-8] + "AAAAAAAA")
    assert google.phone.save(link) == held["id"]
    assert google.phone.shows(held["id"])["class"]["programName"] == "Club Brew"
    ask("PATCH", f"loyaltyObject/{held['id']}", _points(7))
    assert google.phone.notices(held["id"]) == [], "nobody asked for one"
    ask("PATCH", f"loyaltyObject/{held['id']}", _points(8) | {"notifyPreference": "NOTIFY_ON_UPDATE"})
    assert google.phone.notices(held["id"]) == ["loyaltyPoints"]
    google.phone.remove(held["id"])
    assert google.phone.cards == []
    assert google.held["loyaltyObject"][held["id"]]["hasUsers"] is False


def _lean(held: dict[str, Any]) -> dict[str, Any]:
    return {name: held[name] for name in ("id", "classId", "state", "accountId")}


def _points(count: int) -> dict[str, Any]:
    return {"loyaltyPoints": {"label": "Points", "balance": {"int": count}}}
