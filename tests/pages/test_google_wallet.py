"""A whole server and Google: from the tap to the phone, with long names, and what Google tells of the card."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy.engine import Connection

from tests.conftest import Fresh
from tests.pages.steps import change, customer_of, new_address, register
from tests.support.google import Google
from tests.support.ledger import change_points
from tests.support.ports import free_port
from tests.support.rows import in_database, rows_of
from tests.support.serving import PIXEL, Server, serving
from web.wallet.google.callback_proof import LONGEST_BODY

CALLBACK = "/webhooks/google-wallet"
# With this no card fits into a link, whatever it leaves out.
LONG_HOST = f"{'c' * 60}." * 8 + "localhost"
LONG_NAME = "عبد الرحمن " * 18


@pytest.fixture(scope="module")
def google_there(google_account: tuple[Path, RSAPublicKey]) -> Iterator[Google]:
    path, key = google_account
    with Google({"wallet@brewbar.iam.gserviceaccount.com": ("key-1", key)}, path) as google:
        yield google


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, data_dir: Path, google_there: Google) -> Iterator[Server]:
    with ExitStack() as stack:
        url = Fresh(request, stack)("sqlite")
        port = free_port()
        settings = google_there.settings | {
            "PASITO_BASE_URL": f"http://{LONG_HOST}:{port}",
            "PASITO_ALLOWED_HOSTS": "localhost",
        }
        server = stack.enter_context(serving(url, data_dir, port=port, **settings))
        google_there.phone.calls_back = f"{server.url}{CALLBACK}"
        yield server


@pytest.fixture
def google(google_there: Google) -> Google:
    google_there.phone.answers.clear()
    return google_there


def pass_of(server: Server, customer_id: str) -> dict[str, Any]:
    [row] = rows_of(
        server.environment["DATABASE_URL"], "wallet_pass", customer_id=customer_id, platform="google"
    )
    return row


def test_from_the_tap_to_the_phone_and_back(shop: Server, google: Google) -> None:
    address = new_address()
    with shop.client(user_agent=PIXEL) as client:
        register(client, address, name="Zoë Núñez")
        customer = customer_of(shop, address)
        object_id = google.phone.save(client.get("/brewbar/google-wallet").headers["location"])
    assert google.phone.answers == [200]
    held = pass_of(shop, customer["id"])
    assert held["status"] == "installed"

    def earn(conn: Connection) -> None:
        change_points(conn, "brewbar", customer["id"], 40)

    in_database(shop.environment["DATABASE_URL"], earn)
    google.wait_for(lambda: google.phone.shows(object_id)["loyaltyPoints"]["balance"] == {"int": 40})
    google.phone.remove(object_id)
    assert google.phone.answers == [200, 200]
    assert pass_of(shop, customer["id"])["status"] == "uninstalled"
    [event] = rows_of(shop.environment["DATABASE_URL"], "event", name="Loyalty card uninstalled")
    assert event["properties"]["reason"] == "removed"


def test_a_card_too_long_for_a_link_is_at_google_before_the_phone_gets_there(
    shop: Server, google: Google
) -> None:
    address = new_address()
    google.delay = 0.2  # so that the tap is there before the worker
    with shop.client(user_agent=PIXEL) as client:
        register(client, address, name="Zoë")
        customer = customer_of(shop, address)
        change(shop, "customer", {"id": customer["id"]}, name=LONG_NAME[:200])
        link = client.get("/brewbar/google-wallet").headers["location"]
    google.delay = 0.0
    assert len(link) < 1800
    shown = google.phone.shows(google.phone.save(link))
    assert shown["linksModuleData"]["uris"], "nothing had to be left out"


def test_where_google_takes_too_long_the_page_says_not_yet(shop: Server, google: Google) -> None:
    address = new_address()
    with shop.client(user_agent=PIXEL) as client:
        # From the start: the worker tells Google of a card as soon as it is issued.
        google.delay = 4.0
        register(client, address, name="Zoë")
        customer = customer_of(shop, address)
        began = time.monotonic()
        answer = client.get("/brewbar/google-wallet")
        google.delay = 0.0
        assert 2.5 < time.monotonic() - began < 5
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        google.wait_for(lambda: pass_of(shop, customer["id"])["stored_at"])
        assert client.get("/brewbar/google-wallet").status_code == 303


def test_what_is_not_google_s_word_changes_nothing(shop: Server, google: Google) -> None:
    with shop.client(user_agent=PIXEL) as client:
        address = new_address()
        register(client, address)
        customer = customer_of(shop, address)
        client.get("/brewbar/google-wallet")
    held = pass_of(shop, customer["id"])
    message = google.signer.message("save", f"{google.issuer_id}.card-{held['id']}")
    before = rows_of(shop.environment["DATABASE_URL"], "google_callback")
    with httpx.Client(base_url=shop.url) as stranger:
        for what, body in google.signer.forgeries(message).items():
            status = stranger.post(CALLBACK, content=body).status_code
            assert status in (400, 403), what
        assert stranger.post(CALLBACK, content=b" " * (LONGEST_BODY + 1)).status_code in (400, 413)
        assert stranger.get(CALLBACK).status_code in (404, 405)
    assert rows_of(shop.environment["DATABASE_URL"], "google_callback") == before
    assert pass_of(shop, customer["id"])["status"] == "created"
    metrics = httpx.get(f"{shop.url}/metrics").text
    assert 'pasito_google_callbacks_total{outcome="forged"}' in metrics
    assert 'pasito_google_requests_total{outcome="ok"}' in metrics
