"""Passes: one living card for each customer and wallet."""

import asyncio
from typing import Any

from sqlalchemy import select, update

from tests.loyalty.people import new_customer
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.delivery import delivery
from web.foundation.schema import new_id, utc_now
from web.loyalty.program import Program
from web.loyalty.wallet_pass import GOOGLE_CARD, find_pass, issue_pass, pass_for, wallet_pass


async def rows(database: Database, customer_id: str) -> list[Any]:
    query = select(wallet_pass).where(wallet_pass.c.customer_id == customer_id)
    return list(await database.read(lambda conn: conn.execute(query).all()))


async def test_asked_for_at_once_by_many_it_is_issued_once(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program, platform=None)
    passes = await asyncio.gather(
        *(database.write(pass_for, program.id, customer_id, "apple") for _ in range(40))
    )
    assert len({(each.id, each.token) for each in passes}) == 1
    assert len(await rows(database, customer_id)) == 1
    assert len(passes[0].token) >= 43, "a token has 256 random bits"


async def test_each_wallet_has_its_own(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program)
    apple = await database.write(pass_for, program.id, customer_id, "apple")
    google = await database.write(pass_for, program.id, customer_id, "google")
    assert apple.id != google.id
    assert await database.read(find_pass, program.id, customer_id, "apple") == apple


async def test_google_is_told_once_of_its_card_and_of_no_other(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program)
    for _ in range(3):
        await database.write(issue_pass, program.id, customer_id, "google")
    told = await database.read(
        lambda conn: (
            conn.execute(select(delivery.c.payload).where(delivery.c.kind == GOOGLE_CARD)).scalars().all()
        )
    )
    card = await database.read(find_pass, program.id, customer_id, "google")
    assert card is not None
    assert told == [{"pass_id": card.id}]


async def test_a_card_that_was_voided_makes_room_for_a_new_one(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program)
    first = await database.write(pass_for, program.id, customer_id, "apple")
    await database.write(
        lambda conn: conn.execute(update(wallet_pass).values(status="voided", voided_at=utc_now()))
    )
    assert await database.read(find_pass, program.id, customer_id, "apple") is None
    second = await database.write(pass_for, program.id, customer_id, "apple")
    assert second.id != first.id
    assert await database.read(find_pass, new_id(), customer_id, "apple") is None


async def test_it_is_found_by_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    plan = await database.write(plan_of, lambda conn: find_pass(conn, program.id, program.id, "apple"))
    assert "uq_wallet_pass_living" in plan
    assert not reads_a_whole_table(plan)
