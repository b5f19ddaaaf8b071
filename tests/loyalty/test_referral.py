"""A friend brings a friend: who counts, who waits for a look, who is paid, and that it happens once."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Connection

from tests.conftest import Fresh
from tests.loyalty.friends import bring, happened, loaded, now, points_of, referring, told, verified
from tests.loyalty.people import new_customer
from tests.support.rows import in_database
from web.foundation.database import Database
from web.loyalty.balance import find_balance
from web.loyalty.due import release_due
from web.loyalty.event import (
    ACCOUNT_VERIFIED,
    CARD_INSTALLED,
    CUSTOMER_CREATED,
)
from web.loyalty.personal_data import erase
from web.loyalty.program import Program
from web.loyalty.referral import (
    JOINED,
    QUALIFIED,
    REVERSED,
    REWARDED,
    referrals_of,
    totals_of,
)
from web.loyalty.referral_code import advocate_of, code_for
from web.loyalty.referral_reward import on_event, on_purchase, on_refund
from web.loyalty.referral_signals import Purchase


async def test_a_code_is_made_once_is_read_however_it_is_typed_and_ends_with_its_owner(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program, name="Ana López")
    codes = await asyncio.gather(*(database.write(code_for, program, ana) for _ in range(8)))
    [code] = set(codes)
    assert len(code) == 8
    typed = f" {code[:4].lower()}-{code[4:]} "
    assert await database.read(advocate_of, program.id, typed) == ana
    for wrong in ("", "AAAAAAAA", "é" * 8, "x" * 500, "\0"):
        assert await database.read(advocate_of, program.id, wrong) is None
    await database.write(erase, program.id, ana, [])
    assert await database.read(advocate_of, program.id, code) is None


async def test_both_are_paid_when_the_friend_has_done_what_was_asked(
    database: Database, program: Program
) -> None:
    program = referring(program)

    def story(conn: Connection) -> None:
        ana = new_customer(conn, program, name="Ana López")
        found = bring(conn, program, ana, name="Ben Carter")
        assert (found.state, points_of(conn, found)) == (JOINED, (0, 0))
        for other in (CUSTOMER_CREATED, CARD_INSTALLED):
            on_event(conn, program, happened(program, other, found.friend_id, referralCode="x"))
        on_purchase(conn, program, found.friend_id, Purchase(ref="1", amount=1000))
        assert now(conn, found).state == JOINED, "something else was asked for"

        assert verified(conn, program, found).state == REWARDED
        assert verified(conn, program, found).state == REWARDED
        assert points_of(conn, found) == (50, 30)
        common = {"referralId": found.id, "qualifyingAction": "verify"}
        advocate = {"role": "advocate", "otherCustomerId": found.friend_id}
        friend = {"role": "friend", "otherCustomerId": ana}
        assert told(conn, ana) == [
            ("Referral started", {**advocate, "referralId": found.id}),
            ("Referral completed", {**advocate, **common, "points": 50}),
        ]
        assert told(conn, found.friend_id)[-1] == ("Referral completed", {**friend, **common, "points": 30})

        [shown] = referrals_of(conn, program.id, ana)
        assert (shown.friend_name, shown.state, shown.points) == ("Ben", REWARDED, 50)
        assert shown.rewarded_at is not None
        assert totals_of(conn, program.id, ana) == (1, 1, 50)

    await database.write(story)


@pytest.mark.parametrize(
    ("action", "name"),
    [("register", CUSTOMER_CREATED), ("verify", ACCOUNT_VERIFIED), ("install", CARD_INSTALLED)],
)
def test_each_action_is_told_by_its_event(fresh_database: Fresh, action: str, name: str) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action=action)
        found = bring(conn, program, new_customer(conn, program))
        on_event(conn, program, happened(program, name, found.friend_id, referralCode="x"))
        assert now(conn, found).state == REWARDED

    in_database(fresh_database("sqlite"), story)


def test_a_purchase_counts_from_the_least_amount_on_and_its_return_takes_both_back(
    fresh_database: Fresh,
) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, action="first_purchase", min_amount=1000, hold_days=14)
        found = bring(conn, program, new_customer(conn, program))
        on_purchase(conn, program, found.friend_id, Purchase(ref="pos:1", amount=999))
        assert now(conn, found).state == JOINED
        on_purchase(conn, program, found.friend_id, Purchase(ref="pos:2", amount=1500))
        on_purchase(conn, program, found.friend_id, Purchase(ref="pos:3", amount=1500))
        assert points_of(conn, found) == (50, 30)
        held = find_balance(conn, program.id, found.advocate_id)
        assert held is not None
        assert (held.available, held.pending) == (0, 50), "they wait until the purchase cannot come back"
        [shown] = referrals_of(conn, program.id, found.advocate_id)
        assert shown.state == "held"

        on_refund(conn, program, "pos:3", 0)
        on_refund(conn, program, "pos:2", 1000)
        assert now(conn, found).state == REWARDED, "what is left of the purchase is enough"
        for _ in range(2):
            on_refund(conn, program, "pos:2", 999)
            assert now(conn, found).state == REVERSED
            assert points_of(conn, found) == (0, 0)
        on_purchase(conn, program, found.friend_id, Purchase(ref="pos:4", amount=5000))
        assert points_of(conn, found) == (0, 0), "a friend is new once"
        assert totals_of(conn, program.id, found.advocate_id) == (1, 0, 0)

    in_database(fresh_database("sqlite"), story)


def test_points_that_waited_can_be_spent_when_their_time_has_come(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn, hold_days=3)
        found = verified(conn, program, bring(conn, program, new_customer(conn, program)))
        assert found.held_until is not None
        release_due(conn, program, found.advocate_id, found.held_until + timedelta(seconds=1))
        held = find_balance(conn, program.id, found.advocate_id)
        assert held is not None
        assert held.available == 50

    in_database(fresh_database("sqlite"), story)


def test_what_was_promised_is_kept_when_the_programme_changes_its_mind(fresh_database: Fresh) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        found = bring(conn, program, new_customer(conn, program))
        changed = loaded(conn, active=False, action="install", advocate_points=1, friend_points=1)
        assert verified(conn, changed, found).state == REWARDED
        assert points_of(conn, found) == (50, 30)
        with pytest.raises(AssertionError):
            bring(conn, changed, found.advocate_id)

    in_database(fresh_database("sqlite"), story)


def test_where_another_system_keeps_the_points_it_is_told_and_nothing_is_booked(
    fresh_database: Fresh,
) -> None:
    def story(conn: Connection) -> None:
        program = loaded(conn)
        rules = msgspec.structs.replace(program.settings.points, mirror=True)
        mirrored = msgspec.structs.replace(
            program, settings=msgspec.structs.replace(program.settings, points=rules)
        )
        found = verified(conn, mirrored, bring(conn, mirrored, new_customer(conn, program)))
        assert (found.state, points_of(conn, found)) == (QUALIFIED, (0, 0))
        assert told(conn, found.advocate_id)[-1][1]["points"] == 50
        assert verified(conn, mirrored, found).state == QUALIFIED
        assert len(told(conn, found.advocate_id)) == 2

    in_database(fresh_database("sqlite"), story)
