"""Two customers who are one person: their referrals go on with who remains, and the hard rules are asked again."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.conftest import Fresh
from tests.loyalty.friends import bring, happened, loaded, now, points_of, told, verified
from tests.loyalty.people import new_customer
from tests.support.ledger import an_order, put_away_flows
from tests.support.rows import in_database
from web.loyalty.balance import find_balance
from web.loyalty.customer import confirm_address
from web.loyalty.earning_flow import NewEarningFlow, add_flow
from web.loyalty.earning_occasions import on_event
from web.loyalty.earning_record import earning
from web.loyalty.event import CARD_INSTALLED, REFERRAL_COMPLETED
from web.loyalty.ledger_proof import verify
from web.loyalty.merging import merge
from web.loyalty.program import Program
from web.loyalty.referral import (
    BLOCKED,
    JOINED,
    REVERSED,
    REWARDED,
    Kept,
    find_referral,
    referral,
    referrals_of,
    totals_of,
)
from web.loyalty.referral_code import advocate_of, code_for
from web.loyalty.referral_reward import on_event as referral_event
from web.loyalty.referral_reward import on_purchase, on_refund
from web.loyalty.referral_signals import Purchase
from web.loyalty.wallet_pass import wallet_pass


def become(conn: Connection, program: Program, from_id: str, into_id: str) -> None:
    merge(conn, program, from_id, into_id, an_order())
    assert list(verify(conn, program.id, ())) == []


def found_again(conn: Connection, found: Kept) -> Kept:
    again = find_referral(conn, found.program_id, found.id)
    assert again is not None
    return again


def test_it_goes_on_with_whom_either_side_became(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana, other_ana = (new_customer(conn, program) for _ in range(2))
        found = bring(conn, program, ana)
        twice = new_customer(conn, program)
        become(conn, program, ana, other_ana)
        become(conn, program, found.friend_id, twice)
        carried = found_again(conn, found)
        assert (carried.state, carried.advocate_id, carried.friend_id) == (JOINED, other_ana, twice)
        assert points_of(conn, verified(conn, program, carried)) == (50, 30)
        assert [each.id for each in referrals_of(conn, program.id, other_ana)] == [found.id]
        # Where both have a code, either leads to the one who remains.
        third = new_customer(conn, program)
        codes = {code_for(conn, program, each) for each in (other_ana, third)}
        become(conn, program, other_ana, third)
        assert {advocate_of(conn, program.id, code) for code in codes} == {third}

    in_database(fresh_database("sqlite"), story)


def test_what_is_told_of_the_old_name_completes_it_too(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action="first_purchase")
        found = bring(conn, program, new_customer(conn, program))
        become(conn, program, found.friend_id, new_customer(conn, program))
        on_purchase(conn, program, found.friend_id, Purchase(ref="1", amount=100))
        assert points_of(conn, found_again(conn, found)) == (50, 30)

    in_database(fresh_database("sqlite"), story)


def test_who_turns_out_to_be_their_own_friend_gets_nothing_and_what_was_paid_stays(
    fresh_database: Fresh,
) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana = new_customer(conn, program)
        waiting, other, paid = (bring(conn, program, ana) for _ in range(3))
        verified(conn, program, paid)
        become(conn, program, waiting.friend_id, ana)
        assert found_again(conn, waiting).blocked_by == "themselves"
        assert [name for name, _ in told(conn, ana)][-2:] == ["Referral blocked"] * 2
        become(conn, program, paid.friend_id, ana)
        assert found_again(conn, paid).state == REWARDED
        held = find_balance(conn, program.id, ana)
        assert held is not None
        assert held.available == 80, "the sum is what it was"
        become(conn, program, ana, other.friend_id)
        assert found_again(conn, other).blocked_by == "themselves"

    in_database(fresh_database("sqlite"), story)


def test_a_friend_who_was_here_before_or_came_by_another_is_not_new(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        regular, ana, ben = (new_customer(conn, program) for _ in range(3))
        found = bring(conn, program, ana)
        become(conn, program, found.friend_id, regular)
        assert found_again(conn, found).blocked_by == "existed"

        first, second = bring(conn, program, ana), bring(conn, program, ben)
        become(conn, program, second.friend_id, first.friend_id)
        assert found_again(conn, second).blocked_by == "existed"
        assert points_of(conn, verified(conn, program, first)) == (50, 30)

        brought = bring(conn, program, ana)
        after = bring(conn, program, brought.friend_id)
        become(conn, program, ana, bring(conn, program, after.friend_id).friend_id)
        assert found_again(conn, brought).blocked_by == "cycle"

    in_database(fresh_database("sqlite"), story)


@pytest.mark.parametrize("action", ["verify", "install"])
def test_what_they_had_done_before_under_the_other_name_counts(fresh_database: Fresh, action: Any) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action=action)
        found = bring(conn, program, new_customer(conn, program))
        twice = new_customer(conn, program)
        if action == "verify":
            confirm_address(conn, program.id, twice, "email")
        else:
            its = wallet_pass.c
            conn.execute(wallet_pass.update().values(status="installed").where(its.customer_id == twice))
            referral_event(conn, program, happened(program, CARD_INSTALLED, twice))
        become(conn, program, found.friend_id, twice)
        assert points_of(conn, found_again(conn, found)) == (50, 30)

    in_database(fresh_database("sqlite"), story)


def test_both_advocates_together_have_the_limits_of_one(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, most_a_day=3)
        one, other = (new_customer(conn, program) for _ in range(2))
        for advocate in (one, one, other):
            verified(conn, program, bring(conn, program, advocate))
        become(conn, program, one, other)
        assert totals_of(conn, program.id, other) == (3, 3, 150)
        turns = select(referral.c.day_turn, referral.c.month_turn, referral.c.life_turn)
        rows = conn.execute(turns.where(referral.c.advocate_id == other).order_by(referral.c.life_turn))
        assert [tuple(row) for row in rows] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
        assert verified(conn, program, bring(conn, program, other)).state == BLOCKED

    in_database(fresh_database("sqlite"), story)


@pytest.mark.parametrize("points", [50, 0])
def test_what_a_flow_gave_for_a_friend_goes_back_with_the_referral(
    fresh_database: Fresh, points: int
) -> None:
    """Whether the worker told the flows before the purchase was returned, or tells them only afterwards."""

    def story(conn: Connection) -> None:
        program = loaded(conn, action="first_purchase", advocate_points=points)
        put_away_flows(conn, program.id)
        new = NewEarningFlow(type="MEMBER_GET_MEMBER", title={"en": "A friend"}, points=7)
        add_flow(conn, program.id, new)
        ana = new_customer(conn, program)

        def one_more() -> tuple[Kept, Any]:
            found = bring(conn, program, ana)
            on_purchase(conn, program, found.friend_id, Purchase(ref=found.id, amount=100))
            facts = dict(told(conn, ana)[-1][1])
            return now(conn, found), happened(program, REFERRAL_COMPLETED, ana, **facts)

        found, completed = one_more()
        for _ in range(2):
            on_event(conn, program, completed)
        late, told_late = one_more()
        assert points_of(conn, found)[0] == 2 * points + 7
        for each in (found, found, late):
            on_refund(conn, program, each.id, 0)
        on_event(conn, program, told_late)
        assert {found_again(conn, each).state for each in (found, late)} == {REVERSED}
        assert points_of(conn, found) == (0, 0)
        rows = conn.execute(select(earning.c.points, earning.c.taken_back)).all()
        assert [tuple(row) for row in rows] == [(7, 7)]
        assert list(verify(conn, program.id, ())) == []

    in_database(fresh_database("sqlite"), story)
