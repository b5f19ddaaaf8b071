"""What a card tells by itself, and the turns of messages that wait: with real deliveries."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.loyalty.card_holders import android_holder, card_holder, fetch, quiet_now, the_pass, with_notices
from web.app import load_assets, load_renderer
from web.foundation.database import Database
from web.foundation.delivery import GiveUp, claim, delivery, finish
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.booking import Order
from web.loyalty.card_message import GOOGLE_MESSAGE
from web.loyalty.event import REFERRAL_COMPLETED, event, record
from web.loyalty.held_card import find_held_card
from web.loyalty.points import earn
from web.loyalty.preferences import Notifications, set_notifications
from web.loyalty.program import Program, change_program
from web.loyalty.program_settings import Notices
from web.loyalty.programs import Programs
from web.loyalty.push_message import PUSH, push, push_message
from web.loyalty.push_result import result_of
from web.loyalty.wallet_pass import APPLE_CARD
from web.messages.card_messages import CardMessages
from web.settings import Settings
from web.wallet.issue import card_of
from web.worker import Worker


class GoogleSaysYes:
    """Takes every message, and lets three of them notify."""

    def __init__(self) -> None:
        self.bodies: dict[str, str] = {}
        self.refuses = False

    async def tell(self, program_id: str, pass_id: str, *, message_id: str, header: str, body: str) -> Any:
        if self.refuses:
            raise GiveUp("no such object")
        assert header == "Brew Bar"
        self.bodies[message_id] = body
        return "notified" if len(self.bodies) <= 3 else "over budget"


class Post:
    """A worker that makes the deliveries of messages, and what it works with."""

    def __init__(self, database: Database, worker: Worker, google: GoogleSaysYes) -> None:
        self.database, self.worker, self.google = database, worker, google

    async def works(self) -> None:
        while await self.worker.work_once():
            pass

    async def says(self, program: Program, customer_id: str) -> str | None:
        held = await self.database.read(the_pass, program.id, customer_id)
        shown = await find_held_card(self.database, held.id)
        assert shown is not None
        message = card_of(program, shown).message
        return message.text if message else None


@pytest.fixture
async def post(database: Database, sealer: Sealer, data_dir: Path) -> Post:
    settings = Settings(data_dir=data_dir)
    renderer = load_renderer(load_assets(settings), development=True)
    programs, google = Programs(database, sealer), GoogleSaysYes()
    await programs.refresh()
    messages = CardMessages(database, programs, renderer, "https://club.example", google)

    async def done(_: Any) -> None: ...

    worker = Worker(
        database=database,
        programs=programs,
        metrics=Metrics(),
        handlers={**messages.handlers(), APPLE_CARD: done, "google_card": done, "consequence": done},
        follow_ups=[messages.follow_up],
        work_to_do=asyncio.Event(),
    )
    return Post(database, worker, google)


def bought(**more: Any) -> Order:
    return Order(key=None, reason="Coffee", source="pos", **more)


async def change(post: Post, program: Program, **settings: Any) -> None:
    changed = msgspec.structs.replace(program.settings, **settings)
    await post.database.write(change_program, program.slug, changed)
    await post.worker.programs.refresh()


def pushes(conn: Connection) -> set[str]:
    return set(conn.scalars(select(delivery.c.id).where(delivery.c.kind == APPLE_CARD)))


async def test_a_reward_within_reach_is_told_once_and_with_the_balance_in_one_update(
    post: Post, database: Database, program: Program
) -> None:
    english = await database.write(card_holder, program)
    spanish = await database.write(card_holder, program, locale="es")
    for who in (english, spanish):
        await database.write(earn, program, who, 100, bought())
    before = await database.read(pushes)
    await post.works()
    said = await post.says(program, english)
    assert said is not None
    assert "is ready for you." in said
    assert await post.says(program, spanish) not in (None, said), "in the customer's own language"
    assert await database.read(pushes) == before, (
        "the message went along with the balance: nobody's phone buzzes twice"
    )
    await database.write(earn, program, english, 1, bought())
    await database.write(lambda conn: conn.execute(update(event).values(dispatched_at=None)))
    await post.works()
    told = await database.read(
        lambda conn: conn.execute(
            select(push_message.c.id).where(push_message.c.customer_id == english)
        ).all()
    )
    assert len(told) == len(said.split("\n")), "events that are followed up again tell nothing again"


async def test_nobody_is_told_of_history_or_of_what_they_or_the_programme_turned_off(
    post: Post, database: Database, program: Program
) -> None:
    of_old, unwilling, late = [await database.write(card_holder, program) for _ in range(3)]
    await database.write(earn, program, of_old, 100, bought(is_history=True, at=utc_now()))
    await database.write(set_notifications, program.id, unwilling, Notifications(reward=False))
    await database.write(earn, program, unwilling, 100, bought())
    await database.write(earn, program, late, 100, bought())
    await database.write(
        lambda conn: conn.execute(
            update(event).where(event.c.customer_id == late).values(at=utc_now() - timedelta(days=2))
        )
    )
    await post.works()
    assert [await post.says(program, who) for who in (of_old, unwilling, late)] == [None] * 3
    await change(post, program, notices=Notices(reward=False, referral=False))
    who = await database.write(card_holder, program)
    await database.write(earn, program, who, 100, bought())
    await post.works()
    assert await post.says(program, who) is None


async def test_friends_are_told_what_it_gave_in_the_merchants_own_words_where_there_are_any(
    post: Post, database: Database, program: Program
) -> None:
    advocate, friend = [await database.write(card_holder, program) for _ in range(2)]

    def complete(conn: Connection) -> None:
        for role, own, other in (("advocate", advocate, friend), ("friend", friend, advocate)):
            told = {
                "role": role,
                "referralId": own,
                "otherCustomerId": other,
                "points": 50,
                "qualifyingAction": "register",
            }
            record(conn, program.id, REFERRAL_COMPLETED, own, told)

    texts = program.settings.texts
    own = {**texts, "en": msgspec.structs.replace(texts["en"], came_by_friend="Hola! {points} on the house")}
    await change(post, program, texts=own)
    await database.write(complete)
    await post.works()
    points = texts["en"].points_name
    assert await post.says(program, advocate) == f"You brought a friend: 50 {points} for you."
    assert await post.says(program, friend) == f"Hola! 50 {points} on the house"


async def test_a_held_message_leaves_when_the_quiet_hours_end_and_is_not_doubled_by_a_dead_worker(
    post: Post, database: Database, program: Program
) -> None:
    quiet = quiet_now(program)
    await change(post, program, notices=quiet.settings.notices, timezone="UTC", consents=())
    who = await database.write(card_holder, program)
    sent = await database.write(push, quiet, who, "Good morning", kind="marketing", actor="test")
    assert sent.status == "held"
    await post.works()
    [row] = await database.read(
        lambda conn: conn.execute(select(delivery).where(delivery.c.kind == PUSH)).all()
    )
    assert (row.state, row.tries) == ("waiting", 0)
    assert sent.held_until is not None
    assert abs(row.due_at - sent.held_until) < timedelta(seconds=2)
    assert await post.says(program, who) is None
    await change(post, program, notices=Notices(), consents=())

    def let_time_pass(conn: Connection) -> None:
        conn.execute(update(delivery).where(delivery.c.kind == PUSH).values(due_at=utc_now()))

    await database.write(let_time_pass)
    # One worker takes it, shows it and dies before it says so; another begins again.
    [taken] = await database.write(claim, {PUSH: 1})
    await post.worker.handlers[PUSH](taken)
    held = await database.read(the_pass, program.id, who)
    await database.write(fetch, program.id, held.id)
    await database.write(let_time_pass)
    [again] = await database.write(claim, {PUSH: 1})
    await post.worker.handlers[PUSH](again)
    await database.write(finish, again, None)
    now = await database.read(the_pass, program.id, who)
    assert (now.version, await post.says(program, who)) == (held.version, "Good morning")


async def test_google_is_told_once_of_each_and_says_what_it_did(
    post: Post, database: Database, program: Program
) -> None:
    who = await database.write(android_holder, program)
    loud = with_notices(program)
    sent = [
        await database.write(
            push, loud, who, f"Message {number}", kind="service", actor="test", url="https://example.com"
        )
        for number in range(4)
    ]
    await post.works()
    assert list(post.google.bodies) == [each.id for each in sent], "in their order"
    [code] = await database.read(
        lambda conn: conn.execute(select(push_message.c.code).where(push_message.c.id == sent[0].id)).one()
    )
    link = f"https://club.example/brewbar/m/{code}"
    assert post.google.bodies[sent[0].id] == f'<a href="{link}">Message 0</a>'
    results = [await database.read(result_of, program.id, each.id) for each in sent]
    assert [each.status for each in results if each] == ["sent"] * 4
    assert [each.passes[0].notified for each in results if each] == [True, True, True, False]
    post.google.refuses = True
    refused = await database.write(push, loud, who, "Once more", kind="service", actor="test")
    await post.works()
    result = await database.read(result_of, program.id, refused.id)
    assert result is not None
    assert (result.status, result.reason) == ("notDelivered", "refused")
    dead = await database.read(
        lambda conn: conn.execute(select(delivery.c.kind).where(delivery.c.state == "dead")).scalars().all()
    )
    assert list(dead) == [GOOGLE_MESSAGE]
