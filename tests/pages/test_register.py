"""The three steps, over real HTTP and on both databases."""

from uuid import uuid4

import httpx

from tests.support.rows import rows_of
from tests.support.serving import Server


def register(client: httpx.Client, address: str, **about: str) -> httpx.Response:
    """Both forms of the journey; the answer to the second one."""
    assert client.post("/brewbar/register", data={"contact": address}).status_code == 303
    return client.post("/brewbar/register/about", data={"name": "Zoë", **about})


def new_address() -> str:
    return f"zoe-{uuid4().hex[:12]}@example.org"


def test_three_steps_make_a_customer_with_a_card(server: Server) -> None:
    address = new_address()
    with server.client() as client:
        done = register(client, address, consents="news")
        assert done.headers["location"] == "/brewbar/register/card"
        card = client.get("/brewbar/register/card")
        assert "Zoë, here is your card" in card.text
        assert client.get("/brewbar/card.pkpass").headers["content-type"] == "application/vnd.apple.pkpass"
    [customer] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    assert customer["name"] == "Zoë"
    decisions = rows_of(server.environment["DATABASE_URL"], "consent_event", customer_id=customer["id"])
    assert {row["purpose"]: row["decision"] for row in decisions} == {
        "news": "granted",
        "card_messages": "refused",
    }


def test_a_known_address_is_told_to_look_in_its_inbox_and_shown_nothing(server: Server) -> None:
    with server.client() as client:
        answer = register(client, "ana@example.com")
        assert answer.headers["location"] == "/brewbar/register/sent"
        page = client.get("/brewbar/register/sent")
        assert "Ana" not in page.text
        assert client.get("/brewbar/card.pkpass").status_code == 303
    assert server.messages("ana@example.com")
