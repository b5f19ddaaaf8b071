"""The clock: what is due is done, once, whoever looks, and nobody's trouble is another's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from web.foundation.database import Database, open_database
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import find_balance
from web.loyalty.chores import chores
from web.loyalty.clock import MOST, Chore, Clock, clock_run, last_run
from web.loyalty.event import event
from web.loyalty.expiry import next_warning
from web.loyalty.ledger import ledger_entry
from web.loyalty.points import earn, spend
from web.loyalty.program import Program
from web.loyalty.program_settings import PointsRules
from web.loyalty.programs import Programs


async def a_clock(database: Database, sealer: Sealer, *some: Chore) -> Clock:
    programs = Programs(database, sealer)
    await programs.refresh()
    return Clock(database, programs, Metrics(), some or chores(sealer))


def with_rules(program: Program, **rules: Any) -> Program:
    settings = msgspec.structs.replace(
        program.settings, points=PointsRules(**rules), timezone="Europe/Madrid"
    )
    return msgspec.structs.replace(program, settings=settings)


def happened(conn: Connection, customer_id: str, name: str) -> list[dict[str, Any]]:
    return list(
        conn.scalars(
            select(event.c.properties)
            .where(event.c.customer_id == customer_id, event.c.name == name)
            .order_by(event.c.id)
        )
    )


def kinds(conn: Connection, customer_id: str) -> list[str]:
    return list(
        conn.scalars(
            select(ledger_entry.c.kind)
            .where(ledger_entry.c.customer_id == customer_id)
            .order_by(ledger_entry.c.number)
        )
    )


@pytest.fixture
async def others(database_url: str) -> AsyncIterator[list[Database]]:
    """What two more processes would have."""
    opened = [open_database(database_url) for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


async def test_points_are_released_warned_of_and_run_out_once_whoever_looks(
    database: Database, others: list[Database], program: Program, sealer: Sealer
) -> None:
    program = with_rules(program, expiry="after_earn", expiry_days=40, hold_days=3)
    people = [await database.write(new_customer, program) for _ in range(20)]
    for each in people:
        await database.write(earn, program, each, 100, an_order(), hold=True)
        await database.write(earn, program, each, 50, an_order())
    clocks = [await a_clock(own, sealer) for own in [database, *others]]
    for clock in clocks:
        for program_id in (program.id,):
            clock.programs._by_id[program_id] = program

    async def all_look(now: datetime) -> None:
        for place in range(3):
            await asyncio.gather(*(clock.do(clock.chores[place], now) for clock in clocks))

    began = utc_now()
    await all_look(began)
    assert await database.read(kinds, people[0]) == ["hold", "earn"]
    for days in range(1, 46):
        await all_look(began + timedelta(days=days))
    for each in people:
        assert await database.read(kinds, each) == ["hold", "earn", "release", "expire", "expire"]
        held = await database.read(find_balance, program.id, each)
        assert held is not None
        assert (held.available, held.pending) == (0, 0)
        told = await database.read(happened, each, "Points expiring")
        assert [(one["amount"], one["daysLeft"]) for one in told] == [
            (50, 30),
            (100, 30),
            (50, 7),
            (100, 7),
            (50, 1),
            (100, 1),
        ]
        assert len({one["expiresAt"] for one in told}) == 2
        assert len(await database.read(happened, each, "Points expired")) == 2


async def test_on_one_morning_they_are_told_of_the_most_urgent_day_only(
    database: Database, program: Program, sealer: Sealer
) -> None:
    program = with_rules(program, expiry="after_earn", expiry_days=60)
    ana = await database.write(new_customer, program)
    await database.write(earn, program, ana, 10, an_order())
    await database.write(earn, program, ana, 5, an_order(at=utc_now() + timedelta(days=23)))
    clock = await a_clock(database, sealer)
    clock.programs._by_id[program.id] = program
    # The worker was away for weeks: both the last week of the one and the last month of the other have begun.
    await clock.do(clock.chores[2], utc_now() + timedelta(days=54))
    told = await database.read(happened, ana, "Points expiring")
    assert [(one["amount"], one["daysLeft"]) for one in told] == [(10, 6)]


def test_a_warning_comes_in_the_morning_there_on_both_sides_of_the_clocks_change() -> None:
    # Until the end of Sunday 5 April 2026; the clocks went forward on 29 March.
    ends = datetime(2026, 4, 5, 22, tzinfo=UTC)
    mornings, now = [], datetime(2026, 1, 1, tzinfo=UTC)
    while morning := next_warning(ends, "Europe/Madrid", now):
        mornings.append(f"{morning:%m-%d %H:%M}")
        now = morning
    assert mornings == ["03-06 09:00", "03-29 08:00", "04-04 08:00"]


async def test_points_that_were_spent_do_not_run_out_nor_those_of_a_mirrored_programme(
    database: Database, program: Program, sealer: Sealer
) -> None:
    program = with_rules(program, expiry="after_earn", expiry_days=5)
    ana, bea = [await database.write(new_customer, program) for _ in range(2)]
    for each in (ana, bea):
        await database.write(earn, program, each, 10, an_order())
    await database.write(spend, program, ana, 10, an_order())
    mirrored = with_rules(program, expiry="after_earn", expiry_days=5, mirror=True)
    clock = await a_clock(database, sealer)
    clock.programs._by_id[program.id] = mirrored
    turn = await clock.do(clock.chores[1], utc_now() + timedelta(days=30))
    assert (turn.done, turn.failed) == (1, 0)
    assert (await database.read(kinds, ana), await database.read(kinds, bea)) == (["earn", "spend"], ["earn"])
    clock.programs._by_id[program.id] = program
    assert (await clock.do(clock.chores[1], utc_now() + timedelta(days=60))).done == 0


async def test_what_fails_is_counted_and_hides_nothing_behind_it(
    database: Database, program: Program, sealer: Sealer
) -> None:
    done: list[str] = []
    names = [f"{number:03}" for number in range(60)]

    def find(_conn: Connection, _now: datetime, most: int) -> list[tuple[str, str]]:
        return [(program.id, name) for name in names if name not in done][:most]

    def do(_conn: Connection, _program: Program, which: str, _now: datetime) -> None:
        if which < "040":
            raise RuntimeError("trouble")
        done.append(which)

    clock = await a_clock(database, sealer, Chore(name="try", find=find, do=do))
    turn = await clock.do(clock.chores[0], utc_now())
    assert sorted(set(done)) == names[40:]
    assert (turn.done, turn.failed, turn.is_finished) == (20, 40, True)
    assert 'pasito_chores_total{chore="try",outcome="failed"} 40.0' in clock.metrics.text().decode()


async def test_a_chore_runs_in_one_worker_at_its_pace_and_after_one_that_died(
    database: Database, others: list[Database], program: Program, sealer: Sealer
) -> None:
    ran: list[str] = []
    hourly = Chore(
        name="hourly",
        every=timedelta(hours=1),
        find=lambda *_: [(program.id, "once")],
        do=lambda _conn, _program, which, _now: ran.append(which),
    )
    broken = Chore(name="broken", find=lambda *_: [(program.id, "x")], do=lambda *_: 1 / 0)
    clocks = [await a_clock(own, sealer, broken, hourly) for own in [database, *others]]
    await asyncio.gather(*(clock.do_what_is_due() for clock in clocks))
    await clocks[1].do_what_is_due()
    assert ran == ["once"]
    assert (await database.read(last_run, "broken") or ("", 0))[1] == 1

    def its_worker_died(conn: Connection) -> None:
        over = utc_now() - timedelta(minutes=1)
        conn.execute(update(clock_run).values(due_at=over, leased_until=over))

    await database.write(its_worker_died)
    await clocks[2].do_what_is_due()
    assert ran == ["once", "once"]


async def test_a_chore_without_an_end_lets_the_others_have_their_turn(
    database: Database, program: Program, sealer: Sealer
) -> None:
    count = iter(range(10 * MOST))
    endless = Chore(
        name="endless",
        find=lambda _conn, _now, most: [(program.id, str(next(count))) for _ in range(most)],
        do=lambda *_: None,
    )
    clock = await a_clock(database, sealer, endless)
    turn = await clock.do(endless, utc_now())
    assert not turn.is_finished
    assert turn.done >= MOST
