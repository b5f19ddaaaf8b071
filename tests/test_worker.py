"""The worker: from what happened to what is done outside, once for each, whoever dies in between."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, select, text, update

from tests.conftest import SECRET
from tests.loyalty.people import new_customer
from tests.support.rows import in_database
from web.foundation.database import Database, open_database
from web.foundation.delivery import LEASE, Delivery, Drop, GiveUp, TryLater, delivery, enqueue
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.event import Event, record
from web.loyalty.program import Program, create_program
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.programs import Programs
from web.messages.deliveries import Handler
from web.worker import FollowUp, Worker


def thank(conn: Connection, program: Program, happened: Event) -> None:
    """Two deliveries for each event: a thank-you, and a note to the shop."""
    lane = f"message:{happened.customer_id}"
    for kind in ("thanks", "note"):
        enqueue(conn, program.id, kind, f"{kind}:{lane}", {"name": happened.name}, happened.id)


class Outside:
    """What handlers were given to do."""

    def __init__(self, answer: Callable[[Delivery], Awaitable[None]] | None = None) -> None:
        self.done: list[Delivery] = []
        self.begun = asyncio.Event()
        self._answer = answer

    async def handle(self, taken: Delivery) -> None:
        self.done.append(taken)
        self.begun.set()
        if self._answer:
            await self._answer(taken)


async def a_worker(
    database: Database, sealer: Sealer, outside: Outside, follow_ups: list[FollowUp] | None = None
) -> Worker:
    programs = Programs(database, sealer)
    await programs.refresh()
    handlers: dict[str, Handler] = {"thanks": outside.handle, "note": outside.handle}
    return Worker(
        database=database,
        programs=programs,
        metrics=Metrics(),
        handlers=handlers,
        follow_ups=[thank] if follow_ups is None else follow_ups,
        work_to_do=asyncio.Event(),
    )


async def work_off(worker: Worker) -> None:
    while await worker.work_once():
        pass


async def states(database: Database) -> dict[str, int]:
    rows = await database.read(lambda conn: conn.execute(select(delivery.c.state)).scalars().all())
    return {state: list(rows).count(state) for state in set(rows)}


async def test_an_event_becomes_its_deliveries_and_they_are_made(
    database: Database, program: Program, sealer: Sealer
) -> None:
    outside = Outside()
    worker = await a_worker(database, sealer, outside)
    customer_id = await database.write(new_customer, program)
    await work_off(worker)
    assert [(taken.kind, taken.payload) for taken in outside.done] == [
        ("thanks", {"name": "Customer created"}),
        ("note", {"name": "Customer created"}),
    ]
    assert customer_id
    assert await states(database) == {"done": 2}
    assert not await worker.work_once()
    assert 'kind="thanks",outcome="done"} 1.0' in worker.metrics.text().decode()


async def test_workers_beside_each_other_make_each_delivery_once(
    database: Database, database_url: str, program: Program, sealer: Sealer
) -> None:
    outside, customers = Outside(), [await database.write(new_customer, program) for _ in range(40)]
    await asyncio.gather(
        *(database.write(record, program.id, "Coffee drunk", each, {}) for each in customers)
    )
    others = [open_database(database_url) for _ in range(2)]
    workers = [await a_worker(own, sealer, outside) for own in others]
    await asyncio.gather(*(work_off(worker) for worker in workers))
    await work_off(workers[0])
    made = [(taken.event_id, taken.kind) for taken in outside.done]
    assert len(made) == len(set(made)) == 160
    for own in others:
        await own.close()


async def test_a_follow_up_that_breaks_leaves_its_event_for_the_next_round(
    database: Database, program: Program, sealer: Sealer
) -> None:
    broken = [True]

    def thank_or_break(conn: Connection, program: Program, happened: Event) -> None:
        thank(conn, program, happened)
        if broken.pop() if broken else False:
            raise RuntimeError("a bug")

    outside = Outside()
    worker = await a_worker(database, sealer, outside, [thank_or_break])
    await database.write(new_customer, program)
    with pytest.raises(RuntimeError):
        await worker.work_once()
    await work_off(worker)
    assert len(outside.done) == 2


async def test_a_programme_that_another_process_made_a_moment_ago_is_looked_up(
    database: Database, program: Program, sealer: Sealer
) -> None:
    outside = Outside()
    worker = await a_worker(database, sealer, outside)
    other = await database.write(create_program, "corner", ProgramSettings(name="The Corner"), sealer)
    await database.write(record, other, "Coffee drunk", None, {})
    await database.write(record, program.id, "Coffee drunk", None, {})
    await work_off(worker)
    assert {taken.program_id for taken in outside.done} == {other, program.id}


async def test_each_way_to_fail_has_its_end_and_metrics_know(
    database: Database, program: Program, sealer: Sealer
) -> None:
    ways: dict[str, Exception] = {
        "away": TryLater("busy"),
        "never": GiveUp("no such user"),
        "needless": Drop("gone"),
        "bug": ZeroDivisionError(),
    }

    async def fail(taken: Delivery) -> None:
        raise ways[taken.payload["way"]]

    worker = await a_worker(database, sealer, Outside(fail))
    for way in ways:
        await database.write(enqueue, program.id, "note", way, {"way": way})
    await database.write(enqueue, program.id, "of another version", "x", {})
    await worker.work_once()
    assert await states(database) == {"waiting": 3, "dead": 1, "dropped": 1}
    text = worker.metrics.text().decode()
    assert 'kind="note",outcome="waiting"} 2.0' in text
    assert 'kind="note",outcome="dead"} 1.0' in text


async def test_its_log_names_ids_and_kinds_and_not_what_was_said(
    database: Database, program: Program, sealer: Sealer
) -> None:
    async def fail(taken: Delivery) -> None:
        raise GiveUp("550 <ana@example.com> is unknown here")

    worker = await a_worker(database, sealer, Outside(fail))
    delivery_id = await database.write(enqueue, program.id, "note", "x", {"email": "ana@example.com"})
    with structlog.testing.capture_logs() as lines:
        await worker.work_once()
    [line] = lines
    assert (line["delivery"], line["kind"], line["state"], line["error"]) == (
        delivery_id,
        "note",
        "dead",
        "GiveUp",
    )
    assert "ana@example.com" not in str(lines)


async def test_it_wakes_when_there_is_work_and_ends_when_told_to(
    database: Database, program: Program, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.worker.IDLE_SECONDS", 30)
    outside = Outside()
    worker = await a_worker(database, sealer, outside)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    await database.write(record, program.id, "Coffee drunk", None, {})
    worker.work_to_do.set()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if len(outside.done) == 2:
            break
    assert len(outside.done) == 2
    worker.stop()
    await asyncio.wait_for(running, 5)


async def test_told_to_end_it_finishes_what_it_holds(
    database: Database, program: Program, sealer: Sealer
) -> None:
    async def slowly(taken: Delivery) -> None:
        await asyncio.sleep(0.3)

    outside = Outside(slowly)
    worker = await a_worker(database, sealer, outside)
    await database.write(enqueue, program.id, "note", "x", {})
    running = asyncio.create_task(worker.run())
    await outside.begun.wait()
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert await states(database) == {"done": 1}


async def test_a_round_that_breaks_is_told_and_the_next_one_goes_on(
    database: Database, program: Program, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.worker.IDLE_SECONDS", 0.05)
    outside, breaks = Outside(), [True, True]

    def thank_at_last(conn: Connection, program: Program, happened: Event) -> None:
        if breaks:
            breaks.pop()
            raise RuntimeError("a bug")
        thank(conn, program, happened)

    worker = await a_worker(database, sealer, outside, [thank_at_last])
    await database.write(record, program.id, "Coffee drunk", None, {})
    with structlog.testing.capture_logs() as lines:
        running = asyncio.create_task(worker.run())
        for _ in range(100):
            await asyncio.sleep(0.05)
            if len(outside.done) == 2:
                break
        worker.stop()
        await running
    assert len(outside.done) == 2
    assert [line["error"] for line in lines if line["event"] == "a round failed"] == ["RuntimeError"] * 2


HOLDING = """
import asyncio, sys
from web.foundation.database import open_database
from web.foundation.metrics import Metrics
from web.foundation.sealing import Sealer
from web.loyalty.programs import Programs
from web.worker import Worker

async def hang(taken):
    print(taken.id, flush=True)
    await asyncio.sleep(60)

async def main():
    database = open_database(sys.argv[1])
    programs = Programs(database, Sealer((sys.argv[2],)))
    await programs.refresh()
    await Worker(database, programs, Metrics(), {"note": hang}, [], asyncio.Event()).run()

asyncio.run(main())
"""


def test_what_a_killed_worker_held_is_made_by_another_under_the_same_id(
    database_url: str, sealer: Sealer
) -> None:
    def put(conn: Connection) -> str:
        program_id = conn.scalar(text("SELECT id FROM program"))
        return enqueue(conn, str(program_id), "note", "x", {})

    delivery_id = in_database(database_url, put)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, database_url, SECRET], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == delivery_id
        process.kill()

    async def another() -> tuple[list[Delivery], list[Delivery]]:
        database, outside = open_database(database_url), Outside()
        worker = await a_worker(database, sealer, outside)
        await work_off(worker)
        before = list(outside.done)
        await database.write(let_time_pass)
        await work_off(worker)
        await database.close()
        return before, outside.done

    before, after = asyncio.run(another())
    assert before == [], "its lease still runs"
    assert [(taken.id, taken.tries) for taken in after] == [(delivery_id, 2)]


def let_time_pass(conn: Connection) -> Any:
    """As if the lease had run out."""
    [row] = conn.execute(select(delivery.c.due_at))
    assert utc_now() < row.due_at <= utc_now() + LEASE
    return conn.execute(update(delivery).values(due_at=utc_now() - timedelta(seconds=1)))
