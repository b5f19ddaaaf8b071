"""Messages on a card at Google: never lost, never doubled, and three of them a day light up the phone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from tests.conftest import BOTH, Fresh
from tests.loyalty.people import new_customer
from tests.support.google import Google
from tests.support.rows import in_database
from web.demo import SLUG
from web.foundation.database import Database
from web.foundation.delivery import Drop, GiveUp, TryLater
from web.foundation.schema import new_id
from web.foundation.sealing import Sealer
from web.loyalty.program import Program, load_program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import Pass, pass_for, void_passes, wallet_pass
from web.wallet.designs import Designs
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.deliveries import GoogleCards
from web.wallet.google.notices import (
    BUDGET,
    KEPT,
    GoogleMessages,
    Outcome,
    google_notice,
    purge_notices,
    take_turn,
)
from web.wallet.google.wallet import GoogleWallet

BASE = "https://cards.example.com"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, fresh_database: Fresh) -> str:
    return fresh_database(getattr(request, "param", "sqlite"))


@pytest.fixture
async def messages(
    database: Database, sealer: Sealer, google: Google, account: ServiceAccount
) -> AsyncIterator[GoogleMessages]:
    programs = Programs(database, sealer)
    await programs.refresh()
    async with httpx.AsyncClient() as http:
        client = GoogleClient(http, account, api_url=google.api_url, token_url=google.token_url)
        designs = Designs(database, BASE, lambda _locale, source: source)
        wallet = GoogleWallet(account, google.issuer_id, origins=[BASE])
        yield GoogleMessages(database, GoogleCards(database, programs, wallet, client, designs))


@pytest.fixture
async def held(database: Database, program: Program) -> Pass:
    def issue(conn: Connection) -> Pass:
        return pass_for(conn, program.id, new_customer(conn, program), "google")

    return await database.write(issue)


@pytest.fixture
def filled(database_url: str, sealer: Sealer) -> tuple[str, str, str]:
    """A database, its programme and a card in it."""

    def issue(conn: Connection) -> tuple[str, str, str]:
        program = load_program(conn, SLUG, sealer)
        assert program is not None
        return database_url, program.id, pass_for(conn, program.id, new_customer(conn, program), "google").id

    filled: tuple[str, str, str] = in_database(database_url, issue)
    return filled


async def tell(
    messages: GoogleMessages,
    program: Program,
    held: Pass,
    body: str,
    message_id: str = "",
    notify: bool = True,
) -> Outcome:
    return await messages.tell(
        program.id, held.id, message_id=message_id or new_id(), header="Brew Bar", body=body, notify=notify
    )


def on_the_card(google: Google, held: Pass) -> list[str]:
    return [message["body"] for message in (google.object(held.id) or {}).get("messages", [])]


async def test_three_light_up_the_phone_and_the_fourth_is_on_the_card(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    await messages.cards.keep(program.id, held.id)
    held_there = google.object(held.id)
    assert held_there is not None
    held_there["hasUsers"] = True
    outcomes = [await tell(messages, program, held, f"Number {number}") for number in range(5)]
    assert outcomes == ["notified"] * 3 + ["over budget"] * 2
    assert google.phone.notices(held_there["id"]) == ["Number 0", "Number 1", "Number 2"]
    assert on_the_card(google, held) == [f"Number {number}" for number in range(5)]
    assert await tell(messages, program, held, "Quiet", notify=False) == "added"
    # A day later the budget is whole again, with us and with Google.
    await messages.database.write(
        lambda conn: (
            conn.execute(update(google_notice).values(at=datetime.now(UTC) - timedelta(hours=25))).rowcount
        )
    )
    google.clock += 25 * 3600
    assert await tell(messages, program, held, "The next day") == "notified"


async def test_a_message_goes_on_a_card_that_google_does_not_hold_yet(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    assert await tell(messages, program, held, "Welcome") == "notified"
    assert on_the_card(google, held) == ["Welcome"]


async def test_a_repetition_adds_nothing_and_costs_nothing(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    await messages.cards.keep(program.id, held.id)
    google.lose_answers = 1
    with pytest.raises(TryLater):
        await tell(messages, program, held, "Once", "m1")
    assert await tell(messages, program, held, "Once", "m1") == "notified"
    assert await tell(messages, program, held, "Once", "m1") == "notified"
    assert on_the_card(google, held) == ["Once"]
    google.fail_next(503)
    with pytest.raises(TryLater):
        await tell(messages, program, held, "Twice", "m2")
    assert await tell(messages, program, held, "Twice", "m2") == "notified"
    assert await tell(messages, program, held, "Thrice", "m3") == "notified"
    assert on_the_card(google, held) == ["Once", "Twice", "Thrice"]


async def test_google_s_own_count_is_believed(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    await messages.cards.keep(program.id, held.id)
    google.fail_next(429, message="QuotaExceededException")
    assert await tell(messages, program, held, "Elsewhere it was three", "m1") == "over budget"
    assert await tell(messages, program, held, "Elsewhere it was three", "m1") == "over budget"
    assert on_the_card(google, held) == ["Elsewhere it was three"]


async def test_a_full_card_keeps_the_newest_messages(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    for number in range(12):
        await tell(messages, program, held, f"Number {number}", notify=False)
    assert on_the_card(google, held)[-3:] == ["Number 9", "Number 10", "Number 11"]
    assert len(on_the_card(google, held)) < 10


async def test_a_card_that_is_void_or_unknown_gets_none(
    messages: GoogleMessages, program: Program, held: Pass, google: Google
) -> None:
    with pytest.raises(Drop):
        await messages.tell(program.id, new_id(), message_id="m1", header="Brew Bar", body="To nobody")
    google.fail_next(400)
    with pytest.raises(GiveUp):
        await tell(messages, program, held, "Refused")
    await messages.database.write(void_passes, program.id, wallet_pass.c.id == held.id)
    with pytest.raises(Drop):
        await tell(messages, program, held, "Too late")


@pytest.mark.parametrize("database_url", BOTH, indirect=True)
async def test_of_many_at_once_three_have_a_turn(database: Database, program: Program, held: Pass) -> None:
    turns = await asyncio.gather(
        *(database.write(take_turn, program.id, held.id, f"m{number}", True, NOON) for number in range(12))
    )
    assert sum(turn.notifies for turn in turns) == BUDGET
    assert not any(turn.again for turn in turns)
    again = await database.write(take_turn, program.id, held.id, "m3", True, NOON)
    assert again == (turns[3].notifies, True)


async def test_what_counts_no_more_is_forgotten(database: Database, program: Program, held: Pass) -> None:
    old = datetime.now(UTC) - KEPT - timedelta(minutes=1)
    await database.write(take_turn, program.id, held.id, "old", True, old)
    await database.write(take_turn, program.id, held.id, "new", True, datetime.now(UTC))
    assert await database.write(purge_notices) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    minutes=st.lists(st.integers(0, 3000), max_size=30),
    quiet=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_in_no_24_hours_more_than_three_notify_and_none_waits_that_need_not(
    filled: tuple[str, str, str], minutes: list[int], quiet: list[bool]
) -> None:
    url, program_id, pass_id = filled

    def take(conn: Connection) -> None:
        conn.execute(delete(google_notice))
        notified: list[datetime] = []
        for number, minute in enumerate(sorted(minutes)):
            at = NOON + timedelta(minutes=minute)
            recent = [each for each in notified if each > at - timedelta(hours=24)]
            turn = take_turn(conn, program_id, pass_id, f"m{number}", not quiet[number], at)
            assert turn.notifies == (not quiet[number] and len(recent) < BUDGET)
            if turn.notifies:
                notified.append(at)

    in_database(url, take)
