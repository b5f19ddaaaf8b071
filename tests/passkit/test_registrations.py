"""Registrations over HTTP: each call twice and in any order, and who may make it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from tests.pages.members import beside
from tests.passkit.phones import PASS_TYPE, Issued, Phone, call, eventually, issue
from tests.support.rows import rows_of
from tests.support.serving import Server
from web.foundation.schema import new_id, utc_now
from web.loyalty.installation import MOST_PHONES, forget_push_token, register_device
from web.loyalty.personal_data import erase
from web.loyalty.program import Program
from web.loyalty.wallet_pass import pass_for, void_passes, wallet_pass


def devices(issued: Issued) -> list[dict[str, Any]]:
    return rows_of(issued.server.environment["DATABASE_URL"], "pass_device", pass_id=issued.held.id)


def updates(issued: Issued) -> int:
    rows = rows_of(issued.server.environment["DATABASE_URL"], "delivery", lane=f"apple_card:{issued.held.id}")
    return len(rows)


def test_a_phone_comes_and_goes_as_often_as_it_likes(server: Server) -> None:
    issued, phone = issue(server), Phone(server)
    assert [phone.registers(issued).status_code for _ in range(3)] == [201, 200, 200]
    assert issued.row()["status"] == "installed"
    assert [each["first"] for each in issued.events("Loyalty card installed")] == [True]
    assert [phone.leaves(issued).status_code for _ in range(3)] == [200, 200, 200]
    assert issued.row()["status"] == "uninstalled"
    assert len(issued.events("Loyalty card uninstalled")) == 1
    assert phone.registers(issued).status_code == 201
    assert [each["first"] for each in issued.events("Loyalty card installed")] == [True, False]


def test_the_last_of_several_phones_uninstalls_the_card(server: Server) -> None:
    issued, one, two = issue(server), Phone(server), Phone(server)
    assert (one.registers(issued).status_code, two.registers(issued).status_code) == (201, 201)
    one.leaves(issued)
    assert issued.row()["status"] == "installed"
    two.leaves(issued)
    assert issued.row()["status"] == "uninstalled"
    assert len(issued.events("Loyalty card installed")) == 1


def test_a_new_push_token_is_that_of_all_its_passes(server: Server) -> None:
    first, second, phone = issue(server), issue(server), Phone(server)
    phone.registers(first)
    phone.registers(second)
    phone.push_token = "ab" * 32
    assert phone.registers(first).status_code == 200
    assert {row["push_token"] for each in (first, second) for row in devices(each)} == {"ab" * 32}


def test_a_phone_that_registered_since_is_believed_against_an_older_word_that_it_is_gone(
    sqlite_server: Server,
) -> None:
    issued, phone = issue(sqlite_server), Phone(sqlite_server)
    phone.registers(issued)
    before = utc_now()
    assert phone.registers(issued).status_code == 200
    for since, gone in ((before, 0), (utc_now(), 1)):
        assert (
            beside(
                sqlite_server, lambda conn, _, since=since: forget_push_token(conn, phone.push_token, since)
            )
            == gone
        )
    assert issued.row()["status"] == "uninstalled"


def test_whoever_changed_between_download_and_registration_is_told_at_once(server: Server) -> None:
    issued = issue(server)
    issued.gets(40)
    assert updates(issued) == 0, "nobody holds it yet"
    Phone(server).registers(issued)
    assert updates(issued) == 1


def test_whoever_brings_a_pass_from_elsewhere_is_told_to_look(server: Server) -> None:
    """The browser that got the newest version need not be the one whose older copy is installed."""
    issued = issue(server)
    database = server.environment["DATABASE_URL"]
    issued.gets(40)
    current = issued.row()["version"]
    beside(
        server,
        lambda conn, program: conn.execute(
            update(wallet_pass).where(wallet_pass.c.id == issued.held.id).values(handed_version=current)
        ),
    )
    Phone(server).registers(issued)
    assert len(rows_of(database, "delivery", lane=f"apple_card:{issued.held.id}")) == 1


def test_of_more_phones_than_anybody_has_the_newest_are_kept(server: Server) -> None:
    issued = issue(server)

    def fill(conn: Connection, program: Program) -> None:
        for number in range(MOST_PHONES + 5):
            register_device(conn, issued.held, program.id, f"made-up-{number}", f"{number:08x}")

    beside(server, fill)
    phone = Phone(server)
    assert phone.registers(issued).status_code == 201
    kept = {row["device_id"] for row in devices(issued)}
    assert len(kept) == MOST_PHONES
    assert phone.device in kept
    assert "made-up-0" not in kept


def test_a_pass_is_not_registered_without_end(sqlite_server: Server) -> None:
    issued, phone = issue(sqlite_server), Phone(sqlite_server)
    statuses = [phone.registers(issued).status_code for _ in range(130)]
    assert statuses[:60] == [201] + [200] * 59
    assert statuses[-1] == 429
    assert Phone(sqlite_server).registers(issue(sqlite_server)).status_code == 201, (
        "others are in nobody's way"
    )


WRONG: dict[str, Callable[[Issued], tuple[str, dict[str, str]]]] = {
    "no token": lambda issued: (issued.held.id, {}),
    "an empty one": lambda issued: (issued.held.id, {"authorization": "ApplePass"}),
    "another": lambda issued: (issued.held.id, {"authorization": f"ApplePass {'x' * 43}"}),
    "what no header may hold": lambda issued: (issued.held.id, {"authorization": "ApplePass \xe9\xff"}),
    "a part": lambda issued: (issued.held.id, {"authorization": f"ApplePass {issued.held.token[:-1]}"}),
    "another scheme": lambda issued: (issued.held.id, {"authorization": f"Bearer {issued.held.token}"}),
    "a serial of nobody": lambda issued: (new_id(), issued.headers),
    "nobody's own": lambda _: (
        "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
        {"authorization": "ApplePass " + "0" * 43},
    ),
    "no serial at all": lambda issued: ("%00..%27 or 1=1", issued.headers),
    "in capitals": lambda issued: (issued.held.id.upper(), issued.headers),
}


@pytest.fixture(scope="module")
def known(sqlite_server: Server) -> Issued:
    return issue(sqlite_server)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_stranger_gets_one_answer_whatever_is_wrong(known: Issued, wrong: str) -> None:
    serial, headers = WRONG[wrong](known)
    device = f"/passkit/v1/devices/stranger/registrations/{PASS_TYPE}/{serial}"
    answers = [
        call(known.server, "GET", f"/passkit/v1/passes/{PASS_TYPE}/{serial}", **headers),
        call(known.server, "POST", device, {"pushToken": "ab" * 32}, **headers),
        call(known.server, "DELETE", device, **headers),
    ]
    assert {(answer.status_code, answer.content, shape(answer)) for answer in answers} == {
        (401, b"", shape(answers[0]))
    }
    assert devices(known) == []


def shape(answer: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value) for name, value in answer.headers.items() if name not in ("date", "x-request-id")
    )


def test_neither_another_type_nor_google_s_card_opens_anything(server: Server) -> None:
    def google(conn: Any, program: Any) -> Any:
        return pass_for(conn, program.id, new_customer(conn, program), "google")

    theirs = Issued(server, beside(server, google))
    assert theirs.fetch().status_code == 401
    ours = issue(server)
    answer = call(server, "GET", ours.path.replace(PASS_TYPE, "pass.of.another"), **ours.headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"pushToken": None},
        {"pushToken": ""},
        {"pushToken": "no hex at all"},
        {"pushToken": "a" * 201},
    ],
)
def test_what_is_no_push_token_is_not_kept(known: Issued, body: Any) -> None:
    path = f"/passkit/v1/devices/{'d' * 32}/registrations/{PASS_TYPE}/{known.held.id}"
    assert call(known.server, "POST", path, body, **known.headers).status_code == 400
    assert devices(known) == []


@pytest.mark.parametrize("device", ["d" * 121, "a%20b", "%00", "%F0%9F%A6%84", "'--"])
def test_what_is_no_device_is_not_kept(known: Issued, device: str) -> None:
    path = f"/passkit/v1/devices/{device}/registrations/{PASS_TYPE}"
    body = {"pushToken": "ab" * 32}
    assert call(known.server, "POST", f"{path}/{known.held.id}", body, **known.headers).status_code == 400
    assert call(known.server, "GET", path).status_code == 204
    assert devices(known) == []


def test_a_body_is_read_up_to_what_a_registration_may_be(known: Issued) -> None:
    path = f"/passkit/v1/devices/{'d' * 32}/registrations/{PASS_TYPE}/{known.held.id}"
    answer = call(known.server, "POST", path, {"pushToken": "ab" * 32, "more": "x" * 5000}, **known.headers)
    assert (answer.status_code, answer.content) == (413, b"")


def test_what_there_is_not_is_told_by_its_status_alone(sqlite_server: Server) -> None:
    for method, path, status in (
        ("GET", "/passkit/v1/nothing", 404),
        ("GET", "/passkit/v1/log", 405),
        ("PUT", f"/passkit/v1/passes/{PASS_TYPE}/{new_id()}", 405),
    ):
        answer = call(sqlite_server, method, path)
        assert (answer.status_code, answer.content) == (status, b"")


def test_the_tag_leads_from_one_change_to_the_next(server: Server) -> None:
    one, two, phone = issue(server), issue(server), Phone(server)
    assert phone.asks().status_code == 204, "a phone that nobody knows"
    phone.registers(one)
    phone.registers(two)
    told = phone.asks().json()
    assert set(told["serialNumbers"]) == {one.held.id, two.held.id}
    assert phone.asks(told["lastUpdated"]).status_code == 204
    assert phone.asks(told["lastUpdated"]).content == b""
    for points in (10, 20, 30):
        one.gets(points)
    again = phone.asks(told["lastUpdated"]).json()
    assert again["serialNumbers"] == [one.held.id]
    assert phone.asks(again["lastUpdated"]).status_code == 204
    for unreadable in ("", "2013-01-01", "\x00", "all-", "x" * 5000, told["lastUpdated"][:-1] + "x"):
        assert len(phone.asks(unreadable).json()["serialNumbers"]) >= 1
    assert phone.asks(pass_type="pass.of.another").status_code == 204
    phone.leaves(one)
    phone.leaves(two)
    assert phone.asks().status_code == 204


def test_a_void_card_takes_a_registration_and_is_not_installed_by_it(server: Server) -> None:
    issued, phone = issue(server), Phone(server)
    beside(server, lambda conn, program: void_passes(conn, program.id, wallet_pass.c.id == issued.held.id))
    assert phone.registers(issued).status_code == 201
    assert issued.row()["status"] == "voided"
    assert issued.events("Loyalty card installed") == []
    assert updates(issued) == 1, "the phone has to hear of it"
    assert phone.asks().json()["serialNumbers"] == [issued.held.id]
    phone.leaves(issued)
    assert issued.row()["status"] == "voided"


def test_an_erased_customer_s_phone_hears_of_it_and_is_forgotten(server: Server) -> None:
    issued, phone = issue(server), Phone(server)
    phone.registers(issued)
    told = phone.asks().json()
    beside(server, lambda conn, program: erase(conn, program.id, issued.held.customer_id, []))
    assert phone.asks(told["lastUpdated"]).json()["serialNumbers"] == [issued.held.id]
    assert issued.fetch().status_code == 200
    eventually(lambda: devices(issued) == [])
    assert phone.asks().status_code == 204
