"""Coupons, gift cards and memberships as passes: issued once, changed on every phone, worthless when they are over."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from web.foundation.database import Database
from web.foundation.delivery import delivery
from web.foundation.schema import new_id, utc_now
from web.loyalty.assigning import assign, use
from web.loyalty.coupon import NewCoupon, add_coupon
from web.loyalty.held_card import find_held_card
from web.loyalty.installation import pass_device, register_device
from web.loyalty.pass_item import (
    InvalidItem,
    ItemVoid,
    NewItem,
    ReferenceTaken,
    change_item,
    due_items,
    issue_item,
    item_of_coupon,
    items_of,
    pass_for_item,
    require_item,
    void_item,
)
from web.loyalty.personal_data import erase
from web.loyalty.program import Program
from web.loyalty.wallet_pass import find_pass_by_id, wallet_pass
from web.wallet.issue import card_of

GIFT = NewItem(
    kind="gift_card", title={"en": "Gift card", "es": "Tarjeta regalo"}, number="6391 0077", amount=2500
)


def held_by_a_phone(conn: Connection, program: Program, pass_id: str) -> None:
    held = find_pass_by_id(conn, program.id, pass_id)
    assert held is not None
    register_device(conn, held, program.id, new_id(), "ab" * 32)
    conn.execute(
        update(delivery).where(delivery.c.program_id == program.id).values(state="done", merge_key=None)
    )


def waiting(conn: Connection, program: Program) -> list[str]:
    return [
        row.payload["pass_id"]
        for row in conn.execute(
            select(delivery.c.payload).where(
                delivery.c.program_id == program.id,
                delivery.c.state == "waiting",
                delivery.c.kind == "apple_card",
            )
        )
    ]


async def test_a_gift_card_is_issued_spent_and_voided_and_its_phone_hears_of_each(
    database: Database, program: Program
) -> None:
    def begin(conn: Connection) -> tuple[str, str]:
        customer_id = new_customer(conn, program)
        item = issue_item(conn, program.id, customer_id, GIFT)
        first, second = (pass_for_item(conn, program.id, item, "apple") for _ in range(2))
        assert first.id == second.id
        assert first.kind == "gift_card"
        held_by_a_phone(conn, program, first.id)
        change_item(conn, program.id, item.id, amount=1800)
        return item.id, first.id

    item_id, pass_id = await database.write(begin)
    assert await database.read(waiting, program) == [pass_id]
    shown = await find_held_card(database, pass_id)
    assert shown is not None
    card = card_of(program, shown)
    assert (card.kind, card.amount(card.balance), card.headline, card.number) == (
        "gift_card",
        "18.00 EUR",
        "Gift card",
        "6391 0077",
    )
    assert card.speaks == "balance"

    def end(conn: Connection) -> None:
        assert void_item(conn, program.id, item_id)
        assert not void_item(conn, program.id, item_id)
        with pytest.raises(ItemVoid):
            change_item(conn, program.id, item_id, amount=1)
        with pytest.raises(ItemVoid):
            pass_for_item(conn, program.id, require_item(conn, program.id, item_id), "google")

    await database.write(end)
    shown = await find_held_card(database, pass_id)
    assert shown is not None
    assert card_of(program, shown).voided
    assert await database.read(waiting, program) == [pass_id]


async def test_a_coupon_that_is_used_at_the_till_is_worthless_on_the_phone(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> tuple[str, str]:
        customer_id = new_customer(conn, program)
        coupon_id = add_coupon(conn, program.id, NewCoupon(name={"en": "Second cup free"}, good_days=20))
        assigned = assign(conn, program, coupon_id, customer_id, key="a")
        item = item_of_coupon(conn, program.id, assigned)
        assert item == item_of_coupon(conn, program.id, assigned)
        held = pass_for_item(conn, program.id, item, "apple")
        held_by_a_phone(conn, program, held.id)
        use(conn, program, assigned.id)
        return held.id, assigned.code

    pass_id, code = await database.write(story)
    shown = await find_held_card(database, pass_id)
    assert shown is not None
    card = card_of(program, shown)
    assert (card.number, card.voided) == (code, True)
    assert await database.read(waiting, program) == [pass_id]


async def test_a_person_holds_as_many_as_they_are_given(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        items = [issue_item(conn, program.id, customer_id, GIFT) for _ in range(3)]
        passes = {
            pass_for_item(conn, program.id, item, wallet).id
            for item in items
            for wallet in ("apple", "google")
        }
        assert len(passes) == 6
        assert [each.id for each in items_of(conn, program.id, customer_id)] == [
            each.id for each in reversed(items)
        ]

    await database.write(story)


async def test_issued_twice_under_one_reference_it_is_one(database: Database, program: Program) -> None:
    named = NewItem(kind="membership", title={"en": "Friends"}, number="M-1", reference=f"crm-{new_id()}")

    def story(conn: Connection) -> None:
        ana, ben = new_customer(conn, program), new_customer(conn, program)
        first = issue_item(conn, program.id, ana, named)
        assert issue_item(conn, program.id, ana, named) == first
        with pytest.raises(ReferenceTaken):
            issue_item(conn, program.id, ben, named)

    await database.write(story)


async def test_asked_for_many_times_at_the_same_moment_it_is_one(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    named = NewItem(kind="membership", title={"en": "Friends"}, number="M-1", reference=f"crm-{new_id()}")
    made = await asyncio.gather(*(database.write(issue_item, program.id, ana, named) for _ in range(6)))
    assert len({item.id for item in made}) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "gift_card"}, "amount"),
        ({"kind": "coupon", "amount": 5}, "amount"),
        ({"kind": "gift_card", "amount": -1}, "amount"),
        ({"kind": "coupon", "title": {"en": " "}}, "title"),
        ({"kind": "coupon", "number": " "}, "number"),
    ],
)
async def test_what_contradicts_itself_is_refused_with_words(
    database: Database, program: Program, fields: dict[str, Any], said: str
) -> None:
    new = NewItem(**{"title": {"en": "T"}, "number": "1", **fields})
    with pytest.raises(InvalidItem, match=said):
        await database.write(issue_item, program.id, new_id(), new)


async def test_what_is_over_becomes_due_once(database: Database, program: Program) -> None:
    now = utc_now()

    def story(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        over, later = (
            issue_item(
                conn,
                program.id,
                customer_id,
                NewItem(
                    kind="membership", title={"en": "T"}, number="1", expires_at=now + timedelta(days=days)
                ),
            )
            for days in (1, 9)
        )
        tomorrow = now + timedelta(days=2)
        assert (program.id, over.id) in due_items(conn, tomorrow, 100)
        void_item(conn, program.id, over.id)
        assert {over.id, later.id}.isdisjoint(which for _, which in due_items(conn, tomorrow, 100))

    await database.write(story)


async def test_of_somebody_erased_a_void_pass_without_a_name_is_left(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> str:
        customer_id = new_customer(conn, program)
        held = pass_for_item(conn, program.id, issue_item(conn, program.id, customer_id, GIFT), "apple")
        held_by_a_phone(conn, program, held.id)
        erase(conn, program.id, customer_id, [])
        return held.id

    pass_id = await database.write(story)
    shown = await find_held_card(database, pass_id)
    assert shown is not None
    card = card_of(program, shown)
    assert (card.voided, card.number, card.headline, card.member) == (True, "", None, None)
    phones = select(pass_device.c.device_id).where(pass_device.c.pass_id == pass_id)
    assert await database.read(lambda conn: conn.execute(phones).all()), "it has yet to hear of it"
    items = select(wallet_pass.c.item_id).where(wallet_pass.c.id == pass_id)
    assert await database.read(lambda conn: conn.scalar(items))
