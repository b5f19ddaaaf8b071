"""What a reward is to a customer: ready, or why not, and what is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.schema import new_id
from web.loyalty.offer import level_of, offer_of, offers_for
from web.loyalty.period import period_around
from web.loyalty.program import Program
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.reward import InvalidReward, NewReward, Reward, check_reward
from web.loyalty.tier import Tier

NOW = datetime(2026, 10, 25, 10, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")


def a_reward(**fields: Any) -> Reward:
    return Reward(**{"id": new_id(), "title": {"en": "Coffee"}, "cost": 100, **fields})


def a_program(*rewards: Reward, tiers: tuple[Tier, ...] = ()) -> Program:
    return Program(
        id=new_id(),
        slug="brewbar",
        version=1,
        settings=ProgramSettings(name="Brew Bar", timezone="Europe/Madrid"),
        wordings={},
        keys=(),
        images={},
        rewards=rewards,
        tiers=tiers,
    )


@pytest.mark.parametrize(
    ("fields", "available", "state", "missing", "percent"),
    [
        ({}, 100, "ready", 0, 100),
        ({}, 99, "short", 1, 99),
        ({}, 0, "short", 100, 0),
        ({}, -50, "short", 150, 0),
        ({"cost": 0}, 0, "ready", 0, 100),
        ({"cost": 0}, -1, "ready", 0, 100),
        ({"redeemable_from": 300}, 150, "short", 150, 50),
        ({"redeemable_to": 300}, 301, "range", 0, 100),
        ({"redeemable_to": 300}, 300, "ready", 0, 100),
        ({"stock": 0}, 100, "sold_out", 0, 100),
        ({"stock": 1}, 100, "ready", 0, 100),
        ({"tier_level": 2}, 100, "tier", 0, 100),
        ({"tier_level": 1}, 100, "ready", 0, 100),
        ({"limit_count": 3}, 100, "used_up", 0, 100),
        ({"limit_count": 4}, 100, "ready", 0, 100),
        ({"starts_at": NOW + timedelta(seconds=1)}, 100, "not_yet", 0, 100),
        ({"starts_at": NOW, "ends_at": NOW + timedelta(seconds=1)}, 100, "ready", 0, 100),
    ],
)
def test_a_reward_says_what_it_is_and_how_far_it_is(
    fields: dict[str, Any], available: int, state: str, missing: int, percent: int
) -> None:
    """To somebody of the tier with level 1 who had it three times in its period."""
    offer = offer_of(a_program(), a_reward(**fields), available, 1, 3, NOW)
    assert (offer.state, offer.missing, offer.percent) == (state, missing, percent)


def test_what_can_be_had_comes_first_then_what_is_nearest_and_what_nobody_may_see_is_not_there() -> None:
    near, far, cheap, dear = a_reward(cost=210), a_reward(cost=900), a_reward(cost=50), a_reward(cost=200)
    gone, used = a_reward(cost=10, stock=0), a_reward(cost=20, limit_count=1, limit_period="month")
    hidden = [
        a_reward(active=False),
        a_reward(ends_at=NOW),
        a_reward(visible_from=201),
        a_reward(visible_to=199),
    ]
    program = a_program(gone, used, cheap, dear, near, far, *hidden)
    offers = offers_for(program, 200, None, {used.id: 1}, NOW)
    assert [each.reward for each in offers] == [cheap, dear, near, far, used, gone]
    by_reward = {each.reward.id: each for each in offers}
    assert by_reward[used.id].until == datetime(2026, 11, 1, tzinfo=MADRID), "again next month"
    assert (by_reward[used.id].left_for_you, by_reward[cheap.id].left_for_you) == (0, None)


@pytest.mark.parametrize(
    ("period", "first", "following"),
    [
        # The 25th is a Sunday of 25 hours there.
        ("day", (2026, 10, 25), (2026, 10, 26)),
        ("week", (2026, 10, 19), (2026, 10, 26)),
        ("month", (2026, 10, 1), (2026, 11, 1)),
        ("year", (2026, 1, 1), (2027, 1, 1)),
    ],
)
def test_a_period_begins_and_ends_at_midnight_where_the_programme_is(
    period: Any, first: tuple[int, int, int], following: tuple[int, int, int]
) -> None:
    around = datetime(*first, tzinfo=MADRID), datetime(*following, tzinfo=MADRID)
    assert period_around(period, "Europe/Madrid", NOW) == around
    just_before = around[1].astimezone(UTC) - timedelta(seconds=1)
    assert period_around(period, "Europe/Madrid", just_before) == around
    after = period_around(period, "Europe/Madrid", around[1])
    assert after is not None
    assert after[0] == around[1], "one ends where the next begins"
    assert period_around("life", "Europe/Madrid", NOW) is None


@given(st.integers(0, 100 * 366 * 24 * 3600))
def test_every_moment_lies_in_its_periods(seconds: int) -> None:
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    for zone in ("Europe/Madrid", "Pacific/Auckland", "America/St_Johns"):
        for period in ("day", "week", "month", "year"):
            around = period_around(period, zone, moment)  # type: ignore[arg-type]
            assert around is not None
            assert around[0] <= moment < around[1]


def test_the_tier_that_counts_is_the_one_held_else_the_highest_that_is_reached() -> None:
    tiers = tuple(
        Tier(
            id=str(level),
            name={},
            benefits={},
            level=level,
            required_points=level * 100,
            multiplier=100,
            active=True,
        )
        for level in range(3)
    )
    program = a_program(tiers=tiers)
    assert [level_of(program, None, points) for points in (0, 99, 100, 999)] == [0, 0, 1, 2]
    assert level_of(program, "0", 999) == 0, "it was taken away, or is not yet given"
    assert level_of(a_program(), None, 999) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": {}}, "title"),
        ({"kind": "percent"}, "value"),
        ({"kind": "percent", "value": 101}, "value"),
        ({"visible_from": 2, "visible_to": 1}, "visible_to"),
        ({"starts_at": datetime(2026, 1, 1)}, "starts_at"),  # noqa: DTZ001 - that is what is wrong with it
    ],
)
def test_a_reward_that_contradicts_itself_is_refused_with_what_to_write(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidReward, match=said):
        check_reward(NewReward(**{"title": {"en": "Coffee"}, "cost": 1, **fields}))
