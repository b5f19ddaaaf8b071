"""From a change of what a card shows to the phones that hold it, and what becomes of phones that are gone."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from tests.conftest import SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.apns import (
    BAD_DEVICE_TOKEN,
    OK,
    TOPIC_DISALLOWED,
    Answer,
    ApnsServer,
    unregistered,
)
from tests.support.rows import in_database, rows_of
from tests.test_background import process
from web.foundation.database import Database
from web.foundation.delivery import DEAD, WAITING, delivery
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.installation import pass_device, register_device
from web.loyalty.program import Program, load_program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import (
    APPLE_CARD,
    card_changed,
    find_pass,
    issue_pass,
    passes_changed,
    wallet_pass,
)
from web.settings import Settings
from web.wallet.apple.deliveries import MOST_AT_ONCE, AppleCards
from web.wallet.apple.development import development_certificates
from web.wallet.apple.push import ApplePusher
from web.worker import Worker


@dataclass
class Shop:
    """A worker that tells phones of changes, and what a test does with it."""

    database: Database
    program: Program
    worker: Worker

    async def holder(self, *tokens: str) -> str:
        """A new customer with the card on so many phones, each of them up to date."""
        customer_id = await self.database.write(new_customer, self.program)
        await self.database.write(hold, self.program.id, customer_id, tokens)
        return customer_id

    async def change(self, customer_id: str) -> None:
        await self.database.write(card_changed, self.program.id, customer_id)

    async def work_off(self) -> None:
        while await self.worker.work_once() or self.worker._under_way:
            await asyncio.gather(*self.worker._under_way)

    async def let_time_pass(self) -> None:
        await self.database.write(make_due)

    async def letters(self) -> list[dict[str, Any]]:
        query = select(delivery).where(delivery.c.kind == APPLE_CARD).order_by(delivery.c.id)
        return await self.database.read(lambda conn: [dict(row._mapping) for row in conn.execute(query)])

    async def states(self) -> list[str]:
        return [letter["state"] for letter in await self.letters()]

    async def phones(self) -> set[str]:
        query = select(pass_device.c.push_token)
        return await self.database.read(lambda conn: set(conn.scalars(query)))

    async def status(self, customer_id: str) -> str | None:
        held = await self.database.read(find_pass, self.program.id, customer_id, "apple")
        return held.status if held else None


def hold(conn: Connection, program_id: str, customer_id: str, tokens: tuple[str, ...]) -> None:
    issue_pass(conn, program_id, customer_id, "apple")
    held = find_pass(conn, program_id, customer_id, "apple")
    assert held is not None
    conn.execute(
        update(wallet_pass).where(wallet_pass.c.id == held.id).values(handed_version=wallet_pass.c.version)
    )
    for token in tokens:
        register_device(conn, held, program_id, f"device-{token[:20]}", token)
    conn.execute(delivery.delete().where(delivery.c.kind == APPLE_CARD))


def make_due(conn: Connection) -> None:
    conn.execute(
        update(delivery).where(delivery.c.state == WAITING).values(due_at=utc_now() - timedelta(seconds=1))
    )


def a_token() -> str:
    return secrets.token_hex(32)


async def open_worker(database: Database, pusher: ApplePusher | None, sealer: Sealer) -> Worker:
    programs = Programs(database, sealer)
    await programs.refresh()
    return Worker(
        database=database,
        programs=programs,
        metrics=Metrics(),
        handlers={APPLE_CARD: AppleCards(database, pusher).tell},
        follow_ups=[],
        work_to_do=asyncio.Event(),
        slow={APPLE_CARD: MOST_AT_ONCE},
    )


@pytest.fixture(scope="module")
def trusting(apns: ApnsServer) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(apns.authority))
        yield patch


@pytest.fixture
async def pusher(
    apns: ApnsServer, data_dir: Path, trusting: pytest.MonkeyPatch
) -> AsyncIterator[ApplePusher]:
    apns.forget()
    usual = Settings()
    ours = development_certificates(
        data_dir / "signing", pass_type_id=usual.apple_pass_type, team_id=usual.apple_team
    )
    opened = ApplePusher(ours, apns.url)
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database, program: Program, sealer: Sealer, pusher: ApplePusher) -> Shop:
    return Shop(database, program, await open_worker(database, pusher, sealer))


async def test_each_phone_of_a_changed_card_hears_of_it_once_and_nobody_elses(
    shop: Shop, apns: ApnsServer
) -> None:
    phones = [a_token(), a_token()]
    customer_id = await shop.holder(*phones)
    await shop.holder(a_token())
    for _ in range(3):
        await shop.change(customer_id)
    await shop.work_off()
    assert sorted(apns.tokens()) == sorted(phones)
    assert await shop.states() == ["done"], "three changes in a moment are one push"
    await shop.work_off()
    assert len(apns.pushes) == 2


async def test_many_cards_that_change_together_are_told_together(shop: Shop, apns: ApnsServer) -> None:
    """Also where one phone holds several of them: it hears of all by one push."""
    family, others = a_token(), [a_token() for _ in range(40)]
    for token in (family, family, family, *others):
        await shop.holder(token)
    await shop.database.write(lambda conn: passes_changed(conn, shop.program.id))
    await shop.work_off()
    assert sorted(apns.tokens()) == sorted([family, *others])
    assert set(await shop.states()) == {"done"}
    assert len({push.connection for push in apns.pushes}) == 1


@pytest.mark.parametrize("answer", [BAD_DEVICE_TOKEN, unregistered(datetime.now(UTC) + timedelta(hours=1))])
async def test_a_phone_that_is_gone_is_forgotten_and_with_the_last_one_the_card_is_uninstalled(
    shop: Shop, apns: ApnsServer, answer: Answer
) -> None:
    gone, there = a_token(), a_token()
    customer_id = await shop.holder(gone, there)
    apns.always(gone, answer)
    await shop.change(customer_id)
    await shop.work_off()
    assert (await shop.phones(), await shop.status(customer_id)) == ({there}, "installed")
    apns.always(there, answer)
    await shop.change(customer_id)
    await shop.work_off()
    assert (await shop.phones(), await shop.status(customer_id)) == (set(), "uninstalled")
    assert await shop.states() == ["done", "done"]
    await shop.change(customer_id)
    assert len(await shop.letters()) == 2, "there is nobody left to tell"


async def test_a_phone_that_registered_after_apple_lost_it_is_believed(shop: Shop, apns: ApnsServer) -> None:
    phone = a_token()
    customer_id = await shop.holder(phone)
    apns.answer(phone, unregistered(datetime.now(UTC) - timedelta(days=1)))
    await shop.change(customer_id)
    await shop.work_off()
    assert (await shop.phones(), await shop.status(customer_id)) == ({phone}, "installed")


async def test_apples_wish_to_be_left_alone_is_respected_and_nothing_is_lost(
    shop: Shop, apns: ApnsServer
) -> None:
    phone = a_token()
    customer_id = await shop.holder(phone)
    apns.answer(phone, Answer(429, "TooManyRequests", retry_after="600"), Answer(503, "Shutdown"))
    await shop.change(customer_id)
    await shop.work_off()
    [letter] = await shop.letters()
    assert letter["state"] == WAITING
    assert letter["due_at"] > utc_now() + timedelta(minutes=9)
    for _ in range(2):
        await shop.let_time_pass()
        await shop.work_off()
    assert await shop.states() == ["done"]
    assert apns.tokens(accepted=True) == [phone]


async def test_a_refusal_that_is_our_own_fault_is_told_and_kept_until_it_is_mended(
    shop: Shop, apns: ApnsServer
) -> None:
    phone = a_token()
    customer_id = await shop.holder(phone)
    apns.always(phone, TOPIC_DISALLOWED)
    await shop.change(customer_id)
    await shop.work_off()
    [letter] = await shop.letters()
    assert letter["state"] == WAITING
    assert letter["last_error"] == "PushRefused: Apple refuses our pushes: 400 TopicDisallowed"
    assert await shop.phones() == {phone}
    apns.always(phone, None)
    await shop.let_time_pass()
    await shop.work_off()
    assert await shop.states() == ["done"]


async def test_without_phones_or_without_a_certificate_that_apple_knows_nothing_is_tried(
    shop: Shop, apns: ApnsServer, sealer: Sealer
) -> None:
    customer_id = await shop.holder(a_token())
    await shop.change(customer_id)
    await shop.database.write(lambda conn: conn.execute(pass_device.delete()))
    await shop.work_off()
    assert await shop.states() == ["dropped"]
    another = await shop.holder(a_token())
    await shop.change(another)
    shop.worker = await open_worker(shop.database, None, sealer)
    await shop.work_off()
    assert await shop.states() == ["dropped"]
    assert apns.pushes == []


def test_pushes_that_a_killed_worker_was_making_are_made_by_another(
    fresh_database: Fresh, data_dir: Path, apns: ApnsServer
) -> None:
    url, sealer, phones = fresh_database("sqlite"), Sealer((SECRET,)), [a_token() for _ in range(30)]
    apns.forget()

    def prepare(conn: Connection) -> None:
        program = load_program(conn, "brewbar", sealer)
        assert program is not None
        for phone in phones:
            hold(conn, program.id, new_customer(conn, program), (phone,))
        passes_changed(conn, program.id)

    in_database(url, prepare)
    apns.answer_next(*[OK] * 10, *[Answer(hang=60)] * 20)
    environment = {"DATABASE_URL": url, "PASITO_DATA_DIR": str(data_dir), **apns.environment}
    with process("worker", environment) as first:
        apns.wait_for(30, 60)
        first.kill()
    assert WAITING in {row["state"] for row in rows_of(url, "delivery", kind=APPLE_CARD)}
    answered = {push.token for push in apns.pushes if not push.answer.hang}
    apns.forget()
    in_database(url, make_due)
    with process("worker", environment):
        apns.wait_for(20, 60)
        apns.wait_until(lambda: answered | set(apns.tokens(accepted=True)) == set(phones))
    assert DEAD not in {row["state"] for row in rows_of(url, "delivery", kind=APPLE_CARD)}
