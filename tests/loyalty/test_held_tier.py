"""The tier that a customer holds: in step with every booking, told once, and known for any moment of the past."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import Balance, find_balance
from web.loyalty.event import TIER_DOWNGRADED, TIER_UPGRADED, event
from web.loyalty.event_catalogue import check_properties
from web.loyalty.held_tier import (
    close_due,
    due_tiers,
    grant_tier,
    history_of,
    progress_of,
    tier_at,
    tier_change,
)
from web.loyalty.points import earn, reverse, spend
from web.loyalty.program import Program, load_program
from web.loyalty.standing import standing_of
from web.loyalty.tier import InvalidTier, NewTier, NoSuchTier, add_tiers, archive_tier, change_tier, tiers_of
from web.loyalty.tiering import TierRules

FAR = datetime(2100, 1, 1, tzinfo=UTC)


def ruled_by(program: Program, **rules: Any) -> Program:
    return msgspec.structs.replace(
        program, settings=msgspec.structs.replace(program.settings, tiers=TierRules(**rules))
    )


def name(program: Program, tier_id: str | None) -> str | None:
    return next((each.name["en"] for each in program.tiers if each.id == tier_id), None)


def told(conn: Connection, customer_id: str) -> list[Any]:
    return list(
        conn.execute(
            select(event.c.name, event.c.properties)
            .where(event.c.customer_id == customer_id, event.c.name.in_([TIER_UPGRADED, TIER_DOWNGRADED]))
            .order_by(event.c.id)
        )
    )


async def held(database: Database, program: Program, customer_id: str) -> Balance:
    found = await database.read(find_balance, program.id, customer_id)
    assert found is not None
    return found


async def test_it_follows_what_is_earned_and_taken_back_and_minds_no_spending(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    before = utc_now()
    first = await database.write(earn, program, ana, 600, an_order())
    after = utc_now()
    await database.write(spend, program, ana, 600, an_order())
    assert name(program, (await held(database, program, ana)).tier_id) == "Roaster"
    assert first.entry_id
    await database.write(reverse, program, first.entry_id, an_order(), amount=150)
    assert name(program, (await held(database, program, ana)).tier_id) == "Regular"

    events = await database.read(told, ana)
    assert [row.name for row in events] == [TIER_UPGRADED, TIER_DOWNGRADED]
    for row in events:
        check_properties(row.name, row.properties)
    up, down = (row.properties for row in events)
    assert (up["previous"], up["current"]) == (
        {"name": "Regular", "level": 0},
        {"name": "Roaster", "level": 1},
    )
    assert (up["tierPoints"], up["expiresAt"], "cause" in up) == (600, None, False)
    assert (down["tierPoints"], down["cause"]) == (450, "refund")

    changes = await database.read(history_of, program.id, ana)
    assert [(name(program, each.current_id), each.cause) for each in changes] == [
        ("Roaster", "earned"),
        ("Regular", "refund"),
    ]
    for moment, expected in ((before, "Regular"), (after, "Roaster"), (utc_now(), "Regular")):
        assert name(program, await database.read(tier_at, program, ana, moment)) == expected
    nobody = await database.write(new_customer, program)
    assert name(program, await database.read(tier_at, program, nobody, after)) == "Regular"
    with pytest.raises(Exception, match="append-only"):
        await database.write(lambda conn: conn.execute(update(tier_change).values(cause="manual")))


async def test_below_the_lowest_tier_there_is_none(database: Database, program: Program) -> None:
    program = msgspec.structs.replace(program, tiers=program.tiers[1:])
    ana = await database.write(new_customer, program)
    first = await database.write(earn, program, ana, 600, an_order())
    assert first.entry_id
    await database.write(reverse, program, first.entry_id, an_order())
    up, down = await database.read(told, ana)
    assert (up.properties["previous"], down.properties["current"]) == (None, None)
    for row in (up, down):
        check_properties(row.name, row.properties)


async def test_a_hundred_bookings_at_once_change_it_once_for_each_tier(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    await asyncio.gather(*(database.write(earn, program, ana, 25, an_order()) for _ in range(100)))
    changes = await database.read(history_of, program.id, ana)
    assert [name(program, each.current_id) for each in changes] == ["Roaster", "Master of beans"]
    assert len(await database.read(told, ana)) == 2
    assert (await held(database, program, ana)).tier_points == 2500


async def test_the_clock_ends_cycles_and_grants_once_and_each_with_its_own_day(
    database: Database, program: Program
) -> None:
    program = ruled_by(program, cycle="calendar", balance="money")
    ana = await database.write(new_customer, program)
    await database.write(earn, program, ana, 1, an_order(), money=2100)
    now = await held(database, program, ana)
    assert (name(program, now.tier_id), now.tier_money, now.tier_points) == ("Master of beans", 2100, 1)
    assert now.cycle_ends_at
    assert now.cycle_ends_at < (now.tier_kept_until or now.cycle_ends_at) < FAR
    assert (program.id, ana) not in await database.read(due_tiers, utc_now(), 100)

    year = timedelta(days=366)
    assert not await database.write(close_due, program, ana, now.cycle_ends_at)
    in_second_year = await held(database, program, ana)
    assert (in_second_year.tier_money, in_second_year.tier_points) == (0, 0)
    assert (program.id, ana) in await database.read(due_tiers, now.cycle_ends_at + year, 100)
    assert await database.write(close_due, program, ana, now.cycle_ends_at + year)
    assert not await database.write(close_due, program, ana, now.cycle_ends_at + year)
    (_, down) = await database.read(told, ana)
    assert (down.properties["cause"], down.properties["enteredAt"]) == (
        "cycle",
        now.tier_kept_until.isoformat() if now.tier_kept_until else None,
    )

    ben = await database.write(new_customer, program)
    tomorrow = utc_now() + timedelta(days=1)
    assert (
        await database.write(grant_tier, program, ben, program.tiers[1].id, tomorrow) == program.tiers[1].id
    )
    assert (await held(database, program, ben)).tier_kept_until == tomorrow
    assert await database.write(close_due, program, ben, tomorrow)
    assert [each.cause for each in await database.read(history_of, program.id, ben)] == ["manual", "manual"]

    await database.write(gather_statistics)
    plan = await database.write(plan_of, lambda conn: due_tiers(conn, utc_now(), 10))
    assert not reads_a_whole_table(plan)


async def test_a_ladder_that_is_changed_lifts_at_the_clock_and_takes_from_nobody(
    database: Database, program: Program, sealer: Sealer
) -> None:
    ana = await database.write(new_customer, program)
    await database.write(earn, program, ana, 600, an_order())

    with pytest.raises(InvalidTier, match="another tier requires 500"):
        await database.write(add_tiers, program.id, [NewTier(name={"en": "Twin"}, required_points=500)])
    with pytest.raises(InvalidTier, match="name"):
        await database.write(add_tiers, program.id, [NewTier(name={}, required_points=1)])
    with pytest.raises(NoSuchTier):
        await database.write(archive_tier, program.id, program.id)

    (grinder,) = await database.write(
        add_tiers, program.id, [NewTier(name={"en": "Grinder"}, required_points=550, multiplier=150)]
    )
    roaster = program.tiers[1]
    changed = NewTier(name=roaster.name, required_points=900)
    await database.write(change_tier, program.id, roaster.id, changed)
    ladder = await database.read(tiers_of, program.id)
    assert [(each.level, each.name["en"]) for each in ladder] == [
        (0, "Regular"),
        (1, "Grinder"),
        (2, "Roaster"),
        (3, "Master of beans"),
    ]
    loaded = await database.read(load_program, program.slug, sealer)
    assert loaded is not None
    assert loaded.version > program.version
    assert (program.id, ana) in await database.read(due_tiers, utc_now(), 100)
    await database.write(close_due, loaded, ana, utc_now())
    assert (await held(database, program, ana)).tier_id == roaster.id, "won before it was made harder"

    await database.write(archive_tier, program.id, grinder)
    ben = await database.write(new_customer, program)
    later = await database.read(load_program, program.slug, sealer)
    assert later is not None
    await database.write(earn, later, ben, 600, an_order())
    assert (await database.read(tiers_of, program.id))[1].active is False
    assert name(later, (await held(database, program, ben)).tier_id) == "Regular"
    standing = await database.read(standing_of, program.id, ben)
    assert standing is not None
    progress = progress_of(later, standing)
    assert (progress.next_id, progress.missing) == (roaster.id, 300)
