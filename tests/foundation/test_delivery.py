"""Deliveries to the outside: what leaves when, in which order, how often, and what becomes of the rest."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from tests.support.plans import gather_statistics, plan_of
from web.foundation import delivery as deliveries
from web.foundation.database import Database, open_database
from web.foundation.delivery import (
    DEAD,
    DONE,
    DROPPED,
    LEASE,
    PAUSES,
    WAITING,
    Away,
    Delivery,
    Drop,
    GiveUp,
    TryLater,
    backlog,
    claim,
    dead_letters,
    delivery,
    due_kinds,
    enqueue,
    finish,
    replay,
    untouched_since,
)
from web.foundation.schema import new_id, utc_now

PROGRAM = new_id()


class Clock:
    """The time of the rows, moved by hand."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deliveries, "utc_now", clock)
    return clock


async def put(database: Database, lane: str = "message:ana", **payload: Any) -> str:
    return await database.write(enqueue, PROGRAM, "mail", lane, payload)


async def take(database: Database, most: int = 50) -> list[Delivery]:
    return await database.write(claim, {"mail": most})


async def take_one(database: Database) -> Delivery:
    [taken] = await take(database)
    return taken


async def row(database: Database, delivery_id: str) -> Any:
    return await database.read(
        lambda conn: conn.execute(select(delivery).where(delivery.c.id == delivery_id)).one()
    )


async def test_what_is_put_in_is_taken_once_with_all_it_needs(database: Database) -> None:
    delivery_id = await put(database, customer_id="7")
    taken = await take_one(database)
    assert (taken.id, taken.kind, taken.payload, taken.tries) == (
        delivery_id,
        "mail",
        {"customer_id": "7"},
        1,
    )
    assert await take(database) == []


async def test_it_is_gone_with_the_transaction_of_its_cause(database: Database) -> None:
    def fail(conn: Connection) -> None:
        enqueue(conn, PROGRAM, "mail", "message:ana", {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert await take(database) == []


async def test_a_lane_goes_one_by_one_and_in_order(database: Database) -> None:
    ids = [await put(database) for _ in range(4)]
    seen = []
    while taken := await take(database):
        assert len(taken) == 1
        seen.append(taken[0].id)
        await database.write(finish, taken[0], None)
    assert seen == ids


async def test_a_lane_waits_for_its_first_and_others_do_not(database: Database, clock: Clock) -> None:
    first, second = await put(database), await put(database)
    other = await put(database, "message:ben")
    taken = await take(database)
    assert [each.id for each in taken] == [first, other]
    for each in taken:
        await database.write(finish, each, TryLater("busy") if each.id == first else None)
    assert await take(database) == [], (
        "the second must not overtake the first while that one waits for its next try"
    )
    clock.now += PAUSES[0] * 1.3
    assert (await take_one(database)).id == first
    assert (await row(database, second)).tries == 0


async def test_lanes_of_two_programmes_are_two(database: Database) -> None:
    await put(database, "message:ana")
    await database.write(enqueue, new_id(), "mail", "message:ana", {})
    assert len(await take(database)) == 2


async def test_no_more_are_taken_than_asked_for(database: Database) -> None:
    for number in range(5):
        await put(database, f"message:{number}")
    assert len(await take(database, 3)) == 3
    assert len(await take(database, 3)) == 2


async def test_who_dies_with_a_delivery_loses_it_to_another_under_the_same_id(
    database: Database, clock: Clock
) -> None:
    delivery_id = await put(database)
    await take_one(database)
    clock.now += LEASE - timedelta(seconds=1)
    assert await take(database) == []
    clock.now += timedelta(seconds=1)
    again = await take_one(database)
    assert (again.id, again.tries) == (delivery_id, 2)


async def test_who_was_too_slow_may_report_success_but_no_failure(database: Database, clock: Clock) -> None:
    delivery_id = await put(database)
    slow = await take_one(database)
    clock.now += LEASE
    await take_one(database)
    await database.write(finish, slow, TryLater("too late"))
    assert (await row(database, delivery_id)).due_at == clock.now + LEASE, "the other one is at it"
    await database.write(finish, slow, None)
    assert (await row(database, delivery_id)).state == DONE


async def test_when_it_is_done_its_words_are_forgotten(database: Database) -> None:
    delivery_id = await put(database, email="ana@example.com")
    assert await database.write(finish, await take_one(database), None) == DONE
    kept = await row(database, delivery_id)
    assert (kept.state, kept.payload, kept.last_error) == (DONE, {}, None)
    assert kept.ended_at is not None


async def test_what_has_become_needless_is_dropped_and_forgotten(database: Database) -> None:
    delivery_id = await put(database, email="ana@example.com")
    assert await database.write(finish, await take_one(database), Drop("the customer is gone")) == DROPPED
    kept = await row(database, delivery_id)
    assert (kept.state, kept.payload) == (DROPPED, {})


async def test_tries_are_spread_over_a_day_and_then_it_is_put_aside(database: Database, clock: Clock) -> None:
    began = clock.now
    delivery_id = await put(database, customer_id="7")
    for number, pause in enumerate(PAUSES, 1):
        taken = await take_one(database)
        assert taken.tries == number
        assert await database.write(finish, taken, ConnectionError("refused")) == WAITING
        waits = (await row(database, delivery_id)).due_at - clock.now
        assert pause * 0.79 < waits < pause * 1.21
        clock.now += waits
    assert await database.write(finish, await take_one(database), ConnectionError("refused")) == DEAD
    assert timedelta(hours=18) < clock.now - began < timedelta(hours=30)
    kept = await row(database, delivery_id)
    assert kept.payload == {"customer_id": "7"}, "it may be replayed"
    assert kept.last_error == "ConnectionError: refused"
    clock.now += timedelta(days=30)
    assert await take(database) == []


async def test_the_receiver_s_own_wish_counts_where_it_is_longer(database: Database, clock: Clock) -> None:
    delivery_id = await put(database)
    await database.write(finish, await take_one(database), TryLater("busy", timedelta(minutes=7)))
    assert (await row(database, delivery_id)).due_at == clock.now + timedelta(minutes=7)
    clock.now += timedelta(minutes=7)
    await database.write(finish, await take_one(database), TryLater("busy", timedelta(seconds=1)))
    assert (await row(database, delivery_id)).due_at > clock.now + PAUSES[1] * 0.79


async def test_of_what_only_changed_the_end_of_an_outage_is_noticed_within_minutes(
    database: Database, clock: Clock
) -> None:
    delivery_id, began = await put(database), clock.now
    tries = 0
    while clock.now < began + timedelta(days=3):
        taken = await take_one(database)
        assert taken.tries == 1, "it is never put aside"
        assert await database.write(finish, taken, Away("no answer")) == WAITING
        due = (await row(database, delivery_id)).due_at
        assert timedelta(seconds=3) < due - clock.now <= timedelta(minutes=6)
        assert due - clock.now <= max(timedelta(seconds=6), (clock.now - began) * 0.6)
        clock.now, tries = due, tries + 1
    assert tries < 3 * 24 * 16
    assert await database.write(finish, await take_one(database), None) == DONE


async def test_what_will_never_be_taken_is_put_aside_at_once(database: Database) -> None:
    await put(database)
    assert await database.write(finish, await take_one(database), GiveUp("550 no such user")) == DEAD
    [letter] = await database.read(dead_letters)
    assert letter["last_error"] == "GiveUp: 550 no such user"
    assert "payload" not in letter


async def test_what_was_put_aside_can_start_again(database: Database, clock: Clock) -> None:
    ids = [await put(database, f"message:{number}") for number in range(3)]
    for taken in await take(database):
        await database.write(finish, taken, GiveUp("no"))
    assert await database.write(replay, None, ids[0]) == 1
    taken_again = await take_one(database)
    assert (taken_again.id, taken_again.tries) == (ids[0], 1)
    assert await database.write(replay, new_id()) == 0
    assert await database.write(replay, PROGRAM) == 2
    assert {taken.id for taken in await take(database)} == set(ids[1:])


async def test_a_lane_goes_on_behind_what_was_put_aside(database: Database) -> None:
    await put(database)
    second = await put(database)
    await database.write(finish, await take_one(database), GiveUp("no"))
    assert (await take_one(database)).id == second


async def test_a_long_reason_is_cut(database: Database) -> None:
    delivery_id = await put(database)
    await database.write(finish, await take_one(database), GiveUp("x" * 5000))
    assert len((await row(database, delivery_id)).last_error) == 500


async def test_operators_see_how_much_waits_and_since_when(database: Database, clock: Clock) -> None:
    began = clock.now
    await put(database, "message:1")
    clock.now += timedelta(minutes=3)
    await put(database, "message:2")
    await put(database, "message:3")
    seen = await database.read(backlog)
    assert (seen.waiting, seen.dead, seen.oldest) == (3, 0, began)
    for taken in await take(database, 1):
        await database.write(finish, taken, GiveUp("no"))
    seen = await database.read(backlog)
    assert (seen.waiting, seen.dead) == (2, 1)


async def test_an_idle_worker_can_see_cheaply_that_nothing_is_due(database: Database, clock: Clock) -> None:
    assert await database.read(due_kinds, ["mail"]) == []
    await put(database)
    assert await database.read(due_kinds, ["mail", "sms"]) == ["mail"]
    assert await database.read(due_kinds, ["sms"]) == await database.read(due_kinds, []) == []
    await take_one(database)
    assert not await database.read(due_kinds, ["mail"])
    clock.now += LEASE
    assert await database.read(due_kinds, ["mail"])


@pytest.mark.parametrize("workers", [2, 4])
async def test_workers_take_each_delivery_once_and_keep_every_lane_in_order(
    database: Database, database_url: str, workers: int
) -> None:
    """Each worker has connections of its own, as a process of its own would."""

    def fill(conn: Connection) -> None:
        for number in range(120):
            enqueue(conn, PROGRAM, "mail", f"message:{number % 30}", {"number": number})

    await database.write(fill)
    done: list[int] = []

    async def work(own: Database) -> None:
        while await own.read(has_waiting):
            for taken in await own.write(claim, {"mail": 7}):
                done.append(taken.payload["number"])
                await asyncio.sleep(0)
                await own.write(finish, taken, None)

    others = [open_database(database_url) for _ in range(workers)]
    await asyncio.gather(*(work(own) for own in others))
    for own in others:
        await own.close()
    assert sorted(done) == list(range(120))
    for lane in range(30):
        in_lane = [number for number in done if number % 30 == lane]
        assert in_lane == sorted(in_lane)


def has_waiting(conn: Connection) -> bool:
    return conn.scalar(select(delivery.c.id).where(delivery.c.state == WAITING).limit(1)) is not None


async def test_two_workers_never_hold_the_same_delivery(database: Database, database_url: str) -> None:
    def fill(conn: Connection) -> None:
        for number in range(200):
            enqueue(conn, PROGRAM, "mail", f"message:{number}", {})

    await database.write(fill)
    others = [open_database(database_url) for _ in range(3)]
    taken = await asyncio.gather(*(own.write(claim, {"mail": 90}) for own in others for _ in range(2)))
    for own in others:
        await own.close()
    ids = [each.id for batch in taken for each in batch]
    assert len(ids) == len(set(ids))


async def test_workers_find_what_is_due_by_its_index_however_much_was_done(database: Database) -> None:
    def fill(conn: Connection) -> None:
        now = utc_now()
        rows = [
            {
                "program_id": PROGRAM,
                "id": new_id(),
                "kind": "mail",
                "lane": f"message:{number}",
                "payload": {},
                "state": DONE if number % 2 else WAITING,
                "tries": 0,
                "due_at": now,
                "created_at": now,
            }
            for number in range(3000)
        ]
        conn.execute(insert(delivery), rows)
        gather_statistics(conn)

    await database.write(fill)
    assert "ix_delivery_due" in await database.write(plan_of, lambda conn: due_kinds(conn, ["mail", "sms"]))
    plan = await database.write(plan_of, lambda conn: claim(conn, {"mail": 50}))
    assert "ix_delivery_due" in plan
    assert "ix_delivery_lane" in plan


async def test_what_is_behind_one_that_waits_is_not_looked_at_meanwhile(
    database: Database, clock: Clock
) -> None:
    """Or a thousand letters to somebody who is away would be gone through at every look for work."""
    ids = [await put(database, number=number) for number in range(3)]
    await database.write(finish, await take_one(database), TryLater("away", timedelta(hours=1)))
    assert not await database.read(due_kinds, ["mail"])
    clock.now += timedelta(minutes=30)
    other = await put(database)
    assert await take(database) == [], "one that comes in between waits too"
    clock.now += timedelta(minutes=31)
    for expected in (*ids, other):
        taken = await take_one(database)
        assert taken.id == expected
        await database.write(finish, taken, None)


async def test_the_first_that_nobody_touched_is_one_that_could_have_left(
    database: Database, clock: Clock
) -> None:
    first, begun = await put(database), clock.now
    assert await database.read(untouched_since) == begun
    clock.now += timedelta(minutes=1)
    await put(database)
    taken = await take_one(database)
    assert taken.id == first
    assert await database.read(untouched_since) is None, "the second cannot leave before the first"
    await database.write(finish, taken, None)
    assert await database.read(untouched_since) == clock.now
