"""What counts towards a tier can be counted again from what was written down, with or without points."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from tests.conftest import SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from tests.support.rows import in_database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import balance, find_balance
from web.loyalty.customer import customer
from web.loyalty.earning_flow import NewEarningFlow, add_flow
from web.loyalty.earning_rules import PURCHASE, Line
from web.loyalty.held_tier import close_due
from web.loyalty.ledger_proof import rebuild_balances
from web.loyalty.merging import merge
from web.loyalty.personal_data import erase
from web.loyalty.points import earn, spend
from web.loyalty.program import Program, create_program, load_program
from web.loyalty.purchase import order_cancelled, order_paid, order_refunded
from web.loyalty.purchase_record import Paid, Refund
from web.loyalty.tiering import TierRules

COUNTS = (balance.c.customer_id, balance.c.tier_points, balance.c.tier_money)


def counting(conn: Connection, **rules: Any) -> Program:
    """A new programme whose purchases earn a point for each 0.50, with these rules for tiers."""
    slug, sealer = f"count-{new_id()[-8:]}", Sealer((SECRET,))
    program = load_program(conn, "brewbar", sealer)
    assert program is not None
    made = msgspec.structs.replace(program.settings, tiers=TierRules(balance="money", **rules))
    create_program(conn, slug, made, sealer)
    program = load_program(conn, slug, sealer)
    assert program is not None
    add_flow(conn, program.id, NewEarningFlow(type=PURCHASE, title={"en": "Coffee"}, points=1, per_money=50))
    return program


def bought(conn: Connection, program: Program, who: str, *amounts: int, **changes: Any) -> Paid:
    lines = tuple(Line(id=str(n), amount=amount, gift_card=n == 3) for n, amount in enumerate(amounts, 1))
    order = Paid(**{"source": "pos", "id": new_id(), "paid_at": utc_now(), "lines": lines, **changes})
    order_paid(conn, program, who, order)
    return order


def given_back(conn: Connection, program: Program, order: Paid, **lines: int) -> None:
    back = {name.removeprefix("line"): amount for name, amount in lines.items()}
    order_refunded(conn, program, order.source, order.id, Refund(id=new_id(), lines=back))


def money_of(conn: Connection, program: Program, who: str) -> int:
    found = find_balance(conn, program.id, who)
    assert found is not None
    return found.tier_money


def assert_rebuilt(conn: Connection, program: Program) -> None:
    """What was spoilt is counted again, and where all is right nothing is changed."""
    mine = balance.c.program_id == program.id
    assert rebuild_balances(conn, program.id) == 0
    before = conn.execute(select(*COUNTS).where(mine).order_by(balance.c.customer_id)).all()
    there = select(customer.c.id).where(customer.c.program_id == program.id)
    kept = mine & balance.c.cycle_started_at.is_not(None) & balance.c.customer_id.in_(there)
    spoilt = conn.execute(update(balance).where(kept).values(tier_points=7, tier_money=10**9)).rowcount
    assert rebuild_balances(conn, program.id) == spoilt
    assert conn.execute(select(*COUNTS).where(mine).order_by(balance.c.customer_id)).all() == before


def test_money_that_earned_no_points_is_counted_again(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = counting(conn)
        ana = new_customer(conn, program)
        little = bought(conn, program, ana, 20)
        assert conn.scalar(select(balance.c.number).where(balance.c.customer_id == ana)) == 0
        assert_rebuilt(conn, program)
        order = bought(conn, program, ana, 300, 49, 5000)
        given_back(conn, program, order, line2=10, line3=5000)
        given_back(conn, program, little, line1=5)
        assert money_of(conn, program, ana) == 20 + 349 - 10 - 5
        assert_rebuilt(conn, program)
        order_cancelled(conn, program, order.source, order.id)
        assert money_of(conn, program, ana) == 15
        assert_rebuilt(conn, program)

    in_database(fresh_database("sqlite"), story)


def test_a_cycle_that_ended_is_not_counted_whoever_ends_it(fresh_database: Fresh) -> None:
    """Also by an order that is told before the clock came by, and was paid in the cycle before."""

    def story(conn: Connection) -> None:
        program = counting(conn, cycle="calendar")
        ana, ben = (new_customer(conn, program) for _ in range(2))
        bought(conn, program, ana, 40)
        ends = conn.scalar(select(balance.c.cycle_ends_at).where(balance.c.customer_id == ana))
        assert ends is not None
        close_due(conn, program, ana, ends)
        assert money_of(conn, program, ana) == 0

        year_ago, today = (
            utc_now() - timedelta(days=365),
            datetime.combine(utc_now(), datetime.min.time(), UTC),
        )
        last = {"cycle_started_at": year_ago, "cycle_ends_at": today, "tier_due_at": today, "tier_money": 30}
        close_due(conn, program, ben, utc_now())
        conn.execute(update(balance).where(balance.c.customer_id == ben).values(**last))
        bought(conn, program, ben, 45, paid_at=today - timedelta(hours=1))
        assert money_of(conn, program, ben) == 45
        assert_rebuilt(conn, program)

    in_database(fresh_database("sqlite"), story)


def test_rules_that_end_what_was_for_life_lose_nothing_of_it(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = counting(conn)
        ana = new_customer(conn, program)
        bought(conn, program, ana, 40)
        rules = TierRules(balance="money", cycle="anniversary")
        program = msgspec.structs.replace(
            program, settings=msgspec.structs.replace(program.settings, tiers=rules)
        )
        bought(conn, program, ana, 2)
        assert money_of(conn, program, ana) == 42
        assert_rebuilt(conn, program)

    in_database(fresh_database("sqlite"), story)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "buy", "buy", "refund", "cancel", "earn", "spend", "merge", "erase"]),
        st.integers(0, 5),
        st.integers(1, 120),
    ),
    max_size=14,
)


def test_whatever_happens_it_is_counted_again_as_it_was(fresh_database: Fresh) -> None:
    def stories(conn: Connection) -> None:
        demo = {cycle: counting(conn, cycle=cycle) for cycle in ("lifetime", "calendar", "anniversary")}

        @settings(max_examples=25, deadline=None, phases=[Phase.generate])
        @given(STEPS, st.sampled_from(sorted(demo)))
        def property_holds(steps: list[tuple[str, int, int]], cycle: str) -> None:
            program = demo[cycle]
            story = conn.begin_nested()
            people = [new_customer(conn, program) for _ in range(3)]
            orders: list[Paid] = []
            for what, which, amount in steps:
                take(conn, program, people, orders, what, which, amount)
            assert_rebuilt(conn, program)
            story.rollback()

        property_holds()

    in_database(fresh_database("sqlite"), stories)


def take(
    conn: Connection,
    program: Program,
    people: list[str],
    orders: list[Paid],
    what: str,
    which: int,
    amount: int,
) -> None:
    who = people[which % len(people)]
    match what:
        case "buy":
            orders.append(bought(conn, program, who, amount, amount // 3, 100))
        case "refund" | "cancel" if orders:
            order = orders[which % len(orders)]
            if what == "refund":
                given_back(conn, program, order, line1=amount, line3=amount)
            else:
                order_cancelled(conn, program, order.source, order.id)
        case "earn":
            earn(conn, program, who, amount, an_order(), money=amount // 2)
        case "spend" if (held := find_balance(conn, program.id, who)) and held.available > 0:
            spend(conn, program, who, 1, an_order())
        case "merge" if len(people) > 1:
            other = people[(which + 1) % len(people)]
            merge(conn, program, who, other, an_order())
            people.remove(who)
        case "erase" if len(people) > 1:
            erase(conn, program.id, who, [])
            people.remove(who)
            orders.clear()
