"""Cards at Google, told of over REST: what is told, when, and what is left there in the end."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from tests.conftest import BOTH, Fresh
from tests.loyalty.people import new_customer
from tests.support.google import Google
from tests.support.ledger import change_points
from web.demo import SLUG
from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, GiveUp, TryLater, Wait, delivery
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.customer import Details, change_details
from web.loyalty.held_card import find_held_card
from web.loyalty.pass_item import NewItem, issue_item, pass_for_item
from web.loyalty.personal_data import erase
from web.loyalty.program import Program, change_program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import Pass, find_pass_by_id, mark_handed, pass_for, void_passes, wallet_pass
from web.wallet.designs import Designs
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.deliveries import GoogleCards
from web.wallet.google.telling import Teller
from web.wallet.google.told import google_told
from web.wallet.google.wallet import GoogleWallet
from web.wallet.issue import card_of

BASE = "https://cards.example.com"
NAME = "Zoë Núñez"


@dataclass
class Desk:
    """A worker's room for Google, and a customer's card in it."""

    database: Database
    program: Program
    google: Google
    cards: GoogleCards
    customer_id: str
    held: Pass

    async def deliver(self, held: Pass | None = None) -> list[str]:
        """Tell Google as a worker does; returns what it was asked, in short."""
        before = len(self.google.api_calls)
        await self.cards.store(a_delivery(self.program.id, (held or self.held).id))
        return [f"{call.method} {call.path.split('/')[0]}" for call in self.google.api_calls[before:]]

    async def earn(self, points: int) -> None:
        await self.database.write(change_points, SLUG, self.customer_id, points)

    def last_body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.google.api_calls[-1].body
        return body

    @property
    def object(self) -> dict[str, Any]:
        found = self.google.object(self.held.id)
        assert found is not None
        return found

    @property
    def class_(self) -> dict[str, Any]:
        return self.google.held["loyaltyClass"][self.object["classId"]]


def a_delivery(program_id: str, pass_id: str, tries: int = 1) -> Delivery:
    return Delivery(
        program_id=program_id,
        id="0199a1b2-0000-7000-8000-000000000000",
        kind="google_card",
        event_id=None,
        payload={"pass_id": pass_id},
        tries=tries,
        created_at=utc_now(),
    )


def translate(_locale: str, source: str) -> str:
    return source


async def worker_of(
    database: Database, sealer: Sealer, google: Google, account: ServiceAccount, http: httpx.AsyncClient
) -> GoogleCards:
    """What one process has of its own."""
    programs = Programs(database, sealer)
    await programs.refresh()
    wallet = GoogleWallet(
        account, google.issuer_id, origins=[BASE], callback_url=f"{BASE}/webhooks/google-wallet"
    )
    client = GoogleClient(http, account, api_url=google.api_url, token_url=google.token_url)
    return GoogleCards(database, programs, wallet, client, Designs(database, BASE, translate))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, fresh_database: Fresh) -> str:
    """SQLite where only Google is looked at; `on_both` says where the database decides."""
    return fresh_database(getattr(request, "param", "sqlite"))


on_both = pytest.mark.parametrize("database_url", BOTH, indirect=True)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as opened:
        yield opened


@pytest.fixture
async def desk(
    database: Database,
    program: Program,
    sealer: Sealer,
    google: Google,
    account: ServiceAccount,
    http: httpx.AsyncClient,
) -> Desk:
    def given(conn: Connection) -> tuple[str, Pass]:
        customer_id = new_customer(conn, program, name=NAME)
        return customer_id, pass_for(conn, program.id, customer_id, "google")

    customer_id, held = await database.write(given)
    cards = await worker_of(database, sealer, google, account, http)
    return Desk(database, program, google, cards, customer_id, held)


@on_both
async def test_a_card_is_told_of_once_and_then_of_what_changed(desk: Desk) -> None:
    assert await desk.deliver() == ["POST loyaltyClass", "POST loyaltyObject"]
    assert desk.object["accountName"] == NAME
    assert desk.class_["callbackOptions"] == {"url": f"{BASE}/webhooks/google-wallet"}
    held = await desk.database.read(find_pass_by_id, desk.program.id, desk.held.id)
    assert held is not None
    assert held.stored_at is not None
    assert await desk.deliver() == [], "nothing changed, so nothing is said"

    await desk.earn(120)
    assert await desk.deliver() == ["PATCH loyaltyObject"]
    assert "loyaltyPoints" in desk.last_body()
    assert not desk.last_body().keys() & {"accountName", "barcode", "classId", "linksModuleData", "state"}
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 120}
    assert desk.object["accountName"] == NAME


async def test_a_changed_design_is_told_to_the_class_and_costs_the_cards_nothing(
    desk: Desk, sealer: Sealer, account: ServiceAccount, http: httpx.AsyncClient
) -> None:
    await desk.deliver()
    settings = msgspec.structs.replace(desk.program.settings, name="Brew & Bean")
    await desk.database.write(change_program, SLUG, settings)
    assert await desk.deliver() == ["PATCH loyaltyClass"]
    assert desk.class_["issuerName"] == "Brew & Bean"
    assert desk.class_["reviewStatus"] == "APPROVED"
    assert "hexBackgroundColor" not in desk.last_body()
    # Another process knows from the database what Google was told.
    other = await worker_of(desk.database, sealer, desk.google, account, http)
    asked = len(desk.google.api_calls)
    await other.store(a_delivery(desk.program.id, desk.held.id))
    assert len(desk.google.api_calls) == asked


async def test_a_process_with_an_old_programme_does_not_undo_what_a_newer_one_told(
    desk: Desk, sealer: Sealer, account: ServiceAccount, http: httpx.AsyncClient
) -> None:
    other = await worker_of(desk.database, sealer, desk.google, account, http)
    settings = msgspec.structs.replace(desk.program.settings, name="Brew & Bean")
    await desk.database.write(change_program, SLUG, settings)
    await desk.cards.programs.refresh()
    await desk.deliver()
    old = other.programs.by_id(desk.program.id)
    assert old is not None
    assert old.settings.name != "Brew & Bean"
    await other.store(a_delivery(desk.program.id, desk.held.id))
    assert desk.class_["issuerName"] == "Brew & Bean"


async def test_what_a_card_shows_no_more_is_gone_at_google_and_messages_stay(desk: Desk) -> None:
    await desk.deliver()
    desk.object["messages"] = [
        {"id": "m1", "header": "Hi", "body": "Hello", "messageType": "TEXT_AND_NOTIFY"}
    ]
    desk.object["hasUsers"] = True
    await desk.database.write(
        change_details,
        desk.program.id,
        desk.customer_id,
        Details(name=None, birthday=None, extra={}, locale="en"),
    )
    assert await desk.deliver() == ["GET loyaltyObject", "PUT loyaltyObject"]
    assert "accountName" not in desk.object
    assert [message["body"] for message in desk.object["messages"]] == ["Hello"]
    assert desk.google.notices == [], "an old message lights up no phone"
    await desk.earn(10)
    assert await desk.deliver() == ["PATCH loyaltyObject"]


async def test_a_void_card_is_inactive_and_an_erased_customer_leaves_nothing(desk: Desk) -> None:
    await desk.deliver()
    number = desk.object["accountId"]
    await desk.database.write(void_passes, desk.program.id, wallet_pass.c.id == desk.held.id)
    assert await desk.deliver() == ["GET loyaltyObject", "PUT loyaltyObject"]
    assert desk.object["state"] == "INACTIVE"
    assert not {NAME, number} & set(map(str, desk.object.values())), "the phone may be in a stranger's hands"
    desk.object["messages"] = [{"header": "Hi", "body": f"Dear {NAME}"}]
    await desk.database.write(erase, desk.program.id, desk.customer_id, [])
    await desk.deliver()
    assert desk.object["state"] == "INACTIVE"
    left = str(desk.google.held)
    assert NAME not in left
    assert number not in left


async def test_an_erased_customer_s_other_passes_name_nobody_either(desk: Desk) -> None:
    def issue(conn: Connection, kind: Any) -> Pass:
        new = NewItem(
            kind=kind,
            title={"en": "A free coffee"},
            number=f"GIFT-{kind}",
            amount=2500 if kind == "gift_card" else None,
            expires_at=datetime.now(UTC) + timedelta(days=30),
        )
        return pass_for_item(
            conn, desk.program.id, issue_item(conn, desk.program.id, desk.customer_id, new), "google"
        )

    others = [await desk.database.write(issue, kind) for kind in ("coupon", "gift_card", "membership")]
    for each in others:
        calls = await desk.deliver(each)
        assert [call.split()[0] for call in calls] == ["POST", "POST"]
    await desk.database.write(erase, desk.program.id, desk.customer_id, [])
    for each in others:
        assert await desk.deliver(each)
    for resource in ("offerObject", "giftCardObject", "genericObject"):
        [left] = desk.google.held[resource].values()
        assert left["state"] == "INACTIVE"
        assert NAME not in str(left)
        assert "GIFT" not in str(left)


async def test_a_card_that_was_void_before_google_heard_of_it_is_not_told_of(desk: Desk) -> None:
    await desk.database.write(void_passes, desk.program.id, wallet_pass.c.id == desk.held.id)
    with pytest.raises(Drop):
        await desk.deliver()
    # But a browser may have taken it to Google in a link of its own.
    await desk.database.write(mark_handed, desk.program.id, desk.held)
    await desk.deliver()
    assert desk.object["state"] == "INACTIVE"


async def test_what_a_save_link_brought_is_completed(desk: Desk) -> None:
    shown = await find_held_card(desk.database, desk.held.id)
    assert shown is not None
    design = await desk.cards.designs.of(desk.program)
    assert desk.cards.wallet is not None
    desk.google.phone.save(desk.cards.wallet.save_url(design, card_of(desk.program, shown)))
    assert "linksModuleData" not in desk.object
    await desk.deliver()
    assert "linksModuleData" in desk.object
    assert desk.object["hasUsers"], "it is still on the phone"
    assert await desk.deliver() == []


async def test_what_google_lost_is_told_again(desk: Desk) -> None:
    await desk.deliver()
    await desk.earn(5)
    desk.google.held["loyaltyObject"].clear()
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 5}
    await desk.earn(5)
    for resource in ("loyaltyClass", "loyaltyObject"):
        desk.google.held[resource].clear()
    with pytest.raises(TryLater):
        await desk.deliver()
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 10}


async def test_a_lost_answer_does_no_harm(desk: Desk) -> None:
    desk.google.lose_answers = 1
    with pytest.raises(TryLater):
        await desk.deliver()
    desk.google.lose_answers = 0
    await desk.deliver()
    await desk.earn(7)
    desk.google.lose_answers = 1
    with pytest.raises(TryLater):
        await desk.deliver()
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 7}


async def test_a_change_that_arrived_unnoticed_and_was_taken_back_does_not_stay(desk: Desk) -> None:
    await desk.deliver()
    await desk.earn(7)
    desk.google.lose_answers = 1
    with pytest.raises(TryLater):
        await desk.deliver()
    desk.google.lose_answers = 0
    await desk.earn(-7)
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 0}

    # A worker that was killed between Google's answer and its own note leaves no doubt behind, but a second try.
    desk.object["loyaltyPoints"]["balance"] = {"int": 9}
    await desk.cards.store(a_delivery(desk.program.id, desk.held.id, tries=2))
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 0}


@on_both
async def test_what_changes_while_google_takes_a_card_for_the_first_time_is_told_too(desk: Desk) -> None:
    client = desk.cards.client
    assert client is not None
    insert = client.insert

    async def and_earn(resource: Any, content: Any) -> Any:
        answer = await insert(resource, content)
        if resource == "loyaltyObject":
            await desk.earn(50)
        return answer

    def taken(conn: Connection) -> int:
        return conn.execute(
            update(delivery).where(delivery.c.merge_key.is_not(None)).values(merge_key=None)
        ).rowcount

    client.insert = and_earn  # type: ignore[method-assign]
    await desk.database.write(taken)
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 0}
    assert await desk.database.write(taken) == 1, "another delivery waits"
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 50}


@on_both
async def test_of_two_workers_the_older_content_does_not_stay(desk: Desk) -> None:
    """One that was slow arrives after the newer one; it notices, and the next look puts things right."""
    await desk.deliver()
    await desk.earn(1)
    slow = desk.cards.client
    assert slow is not None
    patch, waiting, go_on = slow.patch, asyncio.Event(), asyncio.Event()

    async def held_up(*given: Any) -> Any:
        slow.patch = patch  # type: ignore[method-assign]
        waiting.set()
        await go_on.wait()
        return await patch(*given)

    slow.patch = held_up  # type: ignore[method-assign]
    first = asyncio.create_task(desk.deliver())
    await waiting.wait()
    await desk.earn(1)
    await desk.deliver()
    go_on.set()
    with pytest.raises(Wait):
        await first
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 1}, "the slow one came last"
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 2}


async def test_each_no_of_google_ends_a_delivery_as_it_should(desk: Desk) -> None:
    desk.google.fail_next(429, retry_after="17")
    with pytest.raises(Wait) as quiet:
        await desk.deliver()
    assert quiet.value.after == timedelta(seconds=17)
    desk.google.fail_next(503, retry_after="30")
    with pytest.raises(TryLater) as later:
        await desk.deliver()
    assert later.value.after == timedelta(seconds=30)
    desk.google.fail_next(403)
    with pytest.raises(TryLater):
        await desk.deliver()
    desk.google.fail_next(400)
    with pytest.raises(GiveUp):
        await desk.deliver()
    assert desk.google.object(desk.held.id) is None
    await desk.deliver()


async def test_where_the_phone_was_lit_up_often_enough_the_card_changes_quietly(desk: Desk) -> None:
    await desk.deliver()
    assert desk.cards.client is not None
    teller = Teller(desk.database, desk.cards.client)
    content = {name: value for name, value in desk.object.items() if name != "hasUsers"}
    content |= {"accountName": "Ana", "notifyPreference": "NOTIFY_ON_UPDATE"}
    desk.google.fail_next(429, message="QuotaExceededException")
    assert await teller.tell(desk.program.id, "loyaltyObject", content, 2**40)
    assert desk.object["accountName"] == "Ana"
    assert "notifyPreference" not in desk.last_body()


@on_both
async def test_placing_a_card_leaves_alone_what_is_there(desk: Desk) -> None:
    shown = await find_held_card(desk.database, desk.held.id)
    assert shown is not None
    await desk.cards.place(desk.program, shown)
    assert desk.object["accountName"] == NAME
    await desk.earn(4)
    await desk.deliver()
    await desk.cards.place(desk.program, shown)
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 4}
    assert await desk.deliver() == []
    # Without any memory of it, it is told whole.
    await desk.database.write(lambda conn: conn.execute(delete(google_told)).rowcount)
    await desk.deliver()
    assert desk.object["loyaltyPoints"]["balance"] == {"int": 4}


async def test_many_cards_at_once_tell_of_their_class_once(desk: Desk) -> None:
    def given(conn: Connection) -> list[Pass]:
        people = [new_customer(conn, desk.program) for _ in range(12)]
        return [pass_for(conn, desk.program.id, each, "google") for each in people]

    passes = await desk.database.write(given)
    await asyncio.gather(*(desk.deliver(each) for each in passes))
    assert [call.path for call in desk.google.api_calls].count("loyaltyClass") == 1
    assert len(desk.google.held["loyaltyObject"]) == 12
    assert desk.google.calls.count("POST /token") == 1


async def test_whatever_fails_on_the_way_google_ends_with_what_the_ledger_says(
    desk: Desk, sealer: Sealer, account: ServiceAccount, http: httpx.AsyncClient
) -> None:
    """Two processes, several customers, refusals, lost answers and repetitions, in an order that chance makes."""
    chance = random.Random(7)
    others = [desk.cards, await worker_of(desk.database, sealer, desk.google, account, http)]

    def given(conn: Connection) -> list[Pass]:
        people = [new_customer(conn, desk.program) for _ in range(5)]
        return [pass_for(conn, desk.program.id, each, "google") for each in people]

    passes = [desk.held, *await desk.database.write(given)]
    waiting = {each.id for each in passes}

    async def deliver(pass_id: str) -> None:
        try:
            await chance.choice(others).store(a_delivery(desk.program.id, pass_id))
        except (TryLater, Wait):
            waiting.add(pass_id)

    for _ in range(25):
        changed = chance.sample(passes, 3)
        for each in changed:
            await desk.database.write(change_points, SLUG, each.customer_id, chance.randint(1, 9))
        if chance.random() < 0.3:
            desk.google.fail_next(chance.choice((503, 429, 401)))
        desk.google.lose_answers = chance.choice((0, 0, 0, 1))
        # As deliveries are: one at a time for a pass, or two where a lease ran out.
        taken, waiting = waiting | {each.id for each in changed}, set()
        again = chance.sample(sorted(taken), 1)
        await asyncio.gather(*(deliver(pass_id) for pass_id in [*taken, *again]))
    desk.google.recover()
    while waiting:
        taken, waiting = waiting, set()
        await asyncio.gather(*(deliver(pass_id) for pass_id in taken))
    assert desk.cards.wallet is not None
    for each in passes:
        shown = await find_held_card(desk.database, each.id)
        assert shown is not None
        content = desk.cards.wallet.object_of(
            await desk.cards.designs.of(desk.program), card_of(desk.program, shown)
        ).content
        content.pop("notifyPreference", None)
        held = {
            name: value for name, value in (desk.google.object(each.id) or {}).items() if name != "hasUsers"
        }
        assert held == content
