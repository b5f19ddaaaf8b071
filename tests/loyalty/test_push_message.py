"""Messages to cards: who is told what, when, and what can be said of it afterwards."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from tests.loyalty.card_holders import android_holder, card_holder, fetch, quiet_now, the_pass, with_notices
from tests.loyalty.people import new_customer
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.delivery import delivery
from web.foundation.schema import utc_now
from web.loyalty.booking import Order
from web.loyalty.card_message import GOOGLE_MESSAGE, WORD_JOINER, card_message, decide_at_google
from web.loyalty.event import CARD_CLICKED, event
from web.loyalty.held_card import find_held_card
from web.loyalty.message_click import note_click, target_of
from web.loyalty.personal_data import erase
from web.loyalty.points import earn
from web.loyalty.preferences import Notifications, decide, set_notifications
from web.loyalty.program import Program
from web.loyalty.push_message import PUSH, Pushed, push, push_message, push_once, release
from web.loyalty.push_result import Result, result_of
from web.loyalty.wallet_pass import APPLE_CARD
from web.wallet.card import Card
from web.wallet.issue import card_of


def bought(**more: Any) -> Order:
    return Order(key=None, reason="Coffee", source="pos", **more)


def say(conn: Connection, program: Program, customer_id: str, text: str, **more: Any) -> Pushed:
    return push(conn, program, customer_id, text, **{"kind": "service", "actor": "test", **more})


def became(conn: Connection, program: Program, message: Pushed) -> Result:
    found = result_of(conn, program.id, message.id)
    assert found is not None
    return found


def waiting(conn: Connection, kind: str) -> int:
    return int(
        conn.scalar(select(func.count()).where(delivery.c.kind == kind, delivery.c.state == "waiting")) or 0
    )


async def card(database: Database, program: Program, customer_id: str) -> Card:
    held = await database.read(the_pass, program.id, customer_id)
    shown = await find_held_card(database, held.id)
    assert shown is not None
    return card_of(program, shown)


async def test_what_one_payment_changes_and_says_is_one_update_in_which_the_message_speaks(
    database: Database, program: Program
) -> None:
    who = await database.write(card_holder, program)

    def pay(conn: Connection) -> Pushed:
        earn(conn, program, who, 20, bought())
        return say(conn, program, who, "Thank you for your order.", kind="balance")

    sent = await database.write(pay)
    assert await database.read(waiting, APPLE_CARD) == 1
    assert (await database.read(became, program, sent)).status == "queued"
    shown = await card(database, program, who)
    assert (shown.balance, shown.speaks) == (20, "message")
    assert shown.message is not None
    assert shown.message.text == "Thank you for your order."
    await database.write(
        lambda conn: conn.execute(update(delivery).where(delivery.c.kind == APPLE_CARD).values(state="done"))
    )
    assert (await database.read(became, program, sent)).status == "sent"
    await database.write(fetch, program.id, shown.serial)
    assert (await database.read(became, program, sent)).status == "shown"
    await database.write(earn, program, who, 5, bought())
    after = await card(database, program, who)
    assert (after.speaks, after.message) == ("balance", shown.message), "the message stays, and is old news"
    assert (await database.read(became, program, sent)).status == "shown"


async def test_who_does_not_want_it_or_holds_no_card_is_not_told_and_the_answer_says_why(
    database: Database, program: Program
) -> None:
    cardless = await database.write(new_customer, program)
    who = await database.write(card_holder, program)

    async def reason(customer_id: str, kind: str) -> str | None:
        sent = await database.write(say, program, customer_id, f"About {kind}", kind=kind)
        assert sent.status == ("notDelivered" if sent.reason else "queued")
        return sent.reason

    assert await reason(cardless, "service") == "no_pass"
    assert await reason(who, "marketing") == "consent", "the programme asks whether the card may bring news"
    await database.write(decide, program, who, {"card_messages"}, "en")
    assert await reason(who, "marketing") is None
    await database.write(
        set_notifications, program.id, who, Notifications(marketing=False, reward=False, tier=False)
    )
    for kind, why in (
        ("marketing", "preference"),
        ("tier", "preference"),
        ("reward", "preference"),
        ("referral", "preference"),
        ("balance", None),
        ("service", None),
    ):
        assert await reason(who, kind) == why, kind
    asks_nothing = msgspec.structs.replace(
        program, settings=msgspec.structs.replace(program.settings, consents=())
    )
    other = await database.write(card_holder, asks_nothing, consents=[])
    assert (await database.write(say, asks_nothing, other, "News", kind="marketing")).reason is None


async def test_messages_that_no_phone_has_fetched_are_said_together_and_long_ones_give_way(
    database: Database, program: Program
) -> None:
    who = await database.write(card_holder, program)
    first, second = [await database.write(say, program, who, text) for text in ("One.", "Two.")]
    shown = await card(database, program, who)
    assert shown.message is not None
    assert shown.message.text == "One.\nTwo."
    assert (await database.read(became, program, first)).status == "merged"
    await database.write(fetch, program.id, shown.serial)
    assert [(await database.read(became, program, each)).status for each in (first, second)] == ["shown"] * 2
    long = [await database.write(say, program, who, letter * 130) for letter in "abc"]
    statuses = [(await database.read(became, program, each)).status for each in long]
    assert statuses == ["superseded", "superseded", "queued"]
    linked = [
        await database.write(say, program, who, text, url=f"https://example.com/{text}") for text in "de"
    ]
    assert (await database.read(became, program, linked[0])).status == "superseded", "a card has one link"


async def test_the_same_words_again_are_another_message_for_the_phone(
    database: Database, program: Program
) -> None:
    who, seen = await database.write(card_holder, program), []
    for _ in range(3):
        await database.write(say, program, who, "Thank you!")
        shown = await card(database, program, who)
        assert shown.message is not None
        seen.append(shown.message.text)
        await database.write(fetch, program.id, shown.serial)
    assert seen == ["Thank you!", f"Thank you!{WORD_JOINER}", "Thank you!"]


async def test_in_quiet_hours_it_is_held_and_none_overtakes_it(database: Database, program: Program) -> None:
    quiet, loud = quiet_now(program), with_notices(program)
    who = await database.write(card_holder, program)
    held = await database.write(say, quiet, who, "Good night")
    assert held.status == "held"
    assert held.held_until is not None
    assert timedelta(minutes=50) < held.held_until - utc_now() <= timedelta(hours=1)
    assert await database.read(waiting, APPLE_CARD) == 0
    behind = await database.write(say, loud, who, "Good morning")
    assert (await database.read(became, program, behind)).status == "queued"
    assert await database.read(waiting, PUSH) == 2
    again = await database.write(release, quiet, held.id)
    assert again is not None
    assert again.held_until is not None
    for each in (held, behind, held):
        await database.write(release, loud, each.id)
    shown = await card(database, loud, who)
    assert shown.message is not None
    assert shown.message.text == "Good night\nGood morning"


async def test_what_could_not_leave_within_a_day_or_is_not_wanted_any_more_is_not_sent(
    database: Database, program: Program
) -> None:
    quiet, loud = quiet_now(program), with_notices(program)
    late, unwanted = [await database.write(card_holder, program) for _ in range(2)]
    old = await database.write(say, quiet, late, "Today only")
    await database.write(
        lambda conn: conn.execute(
            update(push_message)
            .where(push_message.c.id == old.id)
            .values(created_at=utc_now() - timedelta(hours=25))
        )
    )
    await database.write(release, loud, old.id)
    assert (await database.read(became, program, old)).reason == "expired"
    new = await database.write(say, quiet, unwanted, "Your points", kind="balance")
    await database.write(set_notifications, program.id, unwanted, Notifications(balance=False))
    await database.write(release, loud, new.id)
    assert (await database.read(became, program, new)).reason == "preference"
    gone = await database.write(say, quiet, unwanted, "Bye")
    await database.write(erase, program.id, unwanted, [])
    assert await database.write(release, loud, gone.id) is None
    assert not await database.read(lambda conn: conn.execute(select(card_message)).all())


async def test_a_callers_retry_is_one_message_also_at_the_same_moment(
    database: Database, program: Program
) -> None:
    who = await database.write(card_holder, program)

    async def once(text: str, url: str | None = None) -> str:
        sent = await database.write(
            lambda conn: push_once(conn, program, who, text, kind="service", actor="test", url=url)
        )
        return sent.id

    ids = await asyncio.gather(*(once("Your reward is ready!") for _ in range(8)))
    assert len(set(ids)) == 1
    others = {await once("Your reward is ready!", "https://example.com"), await once("Another")}
    assert len({*ids, *others}) == 3
    await database.write(
        lambda conn: conn.execute(update(push_message).values(status="notDelivered", reason="no_pass"))
    )
    assert await once("Another") not in others, "what was never sent may be tried again"


async def test_google_is_told_of_each_message_in_the_cards_own_order(
    database: Database, program: Program
) -> None:
    who = await database.write(android_holder, program)
    sent = [await database.write(say, program, who, text) for text in ("One", "Two")]
    held = await database.read(the_pass, program.id, who)
    told = await database.read(
        lambda conn: conn.execute(
            select(delivery.c.payload, delivery.c.lane)
            .where(delivery.c.kind == GOOGLE_MESSAGE)
            .order_by(delivery.c.id)
        ).all()
    )
    assert [row.payload["message_id"] for row in told] == [each.id for each in sent]
    assert {row.lane for row in told} == {f"google_card:{held.id}"}
    for message, outcome in zip(sent, ("notified", "quiet"), strict=True):
        assert (await database.read(became, program, message)).status == "queued"
        await database.write(decide_at_google, program.id, message.id, held.id, outcome)
        [on_pass] = (await database.read(became, program, message)).passes
        assert (on_pass.status, on_pass.notified) == ("sent", outcome == "notified")


async def test_the_field_that_speaks_is_the_loudest_that_the_phone_has_not_fetched(
    database: Database, program: Program
) -> None:
    who = await database.write(card_holder, program)

    async def speaks(their: Program = program) -> str | None:
        return (await card(database, their, who)).speaks

    assert await speaks() is None, "a card that was just issued has nothing to tell"
    await database.write(earn, program, who, 5, bought(is_history=True, at=utc_now()))
    assert await speaks() is None, "history is no news"
    await database.write(earn, program, who, 5, bought())
    assert await speaks() == "balance"
    assert await speaks(with_notices(program, balance=False)) is None
    assert await speaks(quiet_now(program)) is None, "what changes in quiet hours changes silently"
    await database.write(earn, program, who, 2000, bought())
    assert await speaks() == "tier"
    assert await speaks(with_notices(program, tier=False)) == "balance"
    await database.write(earn, program, who, 5, bought())
    assert await speaks() == "tier", "no phone has heard of the tier yet"
    await database.write(say, program, who, "Hello")
    await database.write(earn, program, who, 5, bought())
    assert await speaks() == "message"
    await database.write(fetch, program.id, (await card(database, program, who)).serial)
    await database.write(set_notifications, program.id, who, Notifications(balance=False, location=False))
    await database.write(earn, program, who, 5, bought())
    assert await speaks() is None, "off is off"
    shown = await card(database, program, who)
    assert not shown.hears_places
    assert not shown.locations


async def test_a_tap_is_told_once_and_leads_only_where_the_message_said(
    database: Database, program: Program
) -> None:
    who = await database.write(card_holder, program)
    sent = await database.write(say, program, who, "Look", url="https://example.com/rewards")
    [code] = await database.read(lambda conn: conn.execute(select(push_message.c.code)).scalars().all())
    assert await database.read(target_of, program.id, code) == "https://example.com/rewards"
    assert await database.read(target_of, program.id, "0" * 12) is None
    taps = await asyncio.gather(*(database.write(note_click, program.id, code, "apple") for _ in range(6)))
    assert sorted(taps) == [False] * 5 + [True]
    await database.write(
        lambda conn: conn.execute(update(push_message).values(clicked_at=utc_now() - timedelta(minutes=1)))
    )
    assert await database.write(note_click, program.id, code, None)
    told = await database.read(
        lambda conn: (
            conn.execute(select(event.c.properties).where(event.c.name == CARD_CLICKED)).scalars().all()
        )
    )
    held = await database.read(the_pass, program.id, who)
    expected = {"linkKey": f"message:{sent.id}", "url": "https://example.com/rewards", "passId": held.id}
    assert list(told) == [expected] * 2
    assert (await database.read(became, program, sent)).clicks == 2
    await database.write(gather_statistics)
    plan = await database.write(plan_of, lambda conn: target_of(conn, program.id, code))
    assert "uq_push_message_code" in plan
    assert not reads_a_whole_table(plan)
