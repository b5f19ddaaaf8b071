"""Earning flows on the databases: each type with its limit and recurrence, and every verdict kept with its reasons."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from tests.loyalty.people import new_customer
from tests.support.ledger import put_away_flows
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.foundation.sealing import Sealer
from web.loyalty.balance import find_balance
from web.loyalty.earning import Execution, LimitReached, NotEarned, dry_run, happened_to, run_flow
from web.loyalty.earning_flow import (
    InvalidFlow,
    NewEarningFlow,
    NoSuchFlow,
    add_flow,
    archive_flow,
    change_flow,
    flows_of,
)
from web.loyalty.earning_record import earning, traces_of
from web.loyalty.earning_rules import FIXED_TYPES, PURCHASE, Conditions, Happening, Line, Trace
from web.loyalty.ledger import ledger_entry
from web.loyalty.program import Program, load_program

AT = datetime(2026, 3, 21, 12, tzinfo=UTC)
HOUR, DAY, WEEK, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=366)

# Each type: what recurs where the merchant says nothing, what happens, and how much later or elsewhere it may again.
TYPES: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
    ("INSTALL_WALLET_PASS", "once", {}, None),
    ("VERIFY_ACCOUNT", "once", {}, None),
    ("COMPLETE_USER_PROFILE", "once", {}, None),
    ("FOLLOW_US", "once", {"network": "instagram"}, {"network": "tiktok"}),
    ("WALLET_LINK_CLICK", "once", {"link": "menu"}, {"link": "hours"}),
    ("CHECK_IN", "day", {"location_id": "malasana"}, {"location_id": "lavapies"}),
    ("CUSTOMER_SCANNED", "day", {}, {"at": AT + DAY}),
    ("BIRTHDAY", "year", {}, {"at": AT + YEAR}),
    ("CUSTOM_7", "once", {}, None),
]


@pytest.fixture
async def program(database: Database, program: Program) -> Program:
    """The demo programme without the ways to earn of its own."""
    await database.write(put_away_flows, program.id)
    return msgspec.structs.replace(program, flows=())


def a_flow(kind: str, points: int = 10, **changes: Any) -> NewEarningFlow:
    return NewEarningFlow(
        type=kind, title={"en": "A way to earn", "es": "Una forma"}, points=points, **changes
    )


def happening(**changes: Any) -> Happening:
    return Happening(**{"at": AT, **changes})


def kept_traces(conn: Connection, who: str) -> list[Trace]:
    """What was kept of every verdict, the newest first."""
    rows = conn.scalars(
        select(earning.c.trace).where(earning.c.customer_id == who).order_by(earning.c.id.desc())
    )
    return [msgspec.convert(row, Trace) for row in rows]


async def run(
    database: Database, program: Program, who: str, flow: str, key: str | None = None, **changes: Any
) -> Execution:
    happened = happening(**changes)
    return await database.write(run_flow, program, who, flow, happened, key=key or new_id())


async def available(database: Database, program: Program, who: str) -> int:
    found = await database.read(find_balance, program.id, who)
    return found.available if found else 0


async def test_each_type_gives_its_points_as_often_as_its_recurrence_lets_it(
    database: Database, program: Program
) -> None:
    assert {kind for kind, *_ in TYPES} | {PURCHASE, "MEMBER_GET_MEMBER", "CUSTOM_7"} == {
        *FIXED_TYPES,
        "CUSTOM_7",
    }
    for kind, recurrence, what, again in TYPES:
        ana = await database.write(new_customer, program)
        flow_id = await database.write(add_flow, program.id, a_flow(kind))
        first = await run(database, program, ana, kind, **what)
        assert (first.points, first.remaining, first.recurrence) == (10, 0, recurrence), kind
        with pytest.raises(LimitReached) as refused:
            await run(database, program, ana, flow_id, **{**what, "at": AT + HOUR})
        assert [check.rule for check in refused.value.trace.failed] == ["period"]
        if again is None:
            with pytest.raises(LimitReached):
                await run(database, program, ana, kind, **{**what, "at": AT + 9 * YEAR})
        else:
            assert (await run(database, program, ana, kind, **{**what, **again})).points == 10, kind
        assert await available(database, program, ana) == (10 if again is None else 20)

    ben = await database.write(new_customer, program)
    await database.write(add_flow, program.id, a_flow("MEMBER_GET_MEMBER", most=3))
    left = [(await run(database, program, ben, "MEMBER_GET_MEMBER")).remaining for _ in range(3)]
    assert left == [2, 1, 0], "unlimited in time, limited in all"
    with pytest.raises(LimitReached):
        await run(database, program, ben, "MEMBER_GET_MEMBER")


async def test_a_hundred_at_once_get_it_once_and_the_same_key_gets_the_same_answer(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    flow_id = await database.write(add_flow, program.id, a_flow("CHECK_IN", recurrence="week", times=3))
    outcomes = await asyncio.gather(
        *(run(database, program, ana, flow_id, location_id="malasana") for _ in range(100)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, LimitReached) for each in outcomes) == 97
    assert sorted(each.remaining for each in outcomes if isinstance(each, Execution)) == [0, 1, 2]  # type: ignore[type-var]
    assert await available(database, program, ana) == 30

    custom = await database.write(add_flow, program.id, a_flow("CUSTOM_1", recurrence="unlimited"))
    same = await asyncio.gather(*(run(database, program, ana, custom, "the same") for _ in range(30)))
    assert len({(each.entry_id, each.points, each.remaining) for each in same}) == 1
    assert sum(not each.is_repeat for each in same) == 1
    assert await available(database, program, ana) == 40

    def take_a_place_twice(conn: Connection) -> None:
        row = conn.execute(select(earning).where(earning.c.flow_id == flow_id).limit(1)).one()
        conn.execute(insert(earning).values(**{**row._mapping, "id": new_id(), "key": new_id()}))

    with pytest.raises(Exception, match=r"(?i)unique"):
        await database.write(take_a_place_twice)


async def test_every_verdict_is_kept_with_its_reasons_and_a_dry_run_keeps_nothing(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    only_online = a_flow("CUSTOMER_SCANNED", conditions=Conditions(channels=("online",)))
    await database.write(add_flow, program.id, only_online)
    scans = await database.write(add_flow, program.id, a_flow("CUSTOMER_SCANNED", 7))
    happened = happening(channel="in_store")

    verdicts = await database.read(dry_run, program, ana, "CUSTOMER_SCANNED", happened)
    assert [(each.points, [check.rule for check in each.trace.failed]) for each in verdicts] == [
        (0, ["channel"]),
        (7, []),
    ]
    assert await database.read(kept_traces, ana) == []
    assert await available(database, program, ana) == 0

    key = new_id()
    for is_repeat in (False, True):
        executions = await database.write(
            happened_to, program, ana, "CUSTOMER_SCANNED", happened, key=key, source="pos"
        )
        assert [(each.points, each.is_repeat) for each in executions] == [(0, is_repeat), (7, is_repeat)]
    assert [each.points for each in await database.read(kept_traces, ana)] == [7, 0]
    assert executions[1].entry_id
    traces = await database.read(traces_of, program.id, ana, [executions[1].entry_id, new_id()])
    assert traces == {executions[1].entry_id: [verdicts[1].trace]}
    reason, source_ref = await database.read(
        lambda conn: conn.execute(
            select(ledger_entry.c.reason, ledger_entry.c.source_ref).where(ledger_entry.c.customer_id == ana)
        ).one()
    )
    assert (reason, source_ref) == ("A way to earn", "CUSTOMER_SCANNED")

    with pytest.raises(NotEarned) as refused:
        await run(
            database, program, ana, (await database.read(flows_of, program.id))[0].id, channel="in_store"
        )
    assert not isinstance(refused.value, LimitReached)
    assert scans

    await database.write(gather_statistics)
    plan = await database.write(
        plan_of, lambda conn: run_flow(conn, program, ana, scans, happening(at=AT + DAY), key=new_id())
    )
    assert not reads_a_whole_table(plan)


async def test_flows_are_set_up_changed_and_put_away_by_their_merchant(
    database: Database, program: Program, sealer: Sealer
) -> None:
    for wrong, problem in (
        (a_flow("CHECK_IN", per_money=100), "only INCENTIVIZE_PURCHASES counts money"),
        (a_flow("CHECK_IN", starts_at=AT, ends_at=AT), "must be later"),
        (a_flow("CHECK_IN", starts_at=AT.replace(tzinfo=None)), "needs its offset"),
        (a_flow("CUSTOM_1", recurrence="unlimited", times=2), "means nothing"),
        (NewEarningFlow(type="CUSTOM_1", title={}, points=1), "title"),
    ):
        with pytest.raises(InvalidFlow, match=problem):
            await database.write(add_flow, program.id, wrong)
    flow_id = await database.write(add_flow, program.id, a_flow("CUSTOM_1"))
    await database.write(add_flow, program.id, a_flow("CUSTOM_2"))
    await database.write(change_flow, program.id, flow_id, a_flow("CUSTOM_1", 25, recurrence="year"))
    ana = await database.write(new_customer, program)
    assert (await run(database, program, ana, "CUSTOM_1")).points == 25
    await database.write(archive_flow, program.id, flow_id)
    for missing in (flow_id, "CUSTOM_1", "CUSTOM_9", new_id()):
        with pytest.raises(NoSuchFlow):
            await run(database, program, ana, missing)
    with pytest.raises(NoSuchFlow):
        await database.write(archive_flow, program.id, flow_id)
    loaded = await database.read(load_program, program.slug, sealer)
    assert loaded is not None
    assert loaded.version > program.version
    assert [flow.type for flow in loaded.flows if flow.type.startswith("CUSTOM")] == ["CUSTOM_2"]


async def test_thirty_and_twenty_earn_the_star_of_fifty_and_an_order_of_nothing_says_why(
    database: Database, program: Program
) -> None:
    stars = a_flow(PURCHASE, 1, per_money=50, conditions=Conditions(min_amount=20))
    await database.write(add_flow, program.id, stars)
    ana = await database.write(new_customer, program)
    for amount, expected in ((30, 0), (19, 0), (20, 1)):
        lines = (Line(id="1", amount=amount),)
        (execution,) = await database.write(
            happened_to, program, ana, PURCHASE, happening(lines=lines), key=new_id()
        )
        assert execution.points == expected
    _, too_small, _ = await database.read(kept_traces, ana)
    assert [(check.rule, check.needed, check.found) for check in too_small.failed] == [("minimum", 20, 19)]
    count = await database.read(
        lambda conn: conn.scalar(
            select(func.count()).select_from(ledger_entry).where(ledger_entry.c.customer_id == ana)
        )
    )
    assert count == 1
