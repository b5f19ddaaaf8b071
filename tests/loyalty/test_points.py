"""What can be done with points: the rules that need a story of their own, and many who do the same at once."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import DBAPIError

from tests.conftest import BOTH, SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.desk import Desk, open_desk
from tests.support.ledger import an_order
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import balance, find_balance
from web.loyalty.booking import Booked, KeyReused, NotEnough, Order
from web.loyalty.due import expire_due, release_due
from web.loyalty.expiry import expiry_of
from web.loyalty.ledger import LARGEST, ledger_entry
from web.loyalty.ledger_proof import verify
from web.loyalty.lot import lot, lot_use, open_lots
from web.loyalty.points import (
    InMirrorMode,
    NotReversible,
    TooLarge,
    adjust,
    earn,
    give_back,
    reserve,
    reverse,
    set_balance,
    settle,
    spend,
)
from web.loyalty.program import Program, create_program, load_program
from web.loyalty.program_settings import PointsRules, ProgramSettings


class Till:
    """A programme, and somebody who buys there. What is done is undone after each test."""

    def __init__(self, desk: Desk, program: Program) -> None:
        self.desk, self.program, self.ana = desk, program, new_id()

    def rules(self, **rules: Any) -> None:
        settings = msgspec.structs.replace(self.program.settings, points=PointsRules(**rules))
        self.program = msgspec.structs.replace(self.program, settings=settings)

    def do(self, verb: Any, *given: Any, order: Order | None = None, **more: Any) -> Booked:
        order = order or an_order()
        booked: Booked = self.desk.do(lambda conn: verb(conn, self.program, *given, order, **more))
        return booked

    def look(self, query: Any) -> list[Any]:
        return self.desk.do(lambda conn: list(conn.execute(query)))

    def is_sound(self) -> bool:
        return not self.desk.do(lambda conn: list(verify(conn, self.program.id, ())))


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield stack.enter_context(open_desk(Fresh(request, stack)(request.param)))


@pytest.fixture
def till(desk: Desk, sealer: Sealer) -> Iterator[Till]:
    def a_program(conn: Connection) -> Program:
        slug = f"till-{new_id()[-8:]}"
        create_program(conn, slug, ProgramSettings(name="Till"), sealer)
        program = load_program(conn, slug, sealer)
        assert program is not None
        return program

    yield (made := Till(desk, desk.do(a_program)))
    assert made.is_sound()
    desk.forget()


def test_an_entry_that_does_not_balance_or_leads_nowhere_cannot_be_written(till: Till) -> None:
    """L1: one row is both sides, so that only its own rules have to hold."""
    till.do(earn, till.ana, 10)
    [row] = till.look(select(ledger_entry).where(ledger_entry.c.customer_id == till.ana))
    for wrong in (
        {"amount": 0},
        {"amount": -5},
        {"amount": LARGEST + 1},
        {"debit": "available"},
        {"credit": "my pocket"},
        {"debit": "available", "credit": "redeemed", "available_after": -1, "kind": "spend"},
        {"pending_after": -1},
        {"reserved_after": -1},
    ):
        values = {**row._mapping, "id": new_id(), "number": 2, "key": None, **wrong}
        with pytest.raises(DBAPIError):
            till.desk.do(lambda conn, values=values: conn.execute(ledger_entry.insert().values(values)))


def test_what_is_written_can_neither_be_changed_nor_deleted(till: Till) -> None:
    """L2: by the database itself, whoever asks."""
    till.do(earn, till.ana, 10)
    till.do(spend, till.ana, 4)
    for statement in (
        update(ledger_entry).values(reason="Cake"),
        delete(ledger_entry),
        update(lot_use).values(amount=1),
        delete(lot_use),
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            till.desk.do(lambda conn, statement=statement: conn.execute(statement))


def test_a_key_is_one_programmes(till: Till, sealer: Sealer) -> None:
    """L6."""

    def another(conn: Connection) -> Program:
        create_program(conn, "elsewhere", ProgramSettings(name="Elsewhere"), sealer)
        found = load_program(conn, "elsewhere", sealer)
        assert found is not None
        return found

    order, elsewhere = an_order(), till.desk.do(another)
    here = till.do(earn, till.ana, 10, order=order)
    there = till.desk.do(lambda conn: earn(conn, elsewhere, new_id(), 10, order))
    assert here.entry_id != there.entry_id
    with pytest.raises(KeyReused):
        till.do(earn, new_id(), 10, order=order)


def test_what_runs_out_first_is_spent_first(till: Till) -> None:
    """L10: across lots, and the older one of two that run out together."""
    till.rules(expiry="after_earn", expiry_days=30)
    now = utc_now()
    for amount, days in ((10, 0), (20, 5), (30, 5)):
        till.do(earn, till.ana, amount, order=an_order(at=now - timedelta(days=days)))
    till.do(spend, till.ana, 25)
    left = till.desk.do(lambda conn: open_lots(conn, till.program.id, till.ana))
    assert [(each.amount, each.remaining) for each in left] == [(30, 25), (10, 10)]


def test_refunds_in_parts_take_back_exactly_what_was_earned(till: Till) -> None:
    """L12: an order over 10.00 earned 50 points, and comes back as 3.33, 3.33 and 3.34."""
    earned = till.do(earn, till.ana, 50, money=1000)
    cumulative = [round(50 * refunded / 1000) for refunded in (333, 666, 1000)]
    parts = [cumulative[0], cumulative[1] - cumulative[0], cumulative[2] - cumulative[1]]
    for part in parts:
        till.do(reverse, earned.entry_id, amount=part)
    row = till.desk.do(lambda conn: find_balance(conn, till.program.id, till.ana))
    assert row is not None
    assert (row.available, row.tier_points, row.tier_money, row.lifetime_earned) == (0, 0, 0, 0)
    with pytest.raises(NotReversible):
        till.do(reverse, earned.entry_id, amount=1)


def test_a_reversal_is_not_reversed(till: Till) -> None:
    """L14: what was taken back by mistake is given anew."""
    earned = till.do(earn, till.ana, 50)
    taken = till.do(reverse, earned.entry_id)
    for undo in (reverse, give_back, settle):
        with pytest.raises(NotReversible):
            till.do(undo, taken.entry_id)


def test_points_come_back_to_their_day_or_with_a_grace_where_it_is_over(till: Till) -> None:
    """L13."""
    till.rules(expiry="after_earn", expiry_days=30, grace_days=5)
    till.do(earn, till.ana, 10)
    before = till.look(select(lot.c.expires_at).where(lot.c.customer_id == till.ana))
    spent = till.do(spend, till.ana, 10)
    till.do(give_back, spent.entry_id)
    assert till.look(select(lot.c.expires_at).where(lot.c.customer_id == till.ana)) == before
    spent = till.do(spend, till.ana, 10)
    over = utc_now() - timedelta(days=1)
    till.desk.do(
        lambda conn: conn.execute(update(lot).where(lot.c.customer_id == till.ana).values(expires_at=over))
    )
    till.do(give_back, spent.entry_id)
    [again] = till.look(select(lot.c.expires_at).where(lot.c.customer_id == till.ana))
    assert timedelta(days=4.9) < again.expires_at - utc_now() < timedelta(days=5.1)


def test_who_returns_first_the_purchase_and_then_the_reward_keeps_nothing(till: Till) -> None:
    bought = till.do(earn, till.ana, 100)
    redeemed = till.do(spend, till.ana, 80)
    assert till.do(reverse, bought.entry_id).available == 0
    assert till.do(give_back, redeemed.entry_id).available == 0
    assert till.do(earn, till.ana, 10).available == 10


def test_in_parts_it_gains_nothing_either(till: Till) -> None:
    bought = till.do(earn, till.ana, 100)
    redeemed = [till.do(spend, till.ana, 40) for _ in range(2)]
    till.do(reverse, bought.entry_id, amount=70)
    assert till.do(give_back, redeemed[0].entry_id).available == 0
    assert till.do(give_back, redeemed[1].entry_id).available == 30
    assert till.do(reverse, bought.entry_id).available == 0


def test_a_debt_is_paid_by_what_comes_next_and_a_reward_that_comes_back_settles_it(till: Till) -> None:
    till.rules(negative="allow")
    bought = till.do(earn, till.ana, 100)
    redeemed = till.do(spend, till.ana, 80)
    assert till.do(reverse, bought.entry_id).available == -80
    with pytest.raises(NotEnough):
        till.do(spend, till.ana, 1)
    assert till.do(earn, till.ana, 30).available == -50
    assert till.do(give_back, redeemed.entry_id).available == 30
    assert till.do(spend, till.ana, 30).available == 0


def test_a_debt_is_paid_in_the_order_of_spending_whatever_brings_the_points(till: Till) -> None:
    """L10: what runs out soonest goes first, also where it was booked last, when a reward comes back into a debt."""
    till.rules(expiry="after_earn", expiry_days=8, negative="allow")
    now = utc_now()
    till.do(earn, till.ana, 10, order=an_order(at=now))
    till.do(earn, till.ana, 16, order=an_order(at=now - timedelta(days=6)))
    bought = till.do(earn, till.ana, 49, order=an_order(at=now))
    redeemed = till.do(spend, till.ana, 45)
    assert till.do(reverse, bought.entry_id).available == -19
    assert till.do(give_back, redeemed.entry_id).available == 26
    left = till.desk.do(lambda conn: open_lots(conn, till.program.id, till.ana))
    assert [(each.amount, each.remaining) for each in left] == [(10, 7), (49, 19)]


def test_a_debt_is_paid_in_that_order_by_points_that_were_held_back_too(till: Till) -> None:
    till.rules(expiry="after_earn", expiry_days=30, hold_days=3, negative="allow")
    now = utc_now()
    bought = till.do(earn, till.ana, 10)
    till.do(spend, till.ana, 10)
    for amount, days in ((20, 0), (30, 2)):
        till.do(earn, till.ana, amount, order=an_order(at=now - timedelta(days=days)), hold=True)
    assert till.do(reverse, bought.entry_id).available == -10
    till.desk.do(lambda conn: release_due(conn, till.program, till.ana, now + timedelta(days=4)))
    left = till.desk.do(lambda conn: open_lots(conn, till.program.id, till.ana))
    assert [(each.amount, each.remaining) for each in left] == [(30, 20), (20, 20)]


def test_of_points_that_run_out_together_those_earned_first_go_first(till: Till) -> None:
    """Also where they were booked last: a till that was offline tells of yesterday's coffee today."""
    now = utc_now()
    till.do(earn, till.ana, 10, order=an_order(at=now))
    till.do(earn, till.ana, 20, order=an_order(at=now - timedelta(days=1)))
    till.do(earn, till.ana, 30, order=an_order(at=now - timedelta(days=1)))
    till.do(spend, till.ana, 25)
    left = till.desk.do(lambda conn: open_lots(conn, till.program.id, till.ana))
    assert [(each.amount, each.remaining) for each in left] == [(30, 25), (10, 10)]


def test_points_that_ran_out_are_not_asked_for_when_their_purchase_is_returned(till: Till) -> None:
    till.rules(expiry="after_earn", expiry_days=1, negative="allow")
    bought = till.do(earn, till.ana, 100)
    later = utc_now() + timedelta(days=9)
    till.desk.do(lambda conn: expire_due(conn, till.program, till.ana, later))
    assert till.do(earn, till.ana, 50).available == 50
    assert till.do(reverse, bought.entry_id).available == 50


def test_points_that_are_given_late_for_something_long_ago_can_still_be_spent(till: Till) -> None:
    till.rules(expiry="after_earn", expiry_days=30, grace_days=7)
    long_ago = utc_now() - timedelta(days=100)
    till.do(earn, till.ana, 10, order=an_order(at=long_ago))
    till.do(earn, till.ana, 20, order=an_order(at=long_ago, is_history=True))
    till.desk.do(lambda conn: expire_due(conn, till.program, till.ana, utc_now()))
    [held] = till.look(select(balance.c.available).where(balance.c.customer_id == till.ana))
    assert held.available == 10


def test_the_last_day_is_a_whole_one_however_long_the_clocks_make_it() -> None:
    rules = PointsRules(expiry="after_earn", expiry_days=1)
    lasts = {}
    for day in (28, 29):
        noon = datetime(2026, 3, day - 1, 11, tzinfo=UTC)
        lasts[day] = expiry_of(rules, "Europe/Madrid", noon)
    # The night of 28 to 29 March is an hour short.
    assert lasts == {
        28: datetime(2026, 3, 28, 23, tzinfo=UTC),
        29: datetime(2026, 3, 29, 22, tzinfo=UTC),
    }
    # Where midnight itself is skipped, the day begins with its first moment.
    skipped = expiry_of(rules, "America/Santiago", datetime(2026, 9, 4, 12, tzinfo=UTC))
    assert skipped == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_a_balance_that_is_set_to_what_it_is_books_nothing(till: Till) -> None:
    """L19: the first is an opening balance, the rest are differences."""
    till.rules(mirror=True)
    for target in (70, 70, 50, 90, 0):
        assert till.do(set_balance, till.ana, target).available == target
    kinds = till.look(
        select(ledger_entry.c.kind, ledger_entry.c.amount)
        .where(ledger_entry.c.customer_id == till.ana)
        .order_by(ledger_entry.c.number)
    )
    assert kinds == [("opening", 70), ("sync", 20), ("sync", 40), ("sync", 90)]
    for verb in (earn, spend, reserve, adjust):
        with pytest.raises(InMirrorMode):
            till.do(verb, till.ana, 5)


def test_a_thousand_mirrored_balances_drift_by_nothing(till: Till) -> None:
    """A61, of which a programme's server calls one a second."""
    till.rules(mirror=True, expiry="after_earn", expiry_days=1)
    for call in range(150):
        target = call * 7919 % 500
        assert till.do(set_balance, till.ana, target).available == target
    in_lots = sum(
        row.remaining for row in till.look(select(lot.c.remaining).where(lot.c.customer_id == till.ana))
    )
    assert in_lots == 149 * 7919 % 500


def test_nothing_grows_beyond_what_the_ledger_can_hold(till: Till) -> None:
    order = an_order()
    most = till.do(earn, till.ana, LARGEST, order=order)
    with pytest.raises(TooLarge):
        till.do(earn, till.ana, 1)
    till.do(reserve, till.ana, LARGEST)
    with pytest.raises(TooLarge):
        till.do(earn, till.ana, 1)
    with pytest.raises(TooLarge):
        till.do(earn, new_id(), 1, money=LARGEST + 1)
    # A repeat is answered, not measured.
    assert till.do(earn, till.ana, LARGEST, order=order) == msgspec.structs.replace(most, is_repeat=True)


# Many at once, each in a transaction of its own.


async def at_once(databases: list[Database], number: int, verb: Any, *given: Any, **more: Any) -> list[Any]:
    """The answers, and the errors, of so many that ask at the same moment through several connections."""

    def unit(conn: Connection, order: Order) -> Any:
        return verb(conn, *given, order, **more)

    orders = more.pop("orders", None) or [an_order() for _ in range(number)]
    return await asyncio.gather(
        *(databases[place % len(databases)].write(unit, order) for place, order in enumerate(orders)),
        return_exceptions=True,
    )


async def test_many_at_once_are_as_one_after_the_other(
    database: Database, database_url: str, program: Program
) -> None:
    """L4, L8, L12, L14, L16 under concurrency, through three processes' worth of connections."""
    others = [open_database(database_url) for _ in range(2)]
    databases = [database, *others]
    ana, bea, cleo, dora = [await database.write(new_customer, program) for _ in range(4)]

    # A hundred spends on a balance for three.
    await database.write(earn, program, ana, 30, an_order())
    outcome = await at_once(databases, 100, spend, program, ana, 10)
    assert Counter(type(each) for each in outcome) == {Booked: 3, NotEnough: 97}

    # Fifty with one key, and among them some who mean something else by it.
    order = an_order()
    outcome = await at_once(databases, 50, earn, program, bea, 7, orders=[order] * 50)
    assert len({(each.entry_id, each.amount, each.available) for each in outcome}) == 1
    assert sum(each.is_repeat for each in outcome) == 49
    other = await at_once(databases, 5, earn, program, bea, 8, orders=[order] * 5)
    assert {type(each) for each in other} == {KeyReused}

    # Everybody takes the same purchase back, in parts that together are more than it was.
    bought = await database.write(earn, program, cleo, 50, an_order())
    outcome = await at_once(databases, 30, _take_back(20), program, bought.entry_id)
    assert Counter(type(each) for each in outcome) == {Booked: 2, NotReversible: 28}
    outcome = await at_once(databases, 10, reverse, program, bought.entry_id)
    assert Counter(type(each) for each in outcome) == {Booked: 1, NotReversible: 9}

    # A reservation ends once: it is settled, or given back.
    await database.write(earn, program, dora, 9, an_order())
    held = await database.write(reserve, program, dora, 9, an_order())
    both = await asyncio.gather(
        at_once(databases, 10, settle, program, held.entry_id),
        at_once(databases, 10, give_back, program, held.entry_id),
    )
    assert Counter(type(each) for some in both for each in some) == {Booked: 1, NotReversible: 19}

    assert await database.read(lambda conn: list(verify(conn, program.id, ()))) == []
    for each in others:
        await each.close()


def _take_back(amount: int) -> Any:
    def take_back(conn: Connection, program: Program, entry_id: str, order: Order) -> Booked:
        return reverse(conn, program, entry_id, order, amount=amount)

    return take_back


EARN_FOR_EVER = """
import asyncio, sys
from tests.support.ledger import an_order
from web.demo import SLUG
from web.foundation.database import open_database
from web.foundation.sealing import Sealer
from web.loyalty.points import earn
from web.loyalty.program import load_program

async def main(url, customer_id, secret):
    database = open_database(url)
    program = await database.read(load_program, SLUG, Sealer((secret,)))
    number = 0
    while True:
        number += 1
        booked = await database.write(earn, program, customer_id, 1, an_order(f"coffee {number}"))
        print(number, booked.entry_id, booked.available, booked.is_repeat, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_who_is_killed_between_the_effect_and_the_answer_hears_the_same_answer_again(
    database: Database, database_url: str, program: Program
) -> None:
    """L7: twice, with everything asked again from the first on."""
    ana = await database.write(new_customer, program)
    answers: dict[str, tuple[str, str]] = {}
    for lines in (6, 12):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", EARN_FOR_EVER, database_url, ana, SECRET, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(lines):
            number, entry_id, available, is_repeat = (await process.stdout.readline()).decode().split()
            known = answers.setdefault(number, (entry_id, available))
            assert known == (entry_id, available)
            assert (is_repeat == "True") == (lines == 12 and int(number) <= 6) or int(number) > 6
        process.kill()
        await process.wait()
    held = await database.read(find_balance, program.id, ana)
    assert held is not None
    # Each number once; the last of all may have been booked without anybody hearing of it.
    assert held.available == held.number >= len(answers)
    assert await database.read(lambda conn: list(verify(conn, program.id, ()))) == []
