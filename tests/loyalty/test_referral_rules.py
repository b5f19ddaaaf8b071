"""What blocks a referral, what lets it wait for a look, and what no order of events and no hurry can break."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from tests.conftest import Fresh
from tests.loyalty.friends import (
    an_email,
    an_invite,
    bring,
    happened,
    loaded,
    now,
    points_of,
    referring,
    told,
    verified,
)
from tests.loyalty.people import a_phone, new_customer, new_email
from tests.support.ledger import an_order
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from tests.support.rows import in_database
from web.foundation.database import Database
from web.foundation.schema import utc_now
from web.loyalty.address_change import agree, request_change
from web.loyalty.balance import find_balance
from web.loyalty.customer import customer
from web.loyalty.directory import Changes, change_customer
from web.loyalty.event import ACCOUNT_VERIFIED, CARD_INSTALLED
from web.loyalty.ledger import LARGEST
from web.loyalty.personal_data import erase, export_data
from web.loyalty.points import earn, reverse
from web.loyalty.program import Program
from web.loyalty.referral import (
    BLOCKED,
    COLUMNS,
    FLAGGED,
    JOINED,
    REVERSED,
    REWARDED,
    Kept,
    list_referrals,
    referral,
    referral_to,
    referrals_of,
    totals_of,
)
from web.loyalty.referral_code import code_for
from web.loyalty.referral_reward import NotWaiting, approve, on_event, on_purchase, on_refund, reject
from web.loyalty.referral_signals import (
    ADVOCATES_ORDER,
    BUSY_NETWORK,
    SAME_MINUTES,
    SHARED_NETWORK,
    SIMILAR_EMAIL,
    Purchase,
)
from web.loyalty.referral_start import start_referral

HOME = {"network_tag": "home", "device": "iPhone Safari"}


def test_hard_rules_block_and_nothing_lifts_them(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana = new_customer(conn, program, email=an_email("Ana.Lopez@gmail.com"))
        code = code_for(conn, program, ana)

        def blocked_by(customer_id: str, its_code: str = code, **invite: Any) -> str | None:
            start_referral(conn, program, customer_id, an_invite(its_code, **invite))
            found = referral_to(conn, program.id, customer_id)
            assert found is not None
            assert found.state == BLOCKED
            assert verified(conn, program, found).state == BLOCKED
            assert told(conn, customer_id)[-1][0] == "Referral blocked"
            with pytest.raises(NotWaiting):
                approve(conn, program, found.id, "support")
            return found.blocked_by

        ben = bring(conn, program, ana).friend_id
        assert blocked_by(ana, code_for(conn, program, ben)) == "cycle"
        conn.execute(referral.delete().where(referral.c.friend_id == ana))
        assert blocked_by(ana) == "themselves"
        assert blocked_by(new_customer(conn, program, email=an_email("analopez+2@googlemail.com"))) == (
            "same_inbox"
        )
        new_customer(conn, program, email=an_email("eva+shop@example.org"))
        assert blocked_by(new_customer(conn, program, email=an_email("Eva@example.org"))) == "existed"
        regular = new_customer(conn, program)
        earn(conn, program, regular, 10, an_order())
        assert blocked_by(regular) == "existed"
        back = new_email()
        erase(conn, program.id, new_customer(conn, program, email=back), [f"tag of {back.key}"])
        assert blocked_by(new_customer(conn, program, email=back)) == "erased_before"
        assert totals_of(conn, program.id, ana).joined == 1
        assert find_balance(conn, program.id, ana) is None

    in_database(fresh_database("sqlite"), story)


def test_who_changed_their_address_is_known_by_the_new_one(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana, told, asked = (new_customer(conn, program) for _ in range(3))
        change_customer(conn, program, told, Changes(email=an_email("eva@example.org")))
        request_change(conn, program.id, asked, an_email("ida@example.org"), None)
        for side in ("old", "new"):
            agree(conn, program.id, asked, side)
        for name in ("eva", "ida"):
            found = bring(conn, program, ana, email=an_email(f"{name}+new@example.org"))
            assert found.blocked_by == "existed"

    in_database(fresh_database("sqlite"), story)


def test_whose_code_is_nobody_s_or_whose_way_is_known_begins_nothing(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        found = bring(conn, program, new_customer(conn, program))
        other = code_for(conn, program, new_customer(conn, program))
        assert start_referral(conn, program, found.friend_id, an_invite(other)) is None
        assert now(conn, found).advocate_id == found.advocate_id, "the first one stays"
        newcomer = new_customer(conn, program)
        assert start_referral(conn, program, newcomer, an_invite("ZZZZZZZZ")) is None
        code = code_for(conn, program, found.advocate_id)
        erase(conn, program.id, found.advocate_id, [])
        assert start_referral(conn, program, newcomer, an_invite(code)) is None
        assert verified(conn, program, found).blocked_by == "owner_gone"

    in_database(fresh_database("sqlite"), story)


def test_a_household_joins_unsuspected_and_a_busy_network_is_looked_at(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, busy_network=6)
        ana = new_customer(conn, program)
        family = [bring(conn, program, ana, HOME) for _ in range(5)]
        assert [each.signals for each in family] == [[], *([[SHARED_NETWORK, SAME_MINUTES]] * 4)]
        assert {verified(conn, program, each).state for each in family} == {REWARDED}
        sixth = bring(conn, program, new_customer(conn, program), HOME)
        assert sixth.signals == [BUSY_NETWORK]
        assert verified(conn, program, sixth).state == FLAGGED

        elsewhere = bring(conn, program, ana, {**HOME, "network_tag": "office"})
        assert elsewhere.signals == []

    in_database(fresh_database("sqlite"), story)


async def test_a_flagged_one_waits_for_a_person_and_is_paid_once_by_all_who_approve(
    database: Database, program: Program
) -> None:
    program = referring(program, action="first_purchase")

    def flagged(conn: Connection) -> tuple[Any, Any, Any]:
        ana = new_customer(conn, program, email=an_email("ana.lopez@example.org"))
        near = [bring(conn, program, ana, email=an_email(f"ana.lopez{n}@example.org")) for n in range(2)]
        ordered = bring(conn, program, ana)
        for found in near:
            on_purchase(conn, program, found.friend_id, Purchase(ref=found.id, amount=100))
        theirs = Purchase(ref=ordered.id, amount=100, email="Ana.Lopez@example.org")
        on_purchase(conn, program, ordered.friend_id, theirs)
        assert now(conn, near[0]).signals == [SIMILAR_EMAIL]
        assert now(conn, ordered).signals == [ADVOCATES_ORDER]
        assert {each.id for each in list_referrals(conn, program.id, state=FLAGGED)} == {
            found.id for found in (*near, ordered)
        }
        assert points_of(conn, ordered) == (0, 0)
        return *near, ordered

    good, bad, returned = await database.write(flagged)

    async def approved() -> str:
        try:
            return (await database.write(approve, program, good.id, "support")).state
        except NotWaiting:
            return "not waiting"

    outcomes = await asyncio.gather(*(approved() for _ in range(6)))
    assert sorted(outcomes) == ["not waiting"] * 5 + [REWARDED]
    assert (await database.write(reject, program, bad.id, "support")).blocked_by == "rejected"
    await database.write(on_refund, program, returned.id, 0)

    def after(conn: Connection) -> None:
        assert now(conn, returned).state == REVERSED, "its order went back while it waited"
        assert points_of(conn, good) == (50, 30)
        assert points_of(conn, bad) == (50, 0)
        assert now(conn, good).reviewed_by == "support"
        for judged in (good, bad, returned):
            for verdict in (approve, reject):
                with pytest.raises(NotWaiting):
                    verdict(conn, program, judged.id, "support")

    await database.write(after)


async def test_limits_hold_when_twenty_friends_come_at_once(database: Database, program: Program) -> None:
    program = referring(program, most_a_day=3)

    def arrive(conn: Connection) -> tuple[str, list[Kept]]:
        ana = new_customer(conn, program)
        return ana, [bring(conn, program, ana) for _ in range(20)]

    ana, friends = await database.write(arrive)
    await asyncio.gather(*(database.write(verified, program, found) for found in friends))

    def check(conn: Connection) -> None:
        ended = [now(conn, found) for found in friends]
        paid = [found for found in ended if found.state == REWARDED]
        assert len(paid) == 3
        assert {found.blocked_by for found in ended if found not in paid} == {"cap"}
        held = find_balance(conn, program.id, ana)
        assert held is not None
        assert held.available == 3 * 50
        assert {points_of(conn, found)[1] for found in paid} == {30}
        assert {points_of(conn, found)[1] for found in ended if found not in paid} == {0}

    await database.read(check)


def test_each_limit_has_its_own_time_and_what_was_returned_had_its_turn(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action="first_purchase", most_a_day=1, most_a_month=2, most_ever=3)
        ana = new_customer(conn, program)

        def one_more() -> str:
            found = bring(conn, program, ana)
            on_purchase(conn, program, found.friend_id, Purchase(ref=found.id, amount=1))
            on_refund(conn, program, found.id, 0)
            return now(conn, found).state

        def turn(column: str, value: str) -> None:
            conn.execute(update(referral).where(referral.c.day_turn.is_not(None)).values({column: value}))

        assert [one_more(), one_more()] == [REVERSED, BLOCKED]
        turn("paid_day", "2001-01-01")
        assert [one_more(), one_more()] == [REVERSED, BLOCKED]
        conn.execute(update(referral).values(paid_day=referral.c.id))
        assert one_more() == BLOCKED, "two this month"
        turn("paid_month", "2001-01")
        assert [one_more(), one_more()] == [REVERSED, BLOCKED]
        conn.execute(update(referral).values(paid_day=None, paid_month=None))
        assert one_more() == BLOCKED, "three in all"

    in_database(fresh_database("sqlite"), story)


STEPS = st.lists(
    st.sampled_from(
        ["verify", "install", "buy little", "buy", "buy other", "part", "refund", "approve", "reject", "take"]
    ),
    max_size=12,
)


def test_whatever_comes_in_whatever_order_both_are_paid_once_or_neither(fresh_database: Fresh) -> None:
    def stories(conn: Connection) -> None:
        demo = loaded(conn)
        ana = new_customer(conn, demo, email=an_email("ana.lopez@example.org"))
        buyers = iter(range(10**6))

        @settings(max_examples=40, deadline=None)
        @given(
            STEPS, st.sampled_from(["verify", "install", "first_purchase"]), st.booleans(), st.integers(0, 2)
        )
        def property_holds(steps: list[str], action: str, odd: bool, hold_days: int) -> None:
            program = referring(demo, action=action, min_amount=500, hold_days=hold_days)
            email = an_email(f"ana.lopez{next(buyers)}@example.org") if odd else new_email()
            story = conn.begin_nested()
            found = bring(conn, program, ana, email=email)
            paid = 0
            for step in steps:
                before = now(conn, found).state
                take(conn, program, found.id, found.friend_id, step)
                after = now(conn, found)
                assert points_of(conn, after) in ([(50, 30)] if after.state == REWARDED else [(0, 0)]), (
                    "both sides or none"
                )
                paid += before != REWARDED and after.state == REWARDED
                assert before not in (REVERSED, BLOCKED) or after.state == before, "ended is ended"
            assert paid <= 1
            completed = [told_ for told_ in told(conn, found.friend_id) if told_[0] == "Referral completed"]
            assert len(completed) == paid
            story.rollback()

        property_holds()

    in_database(fresh_database("sqlite"), stories)


def take(conn: Connection, program: Program, referral_id: str, friend_id: str, step: str) -> None:
    match step:
        case "verify":
            on_event(conn, program, happened(program, ACCOUNT_VERIFIED, friend_id))
        case "install":
            on_event(conn, program, happened(program, CARD_INSTALLED, friend_id))
        case "buy little":
            on_purchase(conn, program, friend_id, Purchase(ref="little", amount=499))
        case "buy" | "buy other":
            on_purchase(conn, program, friend_id, Purchase(ref=step, amount=800))
        case "part":
            on_refund(conn, program, "buy", 600)
        case "refund":
            on_refund(conn, program, "buy", 0)
        case "approve" | "reject":
            with contextlib.suppress(NotWaiting):
                (approve if step == "approve" else reject)(conn, program, referral_id, "support")
        case "take":
            start_referral(conn, program, friend_id, an_invite(code_for(conn, program, friend_id)))


def test_a_side_that_takes_no_more_stops_neither_the_worker_nor_pays_the_other(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        found = bring(conn, program, new_customer(conn, program))
        earn(conn, program, found.friend_id, LARGEST, an_order())
        assert verified(conn, program, found).blocked_by == "cap"
        assert points_of(conn, found) == (0, LARGEST)

    in_database(fresh_database("sqlite"), story)


def test_what_was_taken_back_by_hand_is_not_taken_twice(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action="first_purchase")
        found = bring(conn, program, new_customer(conn, program))
        on_purchase(conn, program, found.friend_id, Purchase(ref="1", amount=1))
        entry_id = now(conn, found).advocate_entry_id
        assert entry_id
        reverse(conn, program, entry_id, an_order())
        on_refund(conn, program, "1", 0)
        assert points_of(conn, found) == (0, 0)

    in_database(fresh_database("sqlite"), story)


def test_a_list_of_friends_is_read_in_pages_with_first_names_alone(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana = new_customer(conn, program)
        for name in ("Ben Carter", "  Chiara  Conti", None, "Daniel"):
            bring(conn, program, ana, name=name)
        phoned = bring(conn, program, ana, phone=a_phone(), name="Eman Haddad")
        erase(conn, program.id, phoned.friend_id, [])
        first = referrals_of(conn, program.id, ana, most=3)
        rest = referrals_of(conn, program.id, ana, before=first[-1].id, most=3)
        assert [each.friend_name for each in (*first, *rest)] == [None, "Daniel", None, "Chiara", "Ben"]
        assert {each.state for each in first} == {JOINED}
        other = new_customer(conn, program)
        assert referrals_of(conn, program.id, other) == []
        assert totals_of(conn, program.id, other) == (0, 0, 0)

    in_database(fresh_database("sqlite"), story)


def test_an_export_masks_the_other_person_and_an_erasure_keeps_only_amounts(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        ana = new_customer(conn, program)
        found = verified(conn, program, bring(conn, program, ana, HOME))
        for whose, role, other in ((ana, "advocate", found.friend_id), (found.friend_id, "friend", ana)):
            [row] = export_data(conn, program.id, whose)["referral"]
            assert row["role"] == role
            assert other not in str(row)
            assert "home" not in str(row)
        erase(conn, program.id, found.friend_id, [])
        row = conn.execute(select(referral).where(referral.c.id == found.id)).one()
        assert (row.network_tag, row.device, row.signals, row.friend_points) == (None, None, [], 30)

    in_database(fresh_database("sqlite"), story)


async def test_what_is_asked_often_is_found_by_an_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    its = referral.c
    of_program = its.program_id == program.id
    for query in (
        select(*COLUMNS).where(of_program, its.friend_id == program.id),
        select(*COLUMNS).where(of_program, its.advocate_id == program.id).order_by(its.id.desc()).limit(30),
        select(*COLUMNS).where(of_program, its.state == FLAGGED).order_by(its.id.desc()).limit(30),
        select(its.id).where(of_program, its.action_ref == "pos:1"),
        select(its.id).where(of_program, its.network_tag == "home", its.created_at > utc_now()),
        select(customer.c.id).where(customer.c.program_id == program.id, customer.c.inbox_key == "a@b.c"),
    ):
        plan = await database.write(plan_of, lambda conn, query=query: conn.execute(query).all())
        assert not reads_a_whole_table(plan), plan
