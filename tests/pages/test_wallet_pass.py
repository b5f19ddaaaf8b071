"""The card itself, as a file for Apple's wallet and as the way to Google's."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy.engine import Connection

from tests.pages.steps import customer_of, link_for, new_address, register, registered
from tests.support.ledger import change_points
from tests.support.rows import in_database, rows_of
from tests.support.serving import PIXEL, Server
from tests.wallet.apple.verifier import Verified, verify
from web.wallet.apple.development import ROOT


def read(server: Server, package: bytes) -> Verified:
    return verify(package, Path(server.environment["PASITO_DATA_DIR"]) / "signing" / ROOT)


def earn(server: Server, customer: dict[str, Any], points: int) -> None:
    def work(conn: Connection) -> None:
        change_points(conn, "brewbar", customer["id"], points)

    in_database(server.environment["DATABASE_URL"], work)


@pytest.mark.parametrize("way", ["after registration", "after a link"])
def test_the_pass_is_handed_out_as_phones_want_it(server: Server, way: str) -> None:
    with server.client() as client:
        customer = registered(server, client)
        if way == "after a link":
            made = link_for(server, customer["id"])
            client.cookies.clear()
            client.get(f"/brewbar/l/{made.code}")
            answer = client.post("/brewbar/download/apple")
        else:
            answer = client.get("/brewbar/card.pkpass")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.apple.pkpass"
    assert answer.headers["content-disposition"] == 'inline; filename="card.pkpass"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    document = read(server, answer.content).document
    assert document["barcodes"][0]["message"] == customer["card_number"]
    [issued] = rows_of(server.environment["DATABASE_URL"], "wallet_pass", customer_id=customer["id"])
    assert document["serialNumber"] == issued["id"]


def test_the_pass_shows_what_the_ledger_says_now(server: Server) -> None:
    with server.client() as client:
        customer = registered(server, client)
        before = read(server, client.get("/brewbar/card.pkpass").content)
        earn(server, customer, 130)
        after = read(server, client.get("/brewbar/card.pkpass").content)
        assert "130" in client.get("/brewbar/register/card").text
    assert before.shown("balance", "value", "en") == "0"
    assert after.shown("balance", "value", "en") == "130"
    assert before.document["serialNumber"] == after.document["serialNumber"]


def test_google_s_way_carries_the_card(server: Server) -> None:
    address = new_address()
    with server.client(user_agent=PIXEL) as client:
        register(client, address, name="Zoë Núñez")
        earn(server, customer_of(server, address), 40)
        answer = client.get("/brewbar/google-wallet")
    assert answer.status_code == 303
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    start, _, token = answer.headers["location"].rpartition("/")
    assert start == "https://pay.google.com/gp/v/save"
    claims = jwt.decode(token, options={"verify_signature": False})
    [held] = claims["payload"]["loyaltyObjects"]
    assert claims["typ"] == "savetowallet"
    assert held["accountName"] == "Zoë Núñez"
    assert held["barcode"]["value"] == customer_of(server, address)["card_number"]
    assert held["loyaltyPoints"]["balance"] == {"int": 40}


@pytest.mark.parametrize("path", ["/brewbar/card.pkpass", "/brewbar/google-wallet"])
def test_without_a_grant_there_is_no_card(server: Server, path: str) -> None:
    registered(server)
    with server.client() as client:
        assert client.get(path).headers["location"] == "/brewbar/card"
