"""Confirming an address: the link shows a button, the tap on it confirms."""

from datetime import timedelta

import pytest

from tests.pages.steps import change, customer_of, link_for, links_in, quiet, registered
from tests.support.rows import rows_of
from tests.support.serving import Server
from web.foundation.schema import utc_now


def test_looking_shows_a_button_and_the_tap_confirms(server: Server) -> None:
    owner = registered(server)
    [mail] = server.messages(owner["email"])
    [link] = [link for link in links_in(mail) if "/verify?token=" in link]
    path = link.removeprefix(server.url)
    with server.client() as client:
        assert (
            client.head(path).headers["location"] == client.get(path).headers["location"] == "/brewbar/verify"
        )
        page = client.get("/brewbar/verify")
        assert "Confirm my address" in page.text
        assert owner["email"] not in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert customer_of(server, owner["email"])["email_verified_at"] is None
        assert "Thank you" in client.post("/brewbar/verify").text
        confirmed = customer_of(server, owner["email"])["email_verified_at"]
        assert confirmed is not None
        for again in (client.post("/brewbar/verify"), client.get("/brewbar/verify")):
            assert again.status_code == 200
            assert "Thank you" in again.text
    assert customer_of(server, owner["email"])["email_verified_at"] == confirmed
    quiet(server)
    events = rows_of(server.environment["DATABASE_URL"], "event", customer_id=owner["id"])
    assert [event["name"] for event in events].count("Account verified") == 1


def test_the_short_form_for_text_messages_opens_too(server: Server) -> None:
    made = link_for(server, registered(server)["id"], "verify")
    for path in (f"/brewbar/v/{made.code}", f"/brewbar/V/{made.code.lower()}"):
        with server.client() as client:
            assert "Confirm my address" in client.get(path, follow_redirects=True).text


def test_an_old_link_does_not_confirm_a_changed_address(server: Server) -> None:
    owner = registered(server)
    made = link_for(server, owner["id"], "verify")
    new = owner["email"].replace("zoe", "new")
    change(server, "customer", {"id": owner["id"]}, email=new, email_key=new)
    with server.client() as client:
        client.get(f"/brewbar/verify?token={made.token}")
        assert client.post("/brewbar/verify").status_code == 410
    assert customer_of(server, new)["email_verified_at"] is None


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_link_that_never_was_gets_the_dead_page(server: Server, token: str) -> None:
    with server.client() as client:
        page = client.get(f"/brewbar/verify?token={token}", follow_redirects=True)
        assert page.status_code == 410
        assert client.post("/brewbar/verify").status_code == 410
        assert client.post("/brewbar/verify/again").status_code == 200


def test_a_link_to_the_card_confirms_nothing(server: Server) -> None:
    owner = registered(server)
    made = link_for(server, owner["id"], "download")
    with server.client() as client:
        for path in (f"verify?token={made.token}", f"v/{made.code}"):
            client.get(f"/brewbar/{path}")
            assert client.post("/brewbar/verify").status_code == 410
    assert customer_of(server, owner["email"])["email_verified_at"] is None


def test_a_dead_link_s_owner_gets_a_fresh_one_that_works(server: Server) -> None:
    owner = registered(server)
    server.messages(owner["email"])
    made = link_for(server, owner["id"], "verify", lifetime=timedelta(seconds=-60))
    with server.client() as client:
        assert client.get(f"/brewbar/verify?token={made.token}", follow_redirects=True).status_code == 410
        sent = client.post("/brewbar/verify/again")
        assert owner["email"] not in sent.text
        assert "Look in your inbox" in sent.text
        [newest, _] = server.messages(owner["email"], at_least=2)
        [link] = [link for link in links_in(newest) if "/verify?token=" in link]
        client.get(link.removeprefix(server.url))
        assert "Thank you" in client.post("/brewbar/verify").text
        assert customer_of(server, owner["email"])["email_verified_at"] <= utc_now()
        client.get(f"/brewbar/verify?token={made.token}")
        client.post("/brewbar/verify/again")
    quiet(server)
    assert len(server.messages(owner["email"])) == 2, "there is nothing left to confirm"
