"""What Google tells of saved and removed cards: whom we believe, and what becomes of it in whatever order it comes."""

import itertools
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from tests.conftest import BOTH, Fresh
from tests.loyalty.people import new_customer
from tests.support.google import ISSUER_ID, Google
from tests.support.google_signer import DAY, Signer, now
from tests.support.rows import in_database
from web.demo import SLUG
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.foundation.sealing import Sealer
from web.loyalty.event import event
from web.loyalty.program import Program, load_program
from web.loyalty.wallet_pass import Pass, pass_for, void_passes, wallet_pass
from web.wallet.google.callback_keys import KeysUnavailableError, RootKeys, root_keys
from web.wallet.google.callback_proof import (
    LONGEST_BODY,
    Callback,
    MalformedError,
    UnbelievableError,
    believed,
)
from web.wallet.google.callbacks import GoogleCallbacks, google_callback, purge_callbacks, take_callback
from web.wallet.google.objects import object_id

SIGNER = Signer(ISSUER_ID)
ROOTS = [root.key for root in root_keys(json.dumps(SIGNER.keys()).encode())]
A_MESSAGE = SIGNER.message("save", f"{ISSUER_ID}.card-1")
A_BODY = json.dumps(SIGNER.envelope(A_MESSAGE)).encode()
TOMORROW = now() + DAY
FORGERIES = SIGNER.forgeries(A_MESSAGE)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, fresh_database: Fresh) -> str:
    return fresh_database(getattr(request, "param", "sqlite"))


def test_what_google_signed_for_us_is_believed() -> None:
    message = believed(A_BODY, ROOTS, ISSUER_ID)
    assert (message.event_type, message.object_id) == ("save", f"{ISSUER_ID}.card-1")
    assert message.nonce == A_MESSAGE["nonce"]


@pytest.mark.parametrize("what", FORGERIES)
def test_what_google_did_not_sign_for_us_is_not_believed(what: str) -> None:
    with pytest.raises((UnbelievableError, MalformedError)):
        believed(FORGERIES[what], ROOTS, ISSUER_ID)


def test_without_a_root_key_nothing_is_believed() -> None:
    with pytest.raises(UnbelievableError):
        believed(A_BODY, [], ISSUER_ID)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_altered_body_is_believed(data: st.DataObject) -> None:
    body = bytearray(A_BODY)
    where = data.draw(st.integers(0, len(body) - 1))
    body[where] = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[where]))
    try:
        message = believed(bytes(body), ROOTS, ISSUER_ID)
    except (UnbelievableError, MalformedError):
        return
    # White space between the parts, or the name of a field that means nothing, is not signed.
    assert message.nonce == A_MESSAGE["nonce"]
    assert message.object_id == A_MESSAGE["objectId"]
    assert message.event_type == "save"


@given(
    st.binary(max_size=200)
    | st.recursive(st.text() | st.integers() | st.none(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
@settings(max_examples=200, deadline=None)
def test_no_rubbish_breaks_it(body: bytes) -> None:
    with pytest.raises((UnbelievableError, MalformedError)):
        believed(body, ROOTS, ISSUER_ID)


def test_a_body_that_is_too_long_is_not_read() -> None:
    envelope = SIGNER.envelope(A_MESSAGE | {"more": "x" * LONGEST_BODY})
    with pytest.raises(MalformedError):
        believed(json.dumps(envelope).encode(), ROOTS, ISSUER_ID)


# Google's keys


async def test_keys_are_fetched_once_for_as_long_as_their_cache_says(google: Google) -> None:
    async with httpx.AsyncClient() as http:
        keys = RootKeys(http, google.keys_url)
        for _ in range(3):
            assert len(await keys.now()) == 1, "a key of another protocol is none of ours"
    assert google.calls.count("GET /gp/m/issuer/keys") == 1


async def test_keys_that_ended_serve_no_more(google: Google) -> None:
    google.signer.root_expires = now() - 1
    async with httpx.AsyncClient() as http:
        with pytest.raises(KeysUnavailableError):
            await RootKeys(http, google.keys_url).now()


async def test_while_google_is_away_known_keys_serve_and_nobody_asks_without_end(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 1000.0
    monkeypatch.setattr("web.wallet.google.callback_keys.time.monotonic", lambda: at)
    answer = {"status": 200}
    asked = 0

    def reply(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(
            answer["status"],
            json=google.signer.keys(),
            headers={"cache-control": "max-age=300", "age": "100"},
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        keys = RootKeys(http, "https://pay.google.com/gp/m/issuer/keys")
        await keys.now()
        at += 199
        await keys.now()
        assert asked == 1, "still fresh"
        at += 2
        answer["status"] = 503
        assert len(await keys.now()) == 1
        assert len(await keys.now()) == 1
        assert asked == 2
        never = RootKeys(http, "https://pay.google.com/gp/m/issuer/keys")
        for _ in range(3):
            with pytest.raises(KeysUnavailableError):
                await never.now()
        assert asked == 3


# What becomes of it


@pytest.fixture
async def held(database: Database, program: Program) -> Pass:
    def issue(conn: Connection) -> Pass:
        return pass_for(conn, program.id, new_customer(conn, program), "google")

    return await database.write(issue)


def a_callback(kind: Any, at: int, nonce: str = "") -> Callback:
    return Callback(object_id="", event_type=kind, exp_time_millis=TOMORROW + at, nonce=nonce or new_id())


@pytest.mark.parametrize("database_url", BOTH, indirect=True)
async def test_a_save_installs_and_a_removal_uninstalls_each_once(
    database: Database, program: Program, held: Pass, google: Google
) -> None:
    async with httpx.AsyncClient() as http:
        callbacks = GoogleCallbacks(database, RootKeys(http, google.keys_url), google.issuer_id)
        named = object_id(google.issuer_id, held.id)
        at = now()
        save, remove = google.callback("save", named, at=at), google.callback("del", named, at=at + 2)
        assert await callbacks.take(save) == "saved"
        assert await callbacks.take(save) == "known"
        assert await callbacks.take(google.callback("save", named, at=at + 1)) == "known"
        assert await callbacks.take(remove) == "removed"
        assert await callbacks.take(remove) == "known"
        assert await callbacks.take(save) == "known"
        assert await callbacks.take(google.callback("save", named, at=at + 3)) == "saved"
        for strange in (f"{google.issuer_id}.card-{new_id()}", f"{google.issuer_id}.x", f"1.card-{held.id}"):
            assert await callbacks.take(google.callback("save", strange)) == "unknown"
    names = await database.read(names_of_events, held.customer_id)
    assert names == ["installed", "uninstalled", "installed"]


async def test_a_removal_that_came_before_its_save_is_the_last_word(
    database: Database, program: Program, held: Pass
) -> None:
    assert await database.write(take_callback, held.id, a_callback("del", 2)) == "removed"
    assert await database.write(take_callback, held.id, a_callback("save", 1)) == "late"
    assert await database.write(status_of, held.id) == "uninstalled"
    assert await database.read(names_of_events, held.customer_id) == ["installed", "uninstalled"]


async def test_a_void_card_is_nobody_s(database: Database, program: Program, held: Pass) -> None:
    await database.write(void_passes, program.id, wallet_pass.c.id == held.id)
    assert await database.write(take_callback, held.id, a_callback("save", 1)) == "known"
    assert await database.write(status_of, held.id) == "voided"


async def test_what_is_over_is_forgotten(database: Database, program: Program, held: Pass) -> None:
    await database.write(take_callback, held.id, a_callback("save", -3 * DAY))
    await database.write(take_callback, held.id, a_callback("save", 0))
    assert await database.write(purge_callbacks) == 1


def status_of(conn: Connection, pass_id: str) -> str:
    return str(conn.scalar(select(wallet_pass.c.status).where(wallet_pass.c.id == pass_id)))


def names_of_events(conn: Connection, customer_id: str) -> list[str]:
    rows = conn.scalars(select(event.c.name).where(event.c.customer_id == customer_id).order_by(event.c.id))
    return [name.rsplit(" ", 1)[1] for name in rows if name.startswith("Loyalty card")]


@pytest.fixture
def filled(database_url: str, sealer: Sealer) -> tuple[str, Pass]:
    def issue(conn: Connection) -> tuple[str, Pass]:
        program = load_program(conn, SLUG, sealer)
        assert program is not None
        return database_url, pass_for(conn, program.id, new_customer(conn, program), "google")

    filled: tuple[str, Pass] = in_database(database_url, issue)
    return filled


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=st.integers(1, 6), data=st.data())
def test_in_whatever_order_and_however_often_it_comes_the_end_is_what_happened_last(
    filled: tuple[str, Pass], happened: int, data: st.DataObject
) -> None:
    url, held = filled
    kinds = list(itertools.islice(itertools.cycle(("save", "del")), happened))
    told = [a_callback(kind, number * 1000) for number, kind in enumerate(kinds)]
    coming = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=4))))

    def take(conn: Connection) -> None:
        conn.execute(delete(google_callback))
        conn.execute(
            update(wallet_pass)
            .where(wallet_pass.c.id == held.id)
            .values(status="created", installed_at=None, uninstalled_at=None)
        )
        outcomes = [take_callback(conn, held.id, each) for each in coming]
        assert status_of(conn, held.id) == ("installed" if kinds[-1] == "save" else "uninstalled")
        assert outcomes.count("saved") <= kinds.count("save")
        assert outcomes.count("removed") <= kinds.count("del")

    in_database(url, take)
