"""A friend's link: remembered by the browser, greeted at the door, followed to the points of both."""

import time
from typing import Any

import httpx
import pytest

from tests.conftest import SECRET
from tests.pages.steps import customer_of, link_for, new_address, register, registered
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.sealing import Sealer
from web.loyalty.program import load_program
from web.loyalty.referral_code import code_for

GREETING = "A friend invited you."
ROBOTS = ("WhatsApp/2.23.20.0", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")


def code_of(server: Server, customer_id: str) -> str:
    def work(conn: Any) -> str:
        program = load_program(conn, "brewbar", Sealer((SECRET,)))
        assert program is not None
        return code_for(conn, program, customer_id)

    return str(in_database(server.environment["DATABASE_URL"], work))


def referral_of(server: Server, address: str) -> dict[str, Any]:
    friend = customer_of(server, address)
    [row] = rows_of(server.environment["DATABASE_URL"], "referral", friend_id=friend["id"])
    return row


def confirm(server: Server, client: httpx.Client, address: str) -> str:
    """The friend confirms their address; the state of their referral once the worker has followed."""
    client.get(
        f"/brewbar/verify?token={link_for(server, customer_of(server, address)['id'], 'verify').token}"
    )
    assert client.post("/brewbar/verify").status_code == 200
    ends = time.monotonic() + 10
    while (state := str(referral_of(server, address)["state"])) == "joined" and time.monotonic() < ends:
        time.sleep(0.05)
    return state


def test_from_the_link_to_the_points_of_both(server: Server) -> None:
    url = server.environment["DATABASE_URL"]
    advocate, address = registered(server), new_address()
    code = code_of(server, advocate["id"])
    with server.client(x_forwarded_for="203.0.113.77") as client:
        answer = client.get(f"/brewbar/R/{code.lower()}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/brewbar"), (
            "the code leaves the address"
        )
        door = client.get("/brewbar").text
        assert GREETING in door
        assert "50 Beans for both of you." in door
        assert "confirmed your address" in door
        assert code not in door
        assert "Zoë" not in door, "who it was is theirs to tell"
        register(client, address)
        assert GREETING not in client.get("/brewbar").text, "the next person at this screen was not invited"

        row = referral_of(server, address)
        assert (row["advocate_id"], row["state"], row["signals"]) == (advocate["id"], "joined", [])
        assert "203.0.113" not in str(rows_of(url, "referral"))
        created = rows_of(url, "event", customer_id=row["friend_id"], name="Customer created")[0]
        assert created["properties"]["referralCode"] == code
        touch = rows_of(url, "touch", id=customer_of(server, address)["first_touch_id"])[0]
        assert (touch["source"], touch["medium"], touch["landing_path"]) == ("referral", "link", "/brewbar/r")

        assert confirm(server, client, address) == "rewarded"
    for customer_id in (advocate["id"], row["friend_id"]):
        [held] = rows_of(url, "balance", customer_id=customer_id)
        assert held["available"] == 50
        assert rows_of(url, "event", customer_id=customer_id, name="Referral completed")


def test_a_preview_shows_the_greeting_and_leaves_nothing(sqlite_server: Server) -> None:
    url = sqlite_server.environment["DATABASE_URL"]
    code = code_of(sqlite_server, registered(sqlite_server)["id"])
    before = len(rows_of(url, "visit")), len(rows_of(url, "touch"))
    for robot in ROBOTS:
        with sqlite_server.client(user_agent=robot) as client:
            answer = client.get(f"/brewbar/r/{code}")
        assert answer.status_code == 200
        assert GREETING in answer.text
        assert 'name="robots" content="noindex"' in answer.text
        assert "set-cookie" not in answer.headers
    with sqlite_server.client() as client:
        client.head(f"/brewbar/r/{code}")
    assert (len(rows_of(url, "visit")), len(rows_of(url, "touch"))) == before


@pytest.mark.parametrize("code", ["ZZZZZZZZ", "x", "%00", "a%2Fb", "é" * 90])
def test_a_code_that_is_nobody_s_is_the_plain_front_door(sqlite_server: Server, code: str) -> None:
    with sqlite_server.client() as client:
        answer = client.get(f"/brewbar/r/{code}")
        assert answer.status_code in (303, 404)
        assert "set-cookie" not in answer.headers
        assert GREETING not in client.get("/brewbar").text


def test_the_first_link_counts_and_a_forged_memory_invites_nobody(sqlite_server: Server) -> None:
    first, second = (registered(sqlite_server) for _ in range(2))
    address = new_address()
    with sqlite_server.client() as client:
        client.cookies.set("invite-brewbar", "ZZZZZZZZ")
        assert GREETING not in client.get("/brewbar").text
        for each in (first, second):
            client.get(f"/brewbar/r/{code_of(sqlite_server, each['id'])}")
        client.cookies.delete("invite-brewbar", domain="")
        register(client, address)
    assert referral_of(sqlite_server, address)["advocate_id"] == first["id"]


def test_a_second_self_in_the_same_browser_waits_for_a_look(sqlite_server: Server) -> None:
    address = new_address()
    with sqlite_server.client() as client:
        advocate = registered(sqlite_server, client)
        client.get(f"/brewbar/r/{code_of(sqlite_server, advocate['id'])}")
        client.cookies.delete("visit-brewbar")
        register(client, address)
        assert referral_of(sqlite_server, address)["signals"] == ["advocates_browser"]
        assert confirm(sqlite_server, client, address) == "flagged"


def test_on_a_shared_screen_the_next_person_starts_uninvited(sqlite_server: Server) -> None:
    code = code_of(sqlite_server, registered(sqlite_server)["id"])
    with sqlite_server.client() as client:
        client.get(f"/brewbar/r/{code}")
        client.post("/brewbar/register/over")
        assert GREETING not in client.get("/brewbar").text


def test_who_registers_again_is_not_their_own_friend(sqlite_server: Server) -> None:
    known = registered(sqlite_server)
    code = code_of(sqlite_server, registered(sqlite_server)["id"])
    with sqlite_server.client() as client:
        client.get(f"/brewbar/r/{code}")
        answer = register(client, known["email"])
    assert answer.headers["location"] == "/brewbar/register/sent"
    assert rows_of(sqlite_server.environment["DATABASE_URL"], "referral", friend_id=known["id"]) == []
