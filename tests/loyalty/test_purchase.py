"""Orders and refunds: not a fraction of a point is lost or won, whatever comes back in whatever parts."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order, put_away_flows
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.loyalty.balance import Balance, find_balance
from web.loyalty.booking import KeyReused
from web.loyalty.earning_flow import NewEarningFlow, add_flow, archive_flow
from web.loyalty.earning_record import carried, earning
from web.loyalty.earning_rules import PURCHASE, Conditions, Line
from web.loyalty.held_tier import history_of
from web.loyalty.merging import merge
from web.loyalty.multiplier import NewMultiplier, add_multiplier
from web.loyalty.points import spend
from web.loyalty.program import Program
from web.loyalty.program_settings import PointsRules
from web.loyalty.purchase import NoSuchOrder, Outcome, order_cancelled, order_paid, order_refunded
from web.loyalty.purchase_record import Paid, Refund
from web.loyalty.tiering import TierRules

AT = datetime(2026, 3, 21, 12, tzinfo=UTC)


@pytest.fixture
async def program(database: Database, program: Program) -> Program:
    """The demo programme without the ways to earn of its own."""
    await database.write(put_away_flows, program.id)
    return msgspec.structs.replace(program, flows=())


def purchases_earn(points: int, per_money: int | None = None, **changes: Any) -> NewEarningFlow:
    return NewEarningFlow(
        type=PURCHASE, title={"en": "Each purchase"}, points=points, per_money=per_money, **changes
    )


def an_order_of(*amounts: int, order_id: str | None = None, **changes: Any) -> Paid:
    lines = tuple(Line(id=str(number), amount=amount) for number, amount in enumerate(amounts, 1))
    given = {"source": "pos", "id": order_id or new_id(), "paid_at": AT, "lines": lines, **changes}
    return Paid(**given)


def with_settings(program: Program, **changes: Any) -> Program:
    return msgspec.structs.replace(program, settings=msgspec.structs.replace(program.settings, **changes))


async def paid(database: Database, program: Program, who: str, order: Paid) -> Outcome:
    return await database.write(order_paid, program, who, order)


async def refunded(database: Database, program: Program, order: Paid, **lines: int) -> Outcome:
    back = Refund(id=new_id(), lines={name.removeprefix("line"): amount for name, amount in lines.items()})
    return await database.write(order_refunded, program, order.source, order.id, back)


async def cancelled(database: Database, program: Program, order: Paid) -> Outcome:
    return await database.write(order_cancelled, program, order.source, order.id)


async def balance(database: Database, program: Program, who: str) -> Balance:
    found = await database.read(find_balance, program.id, who)
    assert found is not None
    return found


def net_of_flow(conn: Connection, customer_id: str, flow_id: str) -> tuple[int, int]:
    """What a flow gave a customer less what was taken back; and how many of its earnings hold a place."""
    row = conn.execute(
        select(func.sum(earning.c.points - earning.c.taken_back), func.count(earning.c.slot)).where(
            earning.c.customer_id == customer_id, earning.c.flow_id == flow_id
        )
    ).one()
    return int(row[0] or 0), int(row[1])


ORDERS = st.lists(
    st.tuples(st.lists(st.integers(0, 900), min_size=1, max_size=3), st.sampled_from(["regular", "double"])),
    min_size=1,
    max_size=5,
)
# Which order, which line, how much of it in per cent; a line of -1 cancels.
REFUNDS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 2), st.integers(1, 130)), max_size=8)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ORDERS, REFUNDS, st.integers(1, 40), st.integers(1, 700))
async def test_what_was_given_and_what_is_carried_is_what_the_money_that_was_kept_is_worth(
    database: Database,
    program: Program,
    orders: list[tuple[list[int], str]],
    refunds: list[tuple[int, int, int]],
    points: int,
    per_money: int,
) -> None:
    program = with_settings(program, points=PointsRules(negative="allow"))
    await database.write(_the_law_holds, program, orders, refunds, points, per_money)


def _the_law_holds(
    conn: Connection,
    program: Program,
    orders: list[tuple[list[int], str]],
    refunds: list[tuple[int, int, int]],
    points: int,
    per_money: int,
) -> None:
    programs = {
        kind: msgspec.structs.replace(
            program, tiers=tuple(msgspec.structs.replace(each, multiplier=percent) for each in program.tiers)
        )
        for kind, percent in (("regular", 100), ("double", 233))
    }
    ana = new_customer(conn, program)
    flow_id = add_flow(conn, program.id, purchases_earn(points, per_money))
    kept: list[tuple[Paid, Fraction, list[int]]] = []
    worth, gave, took = Fraction(0), list[int](), list[int]()

    def check() -> None:
        net, _ = net_of_flow(conn, ana, flow_id)
        assert net + carried(conn, program.id, ana, flow_id) == worth
        found = find_balance(conn, program.id, ana)
        assert (found.available if found else 0) == net

    for amounts, kind in orders:
        order = an_order_of(*amounts)
        outcome = order_paid(conn, programs[kind], ana, order)
        rate = Fraction(points, per_money) * (Fraction(233, 100) if kind == "double" else 1)
        kept.append((order, rate, list(amounts)))
        worth += sum(amounts) * rate
        gave.append(outcome.points)
        took.append(0)
        check()
    for which, line, percent in refunds:
        which %= len(kept)
        order, rate, left = kept[which]
        if line < 0:
            outcome = order_cancelled(conn, program, order.source, order.id)
            worth, left[:] = worth - sum(left) * rate, [0] * len(left)
        else:
            line %= len(left)
            amount = order.lines[line].amount * percent // 100
            back = Refund(id=new_id(), lines={order.lines[line].id: amount})
            outcome = order_refunded(conn, program, order.source, order.id, back)
            worth -= min(amount, left[line]) * rate
            left[line] -= min(amount, left[line])
        took[which] += 0 if outcome.is_repeat else outcome.points
        assert took[which] <= gave[which], "no order gives back more than it gave"
        assert any(left) or took[which] == gave[which], "and all of it where all came back"
        check()
    # The next example has a flow of its own.
    archive_flow(conn, program.id, flow_id)


async def test_a_refund_in_three_parts_takes_back_exactly_what_the_order_earned(
    database: Database, program: Program
) -> None:
    await database.write(add_flow, program.id, purchases_earn(5, 100))
    ana = await database.write(new_customer, program)
    order = an_order_of(1000)
    assert (await paid(database, program, ana, order)).points == 50
    parts = [(await refunded(database, program, order, line1=part)).points for part in (333, 333, 334)]
    assert parts == [17, 16, 17]
    assert (await refunded(database, program, order, line1=500)).points == 0
    assert (await balance(database, program, ana)).available == 0


async def test_the_same_order_and_the_same_refund_count_once_and_another_of_that_name_is_refused(
    database: Database, program: Program
) -> None:
    await database.write(add_flow, program.id, purchases_earn(1, 10))
    ana, ben = [await database.write(new_customer, program) for _ in range(2)]
    order, refund = an_order_of(1000, order_id="A-1"), Refund(id="R-1", lines={"1": 500})

    async def fifty(unit: Callable[..., Outcome], *args: Any) -> list[Outcome]:
        return list(await asyncio.gather(*(database.write(unit, program, *args) for _ in range(50))))

    outcomes = await fifty(order_paid, ana, order)
    assert {(each.purchase_id, each.points, each.entry_id, each.traces) for each in outcomes} == {
        (outcomes[0].purchase_id, 100, outcomes[0].entry_id, outcomes[0].traces)
    }
    assert sum(not each.is_repeat for each in outcomes) == 1
    backs = await fifty(order_refunded, "pos", "A-1", refund)
    assert {(each.points, each.entry_id) for each in backs} == {(50, backs[0].entry_id)}
    assert (await balance(database, program, ana)).available == 50

    for who, other in ((ana, an_order_of(999, order_id="A-1")), (ben, order)):
        with pytest.raises(KeyReused):
            await paid(database, program, who, other)
    with pytest.raises(KeyReused):
        await database.write(order_refunded, program, "pos", "A-1", Refund(id="R-1", lines={"1": 400}))
    with pytest.raises(NoSuchOrder):
        await database.write(order_refunded, program, "shopify", "A-1", refund)
    with pytest.raises(ValueError, match="an id of its own"):
        await paid(
            database, program, ana, an_order_of(lines=(Line(id="1", amount=1), Line(id="1", amount=2)))
        )
    with pytest.raises(ValueError, match="no line 7"):
        await database.write(order_refunded, program, "pos", "A-1", Refund(id="R-2", lines={"7": 1}))
    assert (await cancelled(database, program, order)).points == 50
    assert (await cancelled(database, program, order)).is_repeat
    assert (await balance(database, program, ana)).available == 0


async def test_names_may_be_as_long_as_their_systems_like(database: Database, program: Program) -> None:
    await database.write(add_flow, program.id, purchases_earn(1, 10))
    ana = await database.write(new_customer, program)
    order = an_order_of(1000, order_id="o" * 80, source="s" * 80)
    assert (await paid(database, program, ana, order)).points == 100
    for name, points in (("r" * 80, 30), ("r" * 79 + "q", 30), ("r" * 80, 30)):
        back = Refund(id=name, lines={"1": 300})
        outcome = await database.write(order_refunded, program, order.source, order.id, back)
        assert outcome.points == points
    assert (await balance(database, program, ana)).available == 40


async def test_a_first_purchase_that_is_taken_back_leaves_its_place_to_the_next(
    database: Database, program: Program
) -> None:
    flow_id = await database.write(add_flow, program.id, purchases_earn(100, recurrence="once", most=1))
    ana = await database.write(new_customer, program)
    first, second, third = (an_order_of(1000) for _ in range(3))
    assert (await paid(database, program, ana, first)).points == 100
    second_outcome = await paid(database, program, ana, second)
    assert (second_outcome.points, [check.rule for check in second_outcome.traces[0].failed]) == (
        0,
        ["period", "most"],
    )
    assert (await refunded(database, program, first, line1=400)).points == 40
    assert (await cancelled(database, program, first)).points == 60
    assert (await paid(database, program, ana, third)).points == 100
    assert await database.read(net_of_flow, ana, flow_id) == (100, 1)


async def test_several_flows_a_campaign_and_a_tier_make_one_entry_that_waits_for_returns(
    database: Database, program: Program
) -> None:
    program = with_settings(program, points=PointsRules(hold_days=14))
    silver = msgspec.structs.replace(program.tiers[0], multiplier=150)
    program = msgspec.structs.replace(program, tiers=(silver, *program.tiers[1:]))
    beans = purchases_earn(1, 100, conditions=Conditions(excluded_products=("mug",)))
    await database.write(add_flow, program.id, beans)
    await database.write(add_flow, program.id, purchases_earn(5, conditions=Conditions(channels=("online",))))
    now = utc_now()
    clock, hour = now.astimezone(ZoneInfo(program.settings.timezone)).replace(tzinfo=None), timedelta(hours=1)
    double = NewMultiplier(name={"en": "Double hour"}, percent=200, starts=clock - hour, ends=clock + hour)
    await database.write(add_multiplier, program.id, double)
    ana = await database.write(new_customer, program)
    lines = (Line(id="coffee", amount=450), Line(id="mug", amount=1200, product_id="mug"))
    order = an_order_of(lines=lines, channel="online", paid_at=now)
    outcome = await paid(database, program, ana, order)
    # 4.50 x 1.5 x 2 = 13.5, and 5 x 1.5 x 2 = 15 for buying online.
    assert [trace.points for trace in outcome.traces] == [13, 15]
    held = await balance(database, program, ana)
    assert (held.available, held.pending) == (0, 28)
    assert (
        await database.write(order_refunded, program, "pos", order.id, Refund(id="1", lines={"mug": 1200}))
    ).points == 11
    assert (await cancelled(database, program, order)).points == 17
    assert (await balance(database, program, ana)).pending == 0


async def test_a_tier_that_counts_money_counts_orders_that_earn_no_points_and_loses_what_is_refunded(
    database: Database, program: Program
) -> None:
    program = with_settings(program, tiers=TierRules(balance="money"))
    ana = await database.write(new_customer, program)
    nothing = an_order_of(300)
    assert (await paid(database, program, ana, nothing)).points == 0
    await database.write(add_flow, program.id, purchases_earn(1, 1))
    gift = an_order_of(
        lines=(Line(id="1", amount=250), Line(id="2", amount=5000, gift_card=True)),
    )
    assert (await paid(database, program, ana, gift)).points == 250
    now = await balance(database, program, ana)
    assert (now.tier_money, now.tier_id) == (550, program.tiers[1].id)
    await database.write(spend, program, ana, 250, an_order())
    await refunded(database, program, gift, line2=5000)
    assert (await balance(database, program, ana)).tier_money == 550
    await refunded(database, program, nothing, line1=100)
    now = await balance(database, program, ana)
    assert (now.tier_money, now.tier_id) == (450, program.tiers[0].id)
    await cancelled(database, program, gift)
    assert (await balance(database, program, ana)).tier_money == 200
    assert [each.cause for each in await database.read(history_of, program.id, ana)] == ["earned", "refund"]


async def test_of_two_customers_who_are_one_no_fraction_is_lost(database: Database, program: Program) -> None:
    flow_id = await database.write(add_flow, program.id, purchases_earn(1, 50))
    ana, ben = [await database.write(new_customer, program) for _ in range(2)]
    first, second = an_order_of(30), an_order_of(70)
    await paid(database, program, ana, first)
    await paid(database, program, ben, second)
    await database.write(merge, program, ben, ana, an_order())
    assert await database.read(carried, program.id, ana, flow_id) == 1
    # The till may go on with the old name for a while, and repeat itself.
    assert (await paid(database, program, ben, an_order_of(25))).points == 1
    assert (await paid(database, program, ben, second)).is_repeat
    assert (await cancelled(database, program, second)).points == 1
    assert (await cancelled(database, program, first)).points == 0
    assert await database.read(carried, program.id, ana, flow_id) == Fraction(1, 2) - 1
    assert (await balance(database, program, ana)).available == 1
