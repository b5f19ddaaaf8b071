"""What phones complain of: bounded, counted, and free of whatever could name a person or open a pass."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tests.passkit.phones import call, issue
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.cli import commands
from web.doctor.phones import look_at_phones
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.wallet.apple.phone_log import (
    LONGEST_LINE,
    MOST_KEPT,
    MOST_LINES,
    complaints,
    keep_lines,
    without_secrets,
)

TOKEN = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo"


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(new_id(), id="an id of today"),
        "01234567-1234-7abc-8abc-1234567890ab",
        "3c2f9f0a7f6e4d5b8a1c0e9d8b7a6f5e",
        TOKEN,
        "onlylettersbutmanymorethananywordhas",
        "zoe.nunez@example.org",
        "+34 600 123 456",
        "600123456",
        "4111 1111 1111 1111",
    ],
)
def test_nothing_that_names_or_opens_is_kept(secret: str) -> None:
    line = (
        f"[2026-11-21 09:41:00 +0100] Register task (for device {secret}, serial number {secret}; {secret})"
    )
    assert secret not in without_secrets(line)
    assert without_secrets(line).startswith("Register task (for device …")


def test_what_went_wrong_can_be_read() -> None:
    line = (
        "[2026-11-21 09:41:00 +0100] Get pass task (pass type pass.com.example.card, serial number "
        f"{new_id()}, if-modified-since (null); with web service url https://cards.example.com/passkit) "
        "encountered error: Received invalid pass data (The pass cannot be read because it isn’t valid.), code 500"
    )
    assert without_secrets(line) == (
        "Get pass task (pass type pass.com.example.card, serial number …, if-modified-since (null); with web service "
        "url https://cards.example.com/passkit) encountered error: Received invalid pass data (The pass cannot be "
        "read because it isn’t valid.), code 500"
    )


def test_a_line_is_one_line_and_of_some_length() -> None:
    told = without_secrets("\x00a\nb\u202ec\r\x1b[31m " + "long " * 1000)
    assert told.isprintable()
    assert len(told) <= LONGEST_LINE


async def test_the_same_words_are_counted_and_the_oldest_make_room(database: Database) -> None:
    await database.write(keep_lines, [f"[{moment}] It is {new_id()} that is wrong" for moment in range(5)])
    await database.write(keep_lines, ["It is 0199a1b2 that is wrong", "", "  "])
    [told] = await database.read(complaints)
    assert (told.message, told.count) == ("It is … that is wrong", 6)
    assert told.first_at < told.last_at
    for start in range(0, MOST_KEPT, MOST_LINES):
        numbers = range(start, start + MOST_LINES + 10)
        assert await database.write(keep_lines, [words(number) for number in numbers]) == MOST_LINES
    kept = await database.read(complaints, 2 * MOST_KEPT)
    assert len(kept) == MOST_KEPT
    assert "It is … that is wrong" not in {each.message for each in kept}


def words(number: int) -> str:
    """A line of its own for each number, without a digit."""
    return "wrong " + " ".join("abcdefghij"[int(digit)] for digit in str(number))


def test_phones_write_and_the_operator_reads(server: Server) -> None:
    issued = issue(server)
    lines = [f"[now] Pass {issued.held.id} of {issued.held.token} is not good", "Pass of nobody is not good"]
    for _ in range(2):
        assert call(server, "POST", "/passkit/v1/log", {"logs": lines}).status_code == 200
    url = server.environment["DATABASE_URL"]
    kept = rows_of(url, "phone_log")
    assert {row["message"]: row["count"] for row in kept} == {
        "Pass … of … is not good": 2,
        "Pass of nobody is not good": 2,
    }
    assert issued.held.id not in json.dumps(kept, default=str)
    told = CliRunner(env=server.environment).invoke(commands, ["passkit", "log"])
    assert told.exit_code == 0, told.output
    assert "Pass of nobody is not good" in told.output
    assert "2 times" in told.output


@pytest.mark.parametrize("body", [None, [], {}, {"logs": "a"}, {"logs": [1]}, {"logs": None}])
def test_what_is_no_log_is_not_kept(sqlite_server: Server, body: Any) -> None:
    before = rows_of(sqlite_server.environment["DATABASE_URL"], "phone_log")
    answer = call(sqlite_server, "POST", "/passkit/v1/log", body, x_forwarded_for="10.1.1.1")
    assert (answer.status_code, answer.content) == (400, b"")
    assert rows_of(sqlite_server.environment["DATABASE_URL"], "phone_log") == before


def test_a_flood_is_refused_and_a_book_is_not_read(sqlite_server: Server) -> None:
    log = "/passkit/v1/log"
    assert (
        call(sqlite_server, "POST", log, {"logs": ["x" * 70_000]}, x_forwarded_for="10.2.2.2").status_code
        == 413
    )
    answers = [call(sqlite_server, "POST", log, {"logs": []}, x_forwarded_for="10.3.3.3") for _ in range(40)]
    assert [answer.status_code for answer in answers[:30]] == [200] * 30
    # The window slides, and lets one in now and then.
    refused = next(answer for answer in answers[30:] if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.content == b""
    assert call(sqlite_server, "POST", log, {"logs": []}, x_forwarded_for="10.4.4.4").status_code == 200


def test_the_doctor_says_when_phones_complained_lately(fresh_database: Any) -> None:
    url = fresh_database("sqlite")
    [calm] = in_database(url, lambda conn: list(look_at_phones(conn)))
    assert calm.level == "ok"
    in_database(url, lambda conn: keep_lines(conn, ["The pass is not good", "The card is not good"]))
    [told] = in_database(url, lambda conn: list(look_at_phones(conn)))
    assert told.level == "note"
    assert "2 different complaints" in told.what
    assert "passkit log" in told.do
