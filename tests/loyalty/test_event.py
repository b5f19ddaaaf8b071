"""Events: each is taken once, those of one customer in their order."""

import asyncio

from sqlalchemy import Connection, select, update

from tests.support.plans import gather_statistics, plan_of
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id, utc_now
from web.loyalty.event import Event, event, has_waiting, record, take_waiting

PROGRAM = new_id()


def record_many(conn: Connection, customers: list[str], each: int) -> None:
    for number in range(each):
        for customer_id in customers:
            record(conn, PROGRAM, "Coffee drunk", customer_id, {"number": number})


async def test_what_happened_is_taken_once_as_it_was_recorded(database: Database) -> None:
    ana = new_id()
    event_id = await database.write(record, PROGRAM, "Coffee drunk", ana, {"cups": 2})
    assert await database.read(has_waiting)
    [taken] = await database.write(take_waiting, 50)
    assert (taken.id, taken.program_id, taken.name, taken.customer_id, taken.properties) == (
        event_id,
        PROGRAM,
        "Coffee drunk",
        ana,
        {"cups": 2},
    )
    assert not await database.read(has_waiting)
    assert await database.write(take_waiting, 50) == []
    kept = await database.read(lambda conn: conn.scalar(select(event.c.id).where(event.c.id == event_id)))
    assert kept == event_id, "an event is a record; it stays"


async def test_it_is_gone_with_the_transaction_in_which_it_would_have_happened(database: Database) -> None:
    def fail(conn: Connection) -> None:
        record(conn, PROGRAM, "Coffee drunk", None, {})
        raise RuntimeError

    await asyncio.gather(database.write(fail), return_exceptions=True)
    assert not await database.read(has_waiting)


async def test_who_takes_them_and_fails_has_taken_nothing(database: Database) -> None:
    await database.write(record, PROGRAM, "Coffee drunk", None, {})

    def take_and_fail(conn: Connection) -> None:
        assert take_waiting(conn, 50)
        raise RuntimeError

    await asyncio.gather(database.write(take_and_fail), return_exceptions=True)
    assert len(await database.write(take_waiting, 50)) == 1


async def test_several_workers_take_each_event_once_and_a_customer_s_in_order(
    database: Database, database_url: str
) -> None:
    customers = [new_id() for _ in range(12)]
    await database.write(record_many, customers, 8)
    seen: list[Event] = []

    def take_slowly(conn: Connection) -> list[Event]:
        taken = take_waiting(conn, 9)
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("SELECT pg_sleep(0.005)")
        return taken

    async def work(own: Database) -> None:
        while await own.read(has_waiting):
            seen.extend(await own.write(take_slowly))

    others = [open_database(database_url) for _ in range(3)]
    await asyncio.gather(*(work(own) for own in others))
    for own in others:
        await own.close()
    assert len({each.id for each in seen}) == len(seen) == 96
    for customer_id in customers:
        numbers = [each.properties["number"] for each in seen if each.customer_id == customer_id]
        assert numbers == list(range(8))


async def test_what_waits_is_found_by_index_however_much_has_happened(database: Database) -> None:
    def fill(conn: Connection) -> None:
        regulars = [new_id() for _ in range(200)]
        record_many(conn, regulars, 20)
        conn.execute(update(event).values(dispatched_at=utc_now()))
        record_many(conn, regulars, 2)
        gather_statistics(conn)

    await database.write(fill)
    assert "ix_event_waiting" in await database.write(plan_of, has_waiting)
    plan = await database.write(plan_of, lambda conn: take_waiting(conn, 50))
    assert "ix_event_waiting_customer" in plan
