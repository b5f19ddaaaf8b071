import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.google import ISSUER_ID, Google
from tests.wallet.designs import card, design
from web.foundation.limits import Limits, Rule
from web.foundation.pace import Pace
from web.wallet.google import client as client_module
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import (
    AlreadyExistsError,
    ForbiddenError,
    GoogleClient,
    GoogleError,
    Message,
    NotFoundError,
    QuotaExceededError,
    RefusedError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from web.wallet.google.objects import loyalty_class, loyalty_object

PROGRAM = loyalty_class(design(), ISSUER_ID)
CARD = loyalty_object(design(), card(), ISSUER_ID)


async def test_a_card_is_stored_with_its_class_and_read_back(client: GoogleClient) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    await client.insert("loyaltyObject", CARD)
    assert (await client.get("loyaltyObject", CARD["id"]))["loyaltyPoints"]["balance"] == {"int": 12345}
    assert (await client.get("loyaltyClass", PROGRAM["id"]))["programName"] == "Club Brew"


async def test_a_change_leaves_alone_what_it_does_not_name_and_a_replacement_does_not(
    client: GoogleClient, google: Google
) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    await client.insert("loyaltyObject", CARD)
    await client.patch("loyaltyObject", {"id": CARD["id"], "accountName": "Ana"})
    held = google.held["loyaltyObject"][CARD["id"]]
    assert (held["accountName"], held["accountId"]) == ("Ana", CARD["accountId"])
    await client.replace(
        "loyaltyObject", {name: value for name, value in CARD.items() if name != "accountName"}
    )
    assert "accountName" not in google.held["loyaltyObject"][CARD["id"]]


async def test_a_message_is_added_to_a_card(client: GoogleClient, google: Google) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    await client.insert("loyaltyObject", CARD)
    google.held["loyaltyObject"][CARD["id"]]["hasUsers"] = True
    for number in range(3):
        message = Message(str(number), "Brew Bar", f"Number {number}")
        held = await client.add_message("loyaltyObject", CARD["id"], message, "TEXT_AND_NOTIFY")
        assert held["messages"][number]["body"] == f"Number {number}"
    assert google.phone.notices(CARD["id"]) == ["Number 0", "Number 1", "Number 2"]
    fourth = Message("3", "Brew Bar", "One too many")
    with pytest.raises(QuotaExceededError):
        await client.add_message("loyaltyObject", CARD["id"], fourth, "TEXT_AND_NOTIFY")
    await client.add_message("loyaltyObject", CARD["id"], fourth)
    assert len(google.held["loyaltyObject"][CARD["id"]]["messages"]) == 4
    assert len(google.notices) == 3


async def test_an_object_without_its_class_is_not_found(client: GoogleClient) -> None:
    with pytest.raises(NotFoundError, match="404"):
        await client.insert("loyaltyObject", CARD)


async def test_each_refusal_has_its_own_error(client: GoogleClient) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    with pytest.raises(AlreadyExistsError):
        await client.insert("loyaltyClass", PROGRAM)
    with pytest.raises(NotFoundError):
        await client.get("loyaltyObject", CARD["id"])
    with pytest.raises(NotFoundError):
        await client.patch("loyaltyObject", CARD)
    with pytest.raises(ForbiddenError):
        await client.insert("loyaltyClass", PROGRAM | {"id": "1.program-x"})
    with pytest.raises(RefusedError):
        await client.insert("loyaltyClass", PROGRAM | {"id": f"{ISSUER_ID}.a b"})


async def test_a_client_keeps_google_s_pace_by_waiting(google: Google, account: ServiceAccount) -> None:
    google.pace = 40
    pace = Pace(Limits(), Rule("google", "38/second"))
    outcomes: list[str] = []
    async with httpx.AsyncClient() as http:
        client = GoogleClient(
            http,
            account,
            api_url=google.api_url,
            token_url=google.token_url,
            pace=pace,
            count=outcomes.append,
        )
        await client.insert("loyaltyClass", PROGRAM)
        await asyncio.gather(*(client.get("loyaltyClass", PROGRAM["id"]) for _ in range(59)))
        assert outcomes == ["ok"] * 60
        google.fail_next(429, retry_after="30")
        with pytest.raises(TooManyRequestsError):
            await client.get("loyaltyClass", PROGRAM["id"])
        asked = len(google.calls)
        with pytest.raises(TooManyRequestsError) as quiet:
            await client.get("loyaltyClass", PROGRAM["id"])
        assert len(google.calls) == asked, "Google asked for quiet, and nobody disturbs it"
        assert 25 < (quiet.value.retry_after or 0) <= 30
    assert outcomes[60:] == ["too_many_requests"] * 2


async def test_an_access_token_serves_until_it_expires(client: GoogleClient, google: Google) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    await asyncio.gather(*(client.patch("loyaltyClass", PROGRAM) for _ in range(5)))
    assert google.calls.count("POST /token") == 1


async def test_an_expiring_token_is_replaced(client: GoogleClient, google: Google) -> None:
    google.token_seconds = 30  # sooner than the client trusts a token
    await client.insert("loyaltyClass", PROGRAM)
    await client.get("loyaltyClass", PROGRAM["id"])
    assert google.calls.count("POST /token") == 2


async def test_a_revoked_token_is_replaced_once(client: GoogleClient, google: Google) -> None:
    await client.insert("loyaltyClass", PROGRAM)
    google.revoke_tokens()
    await client.get("loyaltyClass", PROGRAM["id"])
    assert google.calls.count("POST /token") == 2
    google.fail_next(401, 401)
    with pytest.raises(UnauthorizedError):
        await client.get("loyaltyClass", PROGRAM["id"])


@pytest.mark.parametrize("changed", ["key", "private_key_id", "client_email"])
async def test_an_account_that_google_does_not_know_is_unauthorized(
    google: Google, account: ServiceAccount, changed: str
) -> None:
    strange = {
        "key": rsa.generate_private_key(65537, 2048),
        "private_key_id": "other",
        "client_email": "other@example.com",
    }
    fields = {name: getattr(account, name) for name in account.__struct_fields__}
    other = ServiceAccount(**{**fields, changed: strange[changed]})
    async with httpx.AsyncClient() as http:
        client = GoogleClient(http, other, api_url=google.api_url, token_url=google.token_url)
        with pytest.raises(UnauthorizedError, match="invalid_grant"):
            await client.get("loyaltyClass", PROGRAM["id"])


async def test_the_assertion_is_for_this_token_endpoint_and_scope(
    client: GoogleClient, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "SCOPE", "https://www.googleapis.com/auth/drive")
    with pytest.raises(UnauthorizedError, match="invalid_scope"):
        await client.get("loyaltyClass", PROGRAM["id"])


async def test_too_many_requests_say_how_long_to_wait(client: GoogleClient, google: Google) -> None:
    google.fail_next(429, retry_after="17")
    with pytest.raises(TooManyRequestsError) as caught:
        await client.get("loyaltyClass", "x")
    assert caught.value.retry_after == 17
    google.fail_next(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    with pytest.raises(TooManyRequestsError) as caught:
        await client.get("loyaltyClass", "x")
    assert 80 < (caught.value.retry_after or 0) <= 90
    google.fail_next(429, retry_after="soon")
    with pytest.raises(TooManyRequestsError) as caught:
        await client.get("loyaltyClass", "x")
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_googles_own_trouble_is_unavailable(client: GoogleClient, google: Google, status: int) -> None:
    google.fail_next(status)
    with pytest.raises(UnavailableError) as caught:
        await client.get("loyaltyClass", "x")
    assert caught.value.status == status


async def test_no_network_is_unavailable(account: ServiceAccount) -> None:
    async with httpx.AsyncClient() as http:
        nowhere = "http://127.0.0.1:9"
        client = GoogleClient(http, account, api_url=nowhere, token_url=f"{nowhere}/token")
        with pytest.raises(UnavailableError) as caught:
            await client.get("loyaltyClass", "x")
    assert caught.value.status is None


def test_every_error_is_a_google_error() -> None:
    kinds = (
        QuotaExceededError,
        RefusedError,
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        AlreadyExistsError,
    )
    assert all(issubclass(kind, GoogleError) for kind in (*kinds, TooManyRequestsError, UnavailableError))
