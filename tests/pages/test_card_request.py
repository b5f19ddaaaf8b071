"""Asking for one's card: the same answer for everyone, and nobody's inbox is flooded (ruling 5)."""

import random
import statistics
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from tests.pages.steps import link_for, links_in, new_address, quiet, register, registered, without_chance
from tests.support.rows import in_database, rows_of
from tests.support.serving import IPHONE, Server
from web.foundation.schema import new_id, utc_now
from web.foundation.short_code import new_code
from web.tables import metadata

TRIES = 1000


def ask(server: Server, address: str) -> Any:
    with server.client(accept_encoding="identity") as client:
        return client.post("/brewbar/card", data={"contact": address})


def test_known_and_unknown_get_the_same_answer(server: Server) -> None:
    known = registered(server)["email"]
    unknown = new_address()
    answers = [ask(server, address) for address in (known, unknown)]
    assert answers[0].status_code == 202
    assert known in answers[0].text, "it is shown to whoever typed it"
    told = [
        (status, headers, body.replace(address.encode(), b"X"))
        for address, (status, headers, body) in zip(
            (known, unknown), map(without_chance, answers), strict=True
        )
    ]
    assert told[0] == told[1]


def test_known_and_unknown_phones_get_the_same_answer(server: Server) -> None:
    known, unknown = (f"+346{random.randrange(10**8):08d}" for _ in range(2))
    with server.client() as client:
        register(client, known)
    told = [
        without_chance(ask(server, number))[2].replace(number.encode(), b"X") for number in (known, unknown)
    ]
    assert told[0] == told[1]


def test_known_and_unknown_take_the_same_time(server: Server) -> None:
    known = add_customers(server, TRIES // 2)
    addresses = known + [new_address() for _ in known]
    # In any order, so that what the worker does after one answer falls upon both kinds alike.
    random.Random(7).shuffle(addresses)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    owners = set(known)
    with server.client() as client:
        for address in addresses:
            client.headers["x-forwarded-for"] = f"10.{random.randrange(256)}.{random.randrange(256)}.9"
            started = time.perf_counter()
            client.post("/brewbar/card", data={"contact": address})
            seconds[address in owners].append(time.perf_counter() - started)
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    apart, chance = abs(medians[True] - medians[False]), noise(seconds[True] + seconds[False])
    print(
        f"\n{TRIES} tries: known {1000 * medians[True]:.2f} ms, unknown {1000 * medians[False]:.2f} ms, "
        f"apart {1000 * apart:.2f} ms, by chance up to {1000 * chance:.2f} ms"
    )
    assert apart < chance


def noise(times: list[float]) -> float:
    """What medians of random halves of these differ by, nearly always; the work on a known address is far above."""
    chance = random.Random(1)
    differences = []
    for _ in range(400):
        chance.shuffle(times)
        half = len(times) // 2
        differences.append(abs(statistics.median(times[:half]) - statistics.median(times[half:])))
    return 1.5 * max(differences) + 0.0003


def add_customers(server: Server, count: int) -> list[str]:
    url = server.environment["DATABASE_URL"]
    [program] = rows_of(url, "program", slug="brewbar")
    addresses = [new_address() for _ in range(count)]
    now = utc_now()
    rows = [
        {
            "program_id": program["id"],
            "id": new_id(),
            "email": address,
            "email_key": address,
            "name": "Zoë",
            "locale": "en",
            "extra": {},
            "card_number": new_code(12),
            "origin": "test",
            "created_at": now,
            "updated_at": now,
        }
        for address in addresses
    ]

    def add(conn: Connection) -> None:
        conn.execute(insert(metadata.tables["customer"]), rows)

    in_database(url, add)
    return addresses


def test_the_link_goes_to_the_stored_spelling_only(server: Server) -> None:
    with server.client() as client:
        stored = f"Zoe.{uuid4().hex[:8]}@example.org"
        register(client, stored)
    server.messages(stored)
    ask(server, stored.upper())
    ask(server, stored.lower())
    mails = server.messages(stored, at_least=3)
    assert len([mail for mail in mails if any("/download?" in link for link in links_in(mail))]) == 2
    for typed in (stored.upper(), stored.lower()):
        assert not server.messages(typed, most=0)


def test_look_alikes_are_strangers(server: Server) -> None:
    owner = registered(server)
    quiet(server)
    for typed in (owner["email"].replace("o", "о", 1), owner["email"].replace("zoe", "zoe+1")):
        ask(server, typed)
    quiet(server)
    assert len(server.messages(owner["email"])) == 1, "only the confirmation of the registration"


def test_the_mail_says_which_phone_asked(server: Server) -> None:
    owner = registered(server)
    ask(server, owner["email"])
    mail = server.messages(owner["email"], at_least=2)[0]
    assert "Safari" in mail["text"]
    assert "iPhone" in mail["text"]
    assert IPHONE not in mail["text"]


def test_at_most_three_link_mails_an_hour_whatever_the_way(server: Server) -> None:
    owner = registered(server)  # the first: the confirmation
    dead = link_for(server, owner["id"], lifetime=timedelta(seconds=-60))
    unconfirmed = link_for(server, owner["id"], "verify", lifetime=timedelta(seconds=-60))
    for _ in range(2):
        with server.client() as client:
            ask(server, owner["email"])
            register(client, owner["email"].upper())
            client.get(f"/brewbar/download?token={dead.token}")
            assert client.post("/brewbar/download/again").status_code == 200
            client.get(f"/brewbar/verify?token={unconfirmed.token}")
            assert client.post("/brewbar/verify/again").status_code == 200
    quiet(server)
    assert len(server.messages(owner["email"])) == 3


def test_asking_is_written_down_and_forgotten(server: Server) -> None:
    address = new_address()
    ask(server, address)
    quiet(server)
    rows = [str(row) for row in rows_of(server.environment["DATABASE_URL"], "delivery")]
    assert not any(address in row for row in rows), "nobody we know, so nothing is kept"
