"""What a flow gives and why: conditions, limits, multipliers, and remainders that are never lost."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.languages import interpolate
from web.loyalty.earning_rules import (
    CHECK_IN,
    NOTHING,
    PURCHASE,
    Conditions,
    Earner,
    Evaluation,
    Factor,
    FlowRules,
    Happening,
    Line,
    Taken,
    Trace,
    evaluate,
    period_of,
)
from web.loyalty.earning_why import every_condition, why
from web.loyalty.multiplier import Multiplier, factor_at

MADRID = ZoneInfo("Europe/Madrid")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
A_STAR_FOR_FIFTY = FlowRules(id="stars", type=PURCHASE, points=1, per_money=50, recurrence="unlimited")


def paid(*amounts: int, at: datetime = NOON, **line: Any) -> Happening:
    lines = tuple(Line(id=str(number), amount=amount, **line) for number, amount in enumerate(amounts))
    return Happening(at=at, channel="in_store", lines=lines)


def judge(
    rules: FlowRules,
    happened: Happening,
    earner: Earner | None = None,
    taken: Taken | None = None,
    brought: Fraction = NOTHING,
) -> Evaluation:
    return evaluate(rules, happened, earner or Earner(), taken or Taken(), brought, MADRID)


def failed(verdict: Evaluation) -> list[str]:
    return [check.rule for check in verdict.trace.failed]


class English:
    """A reader, plainly."""

    def text(self, message: str, /, **values: object) -> str:
        return interpolate(message, values)

    def points(self, minor: int) -> str:
        return f"{minor} points"

    def money(self, minor: int) -> str:
        return f"€{minor / 100:.2f}"

    def day(self, moment: datetime) -> str:
        return f"{moment:%d %B %Y}"

    def number(self, value: float) -> str:
        return f"{value:g}"

    def say(self, texts: dict[str, str]) -> str:
        return texts["en"]

    def tier(self, level: int) -> str:
        return ("Regular", "Roaster")[level]


def test_thirty_and_twenty_earn_what_fifty_earn() -> None:
    first = judge(A_STAR_FOR_FIFTY, paid(30))
    assert (first.points, first.left) == (0, Fraction(3, 5))
    second = judge(A_STAR_FOR_FIFTY, paid(20), brought=first.left)
    assert (second.points, second.left) == (1, 0)
    assert (judge(A_STAR_FOR_FIFTY, paid(50)).points, judge(A_STAR_FOR_FIFTY, paid(50)).left) == (1, 0)


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from([100, 125, 150, 333])), max_size=20),
    st.integers(1, 100),
    st.integers(1, 500),
)
def test_however_a_sum_is_split_nothing_is_lost_and_nothing_won(
    orders: list[tuple[int, int]], points: int, per_money: int
) -> None:
    rules = FlowRules(id="f", type=PURCHASE, points=points, per_money=per_money, recurrence="unlimited")
    given_so_far, left, worth = 0, NOTHING, NOTHING
    for amount, percent in orders:
        tier = Factor(kind="tier", name={"en": "Roaster"}, percent=percent)
        verdict = judge(rules, paid(amount), Earner(factors=(tier,)), brought=left)
        given_so_far += verdict.points
        left = verdict.left
        worth += Fraction(amount * points, per_money) * Fraction(percent, 100)
        assert given_so_far + left == worth
        assert 0 <= left < 1


def test_gift_cards_and_what_is_excluded_never_earn() -> None:
    rules = msgspec.structs.replace(
        A_STAR_FOR_FIFTY,
        conditions=Conditions(excluded_products=("beer",), excluded_collections=("sale",), min_amount=100),
    )
    order = Happening(
        at=NOON,
        lines=(
            Line(id="1", amount=500, gift_card=True),
            Line(id="2", amount=500, product_id="beer"),
            Line(id="3", amount=500, collections=("new", "sale")),
            Line(id="4", amount=99, product_id="coffee"),
        ),
    )
    verdict = judge(rules, order)
    assert (verdict.points, verdict.left, failed(verdict)) == (0, 0, ["minimum"])
    assert why(verdict.trace, English()) == ["It begins at €1.00; €0.99 counted."]
    only_gifts = judge(rules, paid(500, gift_card=True))
    assert failed(only_gifts) == ["eligible", "minimum"]


SATURDAY, TIER = NOON, Earner(tier_level=1)


@pytest.mark.parametrize(
    ("conditions", "happened", "rule", "sentence"),
    [
        (Conditions(location_ids=("a",)), Happening(at=NOON, location_id="b"), "location", "certain shops"),
        (Conditions(channels=("online",)), Happening(at=NOON, channel="in_store"), "channel", "online only"),
        (Conditions(networks=("tiktok",)), Happening(at=NOON, network="x"), "network", "another network"),
        (Conditions(weekdays=(1, 2)), Happening(at=NOON), "weekday", "day of the week"),
        (Conditions(tier_level=1), Happening(at=NOON), "tier", "the tier Roaster"),
    ],
)
def test_a_condition_that_does_not_hold_is_named(
    conditions: Conditions, happened: Happening, rule: str, sentence: str
) -> None:
    rules = FlowRules(id="f", type=CHECK_IN, points=5, recurrence="day", conditions=conditions)
    verdict = judge(rules, happened)
    assert (verdict.points, verdict.slot, failed(verdict)) == (0, None, [rule])
    assert not verdict.is_over_limit
    (said,) = why(verdict.trace, English())
    assert sentence in said
    assert any(line.startswith(f"{rule}: not met") for line in every_condition(verdict.trace, English()))


def test_a_window_holds_from_its_first_moment_until_just_before_its_last() -> None:
    starts, ends = NOON, NOON + timedelta(hours=1)
    rules = FlowRules(id="f", type=CHECK_IN, points=5, recurrence="day", starts_at=starts, ends_at=ends)
    moment = timedelta(microseconds=1)
    outcomes = [
        failed(judge(rules, Happening(at=at))) for at in (starts - moment, starts, ends - moment, ends)
    ]
    assert outcomes == [["begun"], [], [], ["not_over"]]


def test_a_switched_off_flow_says_so() -> None:
    rules = FlowRules(id="f", type=CHECK_IN, points=5, recurrence="day", active=False)
    assert why(judge(rules, Happening(at=NOON)).trace, English()) == ["This is not offered now."]


def test_limits_count_in_the_period_and_in_all_and_say_how_often_more() -> None:
    rules = FlowRules(id="f", type=CHECK_IN, points=5, recurrence="day", times=2, per="location", most=3)
    here = Happening(at=NOON, location_id="malasana")
    first = judge(rules, here)
    assert (first.slot, first.turn, first.remaining) == ("2026-11-21|malasana|1", 1, 1)
    second = judge(rules, here, taken=Taken(in_period=frozenset({1}), in_all=frozenset({1})))
    assert (second.slot, second.turn, second.remaining) == ("2026-11-21|malasana|2", 2, 0)
    third = judge(rules, here, taken=Taken(in_period=frozenset({1, 2}), in_all=frozenset({1, 2})))
    assert (third.points, third.is_over_limit, failed(third)) == (0, True, ["period"])
    assert why(third.trace, English()) == ["You have had this today already."]
    never = judge(rules, here, taken=Taken(in_all=frozenset({1, 2, 3})))
    assert (never.is_over_limit, failed(never)) == (True, ["most"])


def test_a_place_that_was_given_back_is_taken_again() -> None:
    rules = FlowRules(id="f", type=CHECK_IN, points=5, recurrence="week", times=3, most=9)
    again = judge(
        rules, Happening(at=NOON), taken=Taken(in_period=frozenset({1, 3}), in_all=frozenset({2, 3}))
    )
    assert (again.slot, again.turn) == ("2026-W47||2", 1)


@pytest.mark.parametrize(
    ("recurrence", "before", "after"),
    [
        ("day", "2026-11-21T22:59:59", "2026-11-21T23:00:00"),
        ("week", "2026-11-22T22:59:59", "2026-11-22T23:00:00"),
        ("month", "2026-11-30T22:59:59", "2026-11-30T23:00:00"),
        ("quarter", "2026-09-30T21:59:59", "2026-09-30T22:00:00"),
        ("year", "2026-12-31T22:59:59", "2026-12-31T23:00:00"),
        # The day on which the clocks go back has 25 hours.
        ("day", "2026-10-25T22:59:59", "2026-10-25T23:00:00"),
    ],
)
def test_a_period_ends_at_midnight_in_the_programme_s_zone(recurrence: Any, before: str, after: str) -> None:
    one, other = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (before, after))
    assert period_of(recurrence, one, MADRID) != period_of(recurrence, other, MADRID)
    assert period_of(recurrence, other - timedelta(hours=24), MADRID) == period_of(recurrence, one, MADRID)
    assert period_of("once", one, MADRID) == period_of("once", other, MADRID)


def test_the_last_days_of_a_year_belong_to_the_week_that_they_are_in() -> None:
    assert period_of("week", datetime(2027, 1, 1, 12, tzinfo=UTC), MADRID) == "2026-W53"


def test_a_double_point_day_is_a_day_of_the_programme_and_the_best_of_several_counts() -> None:
    day, next_day = datetime(2026, 11, 28), datetime(2026, 11, 29)  # noqa: DTZ001 - the shop's own clock
    double = Multiplier(id="1", name={"en": "Double day"}, percent=200, starts=day, ends=next_day)
    triple = Multiplier(
        id="2", name={"en": "Evening"}, percent=300, starts=day.replace(hour=18), ends=next_day
    )
    mondays = Multiplier(id="3", name={"en": "Monday"}, percent=500, starts=day, ends=next_day, weekdays=(1,))
    found = [
        factor_at([double, triple, mondays], datetime.fromisoformat(at), MADRID)
        for at in (
            "2026-11-27T22:59:59.999999+00:00",
            "2026-11-27T23:00:00+00:00",
            "2026-11-28T16:59:59+00:00",
            "2026-11-28T17:00:00+00:00",
            "2026-11-28T22:59:59.999999+00:00",
            "2026-11-28T23:00:00+00:00",
        )
    ]
    assert [each and each.percent for each in found] == [None, 200, 200, 300, 300, None]


def test_tier_and_campaign_multiply_purchases_and_nothing_else() -> None:
    factors = (
        Factor(kind="tier", name={"en": "Roaster"}, percent=150),
        Factor(kind="campaign", name={"en": "Double day"}, percent=200),
    )
    rules = FlowRules(id="f", type=PURCHASE, points=1, per_money=100, recurrence="unlimited")
    verdict = judge(rules, paid(450), Earner(tier_level=1, factors=factors))
    assert (verdict.points, verdict.left) == (13, Fraction(1, 2))
    assert why(verdict.trace, English()) == [
        "€4.50 counted: 1 points for every €1.00.",
        "1.5 times as much, because you are Roaster.",
        "2 times as much: Double day.",
        "What does not make a whole point is kept for the next time.",
    ]
    check_in = FlowRules(id="c", type=CHECK_IN, points=5, recurrence="day")
    assert judge(check_in, Happening(at=NOON), Earner(tier_level=1, factors=factors)).points == 5


def test_a_trace_survives_being_written_down() -> None:
    rules = FlowRules(id="f", type=PURCHASE, points=1, per_money=100, recurrence="unlimited")
    trace = judge(rules, paid(450), brought=Fraction(-7, 3)).trace
    assert trace.points == 2
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace
    assert "What an earlier refund did not take back was settled first." in why(trace, English())
