"""What the card shows of points, tier and the next reward."""

from typing import Any

import pytest
from sqlalchemy import update

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.loyalty.points import adjust
from web.loyalty.program import Program
from web.loyalty.reward import reward
from web.loyalty.standing import Standing, standing_of


async def standing(database: Database, program: Program, customer_id: str) -> Standing:
    found = await database.read(standing_of, program.id, customer_id)
    assert found is not None
    return found


async def earn(database: Database, program: Program, customer_id: str, amount: int) -> None:
    await database.write(adjust, program, customer_id, amount, an_order())


async def test_a_new_customer_begins_at_nothing_with_the_cheapest_reward_ahead(
    database: Database, program: Program
) -> None:
    now = await standing(database, program, await database.write(new_customer, program))
    assert (now.name, now.locale, now.points, now.version) == ("Zoë", "en", 0, 0)
    assert len(now.card_number) == 12
    assert now.next_reward_cost is not None
    assert now.missing == now.next_reward_cost > 0


async def test_the_next_reward_is_the_cheapest_not_yet_within_reach_and_the_dearest_at_the_end(
    database: Database, program: Program
) -> None:
    customer_id = await database.write(new_customer, program)
    costs = []
    for _ in range(20):
        now = await standing(database, program, customer_id)
        assert now.next_reward_cost is not None
        costs.append(now.next_reward_cost)
        if now.missing == 0:
            break
        await earn(database, program, customer_id, now.missing)
    assert costs[:-1] == sorted(set(costs)), "one after the other, each a step up"
    assert costs[-1] == max(costs)
    assert now.points == max(costs)


@pytest.mark.parametrize("gone", [{"active": False}, {"stock": 0}])
async def test_a_reward_that_is_not_to_be_had_is_not_shown(
    database: Database, program: Program, gone: dict[str, Any]
) -> None:
    customer_id = await database.write(new_customer, program)
    await database.write(lambda conn: conn.execute(update(reward).values(gone)))
    now = await standing(database, program, customer_id)
    assert (now.next_reward, now.next_reward_cost, now.missing) == (None, None, 0)


async def test_a_tier_is_reached_by_earning_and_kept_when_points_are_spent(
    database: Database, program: Program
) -> None:
    customer_id = await database.write(new_customer, program)
    lowest = (await standing(database, program, customer_id)).tier
    await earn(database, program, customer_id, 100_000)
    highest = (await standing(database, program, customer_id)).tier
    assert highest not in (None, lowest)
    await earn(database, program, customer_id, -100_000)
    now = await standing(database, program, customer_id)
    assert (now.points, now.tier, now.version) == (0, highest, 2)


async def test_another_programme_s_customer_has_no_standing_here(
    database: Database, program: Program
) -> None:
    customer_id = await database.write(new_customer, program)
    assert await database.read(standing_of, new_id(), customer_id) is None
    assert await database.read(standing_of, program.id, new_id()) is None


async def test_it_is_found_by_index(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program)
    await database.write(gather_statistics)
    plan = await database.write(plan_of, lambda conn: standing_of(conn, program.id, customer_id))
    assert not reads_a_whole_table(plan)
