"""The ledger: never changed, never below zero, and the balance is always the sum of it."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select, update

from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.loyalty.ledger import BalanceTooLow, balance, book, ledger_entry

PROGRAM = new_id()


async def change(database: Database, customer_id: str, amount: int, key: str | None = None) -> int:
    return await database.write(
        book, PROGRAM, customer_id, amount, reason="Coffee", source="pos", key=key or new_id()
    )


def entries(conn: Connection, customer_id: str) -> list[Any]:
    return list(
        conn.execute(
            select(ledger_entry).where(ledger_entry.c.customer_id == customer_id).order_by(ledger_entry.c.id)
        )
    )


def state(conn: Connection, customer_id: str) -> Any:
    return conn.execute(select(balance).where(balance.c.customer_id == customer_id)).one_or_none()


async def test_what_is_booked_is_the_balance(database: Database) -> None:
    ana = new_id()
    assert await change(database, ana, 30) == 30
    assert await change(database, ana, -10) == 20
    now = await database.read(state, ana)
    assert (now.available, now.tier_points, now.version) == (20, 30, 2), "spending does not lower the tier"
    assert [(row.amount, row.balance_after) for row in await database.read(entries, ana)] == [
        (30, 30),
        (-10, 20),
    ]


async def test_nobody_spends_what_is_not_there(database: Database) -> None:
    ana = new_id()
    await change(database, ana, 30)
    with pytest.raises(BalanceTooLow, match="31 is more than is there"):
        await change(database, ana, -31)
    with pytest.raises(BalanceTooLow):
        await change(database, new_id(), -1)
    assert (await database.read(state, ana)).version == 1
    assert await change(database, ana, -30) == 0


async def test_a_hundred_spends_at_once_on_a_balance_for_three_are_exactly_three(database: Database) -> None:
    ana = new_id()
    await change(database, ana, 350)
    outcomes = await asyncio.gather(
        *(change(database, ana, -100) for _ in range(100)), return_exceptions=True
    )
    assert sorted(outcome for outcome in outcomes if isinstance(outcome, int)) == [50, 150, 250]
    assert sum(isinstance(outcome, BalanceTooLow) for outcome in outcomes) == 97
    assert (await database.read(state, ana)).available == 50
    assert len(await database.read(entries, ana)) == 4


async def test_the_same_key_books_once_and_says_the_same_again(database: Database) -> None:
    ana = new_id()
    assert await change(database, ana, 30, "sale 7") == 30
    await change(database, ana, 5)
    assert await change(database, ana, 30, "sale 7") == 30
    assert (await database.read(state, ana)).available == 35


async def test_the_same_key_fifty_times_at_once_books_once_and_fails_for_nobody(database: Database) -> None:
    for _ in range(5):
        ana, key = new_id(), new_id()
        assert await asyncio.gather(*(change(database, ana, 30, key) for _ in range(50))) == [30] * 50
        assert len(await database.read(entries, ana)) == 1
        assert (await database.read(state, ana)).available == 30


async def test_nothing_is_not_booked(database: Database) -> None:
    with pytest.raises(Exception, match="amount_moves_something"):
        await change(database, new_id(), 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(-120, 120).filter(bool), max_size=25))
async def test_the_balance_is_the_sum_of_what_was_booked_whatever_was_tried(
    database: Database, amounts: list[int]
) -> None:
    ana = new_id()
    outcomes = await asyncio.gather(
        *(change(database, ana, each) for each in amounts), return_exceptions=True
    )
    rows = await database.read(entries, ana)
    total, tier = 0, 0
    for row in rows:
        total, tier = total + row.amount, tier + max(row.amount, 0)
        assert row.balance_after >= 0
    now = await database.read(state, ana)
    assert (now.available if now else 0) == total >= 0
    assert (now.tier_points if now else 0) == tier
    assert (now.version if now else 0) == len(rows) == sum(isinstance(outcome, int) for outcome in outcomes)
    assert sorted(row.amount for row in rows) == sorted(
        amount for amount, outcome in zip(amounts, outcomes, strict=True) if isinstance(outcome, int)
    )


async def test_the_database_itself_refuses_to_rewrite_history(database: Database) -> None:
    await change(database, new_id(), 30)
    before = await database.read(lambda conn: conn.scalar(select(func.sum(ledger_entry.c.amount))))
    for rewrite in (
        update(ledger_entry).values(amount=1_000_000),
        update(ledger_entry).values(reason="Nothing"),
        delete(ledger_entry),
    ):
        with pytest.raises(Exception, match="the ledger is append-only"):
            await database.write(lambda conn, rewrite=rewrite: conn.execute(rewrite))
    assert await database.read(lambda conn: conn.scalar(select(func.sum(ledger_entry.c.amount)))) == before


async def test_the_database_itself_refuses_a_balance_below_zero(database: Database) -> None:
    ana = new_id()
    await change(database, ana, 30)
    with pytest.raises(Exception, match="never_below_zero"):
        await database.write(
            lambda conn: conn.execute(
                update(balance).where(balance.c.customer_id == ana).values(available=-1)
            )
        )


async def test_a_key_and_a_customer_s_entries_are_found_by_index(database: Database) -> None:
    def fill(conn: Connection) -> None:
        for _ in range(300):
            book(conn, PROGRAM, new_id(), 1, reason="Coffee", source="pos", key=new_id())
        gather_statistics(conn)

    await database.write(fill)
    plan = await database.write(
        plan_of,
        lambda conn: book(conn, PROGRAM, new_id(), 1, reason="Coffee", source="pos", key=new_id()),
    )
    assert not reads_a_whole_table(plan)
    page = await database.write(
        plan_of,
        lambda conn: conn.execute(
            select(ledger_entry.c.amount)
            .where(ledger_entry.c.program_id == PROGRAM, ledger_entry.c.customer_id == PROGRAM)
            .order_by(ledger_entry.c.id.desc())
            .limit(20)
        ).all(),
    )
    assert "ix_ledger_entry_customer" in page
