"""Tiers over the years: twenty dated stories, and what holds in every other one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.loyalty.tiering import Rung, Tiering, TierRules, TierState

LADDER = (
    Rung(id="bean", level=0, required=0),
    Rung(id="silver", level=1, required=100),
    Rung(id="gold", level=2, required=500),
)
LEVEL = {"bean": 0, "silver": 1, "gold": 2}
MADRID = "Europe/Madrid"

LIFETIME = TierRules()
CALENDAR = TierRules(cycle="calendar")
ANNIVERSARY = TierRules(cycle="anniversary")
CARRIES = TierRules(cycle="calendar", carry="excess")
GRACE = TierRules(cycle="calendar", grace_days=31)


class Story(NamedTuple):
    """What happens when, in local time: "+120" and "-20" are gathered, "" lets time pass, "gold until …" is granted.

    Each step says the tier afterwards and the changes that it brought, as `cause:previous>current`.
    """

    title: str
    rules: TierRules
    enrolled: str
    steps: list[tuple[str, str, str, str]]
    zone: str = MADRID


STORIES = [
    Story(
        "Enough points lift at once, and two tiers in one step are one change",
        LIFETIME,
        "2026-03-01",
        [
            ("2026-03-02", "+99", "bean", ""),
            ("2026-03-03", "+1", "silver", "earned:bean>silver"),
            ("2026-03-04", "+400", "gold", "earned:silver>gold"),
        ],
    ),
    Story(
        "From the lowest to the highest in one purchase",
        LIFETIME,
        "2026-03-01",
        [("2026-03-02", "+1000", "gold", "earned:bean>gold")],
    ),
    Story(
        "In a lifetime nothing ends",
        LIFETIME,
        "2026-03-01",
        [("2026-03-02", "+100", "silver", "earned:bean>silver"), ("2066-03-02", "", "silver", "")],
    ),
    Story(
        "A refund takes back what was won with it",
        LIFETIME,
        "2026-03-01",
        [
            ("2026-03-02", "+120", "silver", "earned:bean>silver"),
            ("2026-03-09", "-20", "silver", ""),
            ("2026-03-10", "-1", "bean", "refund:silver>bean"),
        ],
    ),
    Story(
        "A calendar year that was enough keeps the tier through the whole next one, and no longer",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2025-12-31T23:59:59", "", "silver", ""),
            ("2026-01-01", "", "silver", ""),
            ("2026-12-31T23:59:59", "", "silver", ""),
            ("2027-01-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "The new year begins at midnight in the programme's zone, not in UTC",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2026-12-31T10:00:00", "", "silver", ""),
            ("2026-12-31T23:59:59.999999", "", "silver", ""),
            ("2027-01-01T00:00:00", "", "bean", "cycle:silver>bean"),
        ],
        zone="Pacific/Auckland",
    ),
    Story(
        "Gathering as much again requalifies, and the change of year says nothing",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2026-02-01", "+100", "silver", ""),
            ("2027-01-01", "", "silver", ""),
            ("2028-01-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "At the end of a cycle somebody falls to what they gathered, not to the bottom",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+600", "gold", "earned:bean>gold"),
            ("2026-05-01", "+100", "gold", ""),
            ("2027-01-01", "", "silver", "cycle:gold>silver"),
            ("2028-01-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "Cycles that nobody looked at are closed one after the other, each with its own step",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+600", "gold", "earned:bean>gold"),
            ("2026-05-01", "+100", "gold", ""),
            ("2031-05-01", "", "bean", "cycle:gold>silver cycle:silver>bean"),
        ],
    ),
    Story(
        "A purchase after missed cycles closes them first, then counts in its own",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+600", "gold", "earned:bean>gold"),
            ("2029-05-01", "+150", "silver", "cycle:gold>bean earned:bean>silver"),
        ],
    ),
    Story(
        "A refund in the new year cannot take what the last year secured",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-12-30", "+150", "silver", "earned:bean>silver"),
            ("2026-01-05", "-150", "silver", ""),
            ("2026-02-01", "+200", "silver", ""),
            ("2027-01-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "A refund takes the tier of this year and leaves that of the last",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2026-03-01", "+500", "gold", "earned:silver>gold"),
            ("2026-03-20", "-500", "silver", "refund:gold>silver"),
        ],
    ),
    Story(
        "Grace keeps a tier for its days after the cycle, then it goes",
        GRACE,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2027-01-01", "", "silver", ""),
            ("2027-01-31T23:59:59", "", "silver", ""),
            ("2027-02-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "Who gathers enough in the days of grace never falls",
        GRACE,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2027-01-20", "+100", "silver", ""),
            ("2027-02-01", "", "silver", ""),
            ("2028-12-31", "", "silver", ""),
            ("2029-02-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "What is beyond the tier is carried once: the next cycle needs less",
        CARRIES,
        "2025-06-10",
        [
            ("2025-07-01", "+180", "silver", "earned:bean>silver"),
            ("2026-07-01", "+20", "silver", ""),
            ("2027-01-01", "", "silver", ""),
            ("2028-01-01", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "What was carried is not carried again, however much it was",
        CARRIES,
        "2025-06-10",
        [
            ("2025-07-01", "+9000", "gold", "earned:bean>gold"),
            ("2027-01-01", "", "gold", ""),
            ("2027-12-31T23:59:59", "", "gold", ""),
            ("2028-01-01", "", "bean", "cycle:gold>bean"),
        ],
    ),
    Story(
        "A year from enrolment ends with the day before its anniversary",
        ANNIVERSARY,
        "2025-06-10T18:30:00",
        [
            ("2026-06-09T23:59:59", "+150", "silver", "earned:bean>silver"),
            ("2026-06-10", "", "silver", ""),
            ("2027-06-09T23:59:59", "", "silver", ""),
            ("2027-06-10", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "Enrolled on 29 February: the cycle's last day is 28 February in every year",
        ANNIVERSARY,
        "2024-02-29T12:00:00",
        [
            ("2025-02-28T23:59:59", "+150", "silver", "earned:bean>silver"),
            ("2026-02-28T23:59:59", "", "silver", ""),
            ("2026-03-01", "+150", "silver", "cycle:silver>bean earned:bean>silver"),
            ("2028-02-28T23:59:59", "", "silver", ""),
            ("2028-02-29", "", "bean", "cycle:silver>bean"),
        ],
    ),
    Story(
        "A grant lifts until its day, whatever is gathered meanwhile, and ends by itself",
        LIFETIME,
        "2026-01-10",
        [
            ("2026-01-11", "gold until 2026-07-01", "gold", "manual:bean>gold"),
            ("2026-02-01", "+150", "gold", ""),
            ("2026-02-02", "-150", "gold", ""),
            ("2026-02-03", "+120", "gold", ""),
            ("2026-07-01", "", "silver", "manual:gold>silver"),
        ],
    ),
    Story(
        "A grant outlives the end of a cycle, and can be taken back",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "gold until ever", "gold", "manual:bean>gold"),
            ("2028-01-01", "", "gold", ""),
            ("2028-01-02", "nothing until ever", "bean", "manual:gold>bean"),
        ],
    ),
    Story(
        "An end of grant and an end of cycle at the same midnight are one change",
        CALENDAR,
        "2025-06-10",
        [
            ("2025-07-01", "+150", "silver", "earned:bean>silver"),
            ("2026-07-01", "gold until 2027-01-01", "gold", "manual:silver>gold"),
            ("2027-01-01", "", "bean", "manual:gold>bean"),
        ],
    ),
]


def tiering(rules: TierRules, zone: str = MADRID, ladder: tuple[Rung, ...] = LADDER) -> Tiering:
    return Tiering(rules, ladder, ZoneInfo(zone))


def moment(local: str, zone: str = MADRID) -> datetime:
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_story_of_tiers(story: Story) -> None:
    engine = tiering(story.rules, story.zone)
    state = engine.start(moment(story.enrolled, story.zone), moment(story.enrolled, story.zone))
    for when, action, tier, expected in story.steps:
        now = moment(when, story.zone)
        if " until " in action:
            granted, until = action.split(" until ")
            state, changes = engine.grant(
                state,
                None if granted == "nothing" else granted,
                None if until == "ever" else moment(until, story.zone),
                now,
            )
        elif action:
            state, changes = engine.gather(state, int(action), now)
        else:
            state, changes = engine.close_cycle(state, now)
        told = " ".join(f"{each.cause}:{each.previous_id}>{each.current_id}" for each in changes)
        assert (state.tier_id, told) == (tier, expected), when


def test_a_change_bears_the_moment_at_which_it_came_about_not_that_at_which_it_was_noticed() -> None:
    engine = tiering(GRACE)
    start = moment("2025-06-10")
    state, _ = engine.gather(engine.start(start, start), 600, moment("2025-07-01"))
    state, changes = engine.close_cycle(state, moment("2027-05-05"))
    assert [change.at for change in changes] == [moment("2027-02-01")]
    assert state.entered_at == moment("2027-02-01")


def test_who_enrolled_long_ago_starts_in_the_cycle_of_now() -> None:
    state = tiering(ANNIVERSARY).start(moment("2019-02-28"), moment("2026-11-21"))
    assert (state.cycle_start, state.cycle_ends_at) == (moment("2026-02-28"), moment("2027-02-28"))


def test_progress_says_what_is_missing_and_until_when_a_tier_is_certain() -> None:
    engine = tiering(CALENDAR)
    state = engine.start(moment("2025-06-10"), moment("2025-06-10"))
    state, _ = engine.gather(state, 380, moment("2025-07-01"))
    progress = engine.progress(state.tier_id, state.points, ends=True)
    assert (progress.next_id, progress.missing, progress.to_keep) == ("gold", 120, 0)
    assert engine.kept_until(state) == moment("2027-01-01"), "gathered this year, so kept all of the next"
    state, _ = engine.close_cycle(state, moment("2026-01-01"))
    progress = engine.progress(state.tier_id, state.points, ends=True)
    assert (progress.next_id, progress.missing, progress.to_keep) == ("gold", 500, 100)
    assert engine.kept_until(state) == moment("2027-01-01"), "not yet gathered again"
    highest, _ = engine.gather(state, 500, moment("2026-02-01"))
    assert engine.progress(highest.tier_id, highest.points, ends=True).next_id is None


def test_what_nothing_is_required_for_is_kept_for_ever() -> None:
    engine = tiering(CALENDAR)
    assert engine.kept_until(engine.start(moment("2025-06-10"), moment("2025-06-10"))) is None


def test_a_ladder_that_begins_above_nothing_leaves_newcomers_without_a_tier() -> None:
    engine = tiering(LIFETIME, ladder=LADDER[1:])
    state = engine.start(moment("2026-01-01"), moment("2026-01-01"))
    assert state.tier_id is None
    state, (change,) = engine.gather(state, 100, moment("2026-01-02"))
    assert (change.previous_id, change.current_id, change.is_upgrade) == (None, "silver", True)


def test_a_ladder_made_harder_takes_nothing_from_those_who_won() -> None:
    state = tiering(CALENDAR).start(moment("2026-01-01"), moment("2026-01-01"))
    state, _ = tiering(CALENDAR).gather(state, 150, moment("2026-02-01"))
    harder = (LADDER[0], Rung(id="silver", level=1, required=200), LADDER[2])
    state, changes = tiering(CALENDAR, ladder=harder).gather(state, 10, moment("2026-03-01"))
    assert (state.tier_id, changes) == ("silver", ())
    state, changes = tiering(CALENDAR, ladder=harder).close_cycle(state, moment("2027-01-01"))
    assert [change.cause for change in changes] == ["cycle"]


def test_a_ladder_made_easier_lifts_when_the_clock_comes_by() -> None:
    state = tiering(LIFETIME).start(moment("2026-01-01"), moment("2026-01-01"))
    state, _ = tiering(LIFETIME).gather(state, 60, moment("2026-02-01"))
    easier = (LADDER[0], Rung(id="silver", level=1, required=50), LADDER[2])
    _, (change,) = tiering(LIFETIME, ladder=easier).close_cycle(state, moment("2026-03-01"))
    assert (change.current_id, change.cause) == ("silver", "earned")


def test_a_tier_that_was_put_away_is_kept_by_its_holders_and_reached_by_nobody() -> None:
    closed = (LADDER[0], Rung(id="silver", level=1, required=100, open=False), LADDER[2])
    held, _ = tiering(LIFETIME).gather(
        tiering(LIFETIME).start(moment("2026-01-01"), moment("2026-01-01")), 150, moment("2026-02-01")
    )
    engine = tiering(LIFETIME, ladder=closed)
    assert engine.gather(held, 10, moment("2026-03-01"))[0].tier_id == "silver"
    newcomer = engine.start(moment("2026-01-01"), moment("2026-01-01"))
    assert engine.gather(newcomer, 150, moment("2026-03-01"))[0].tier_id == "bean"
    assert engine.progress(newcomer.tier_id, 0, ends=False).next_id == "gold"


def test_new_rules_end_no_running_cycle_and_what_was_gathered_goes_on_to_count() -> None:
    state = tiering(LIFETIME).start(moment("2020-01-01"), moment("2020-01-01"))
    state, _ = tiering(LIFETIME).gather(state, 150, moment("2020-02-01"))
    state, changes = tiering(CALENDAR).close_cycle(state, moment("2026-05-01"))
    assert (state.tier_id, changes, state.cycle_ends_at) == ("silver", (), moment("2027-01-01"))
    assert (state.current, state.cycle_start) == (150, moment("2020-01-01"))
    state, _ = tiering(LIFETIME).close_cycle(state, moment("2026-06-01"))
    assert state.due_at is None


def test_a_ladder_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="lowest first"):
        tiering(LIFETIME, ladder=(LADDER[1], LADDER[0]))
    state = tiering(LIFETIME).start(moment("2026-01-01"), moment("2026-01-01"))
    with pytest.raises(ValueError, match="no tier platinum"):
        tiering(LIFETIME).grant(state, "platinum", None, moment("2026-01-01"))


RULES = st.builds(
    TierRules,
    cycle=st.sampled_from(["lifetime", "calendar", "anniversary"]),
    carry=st.sampled_from(["none", "excess"]),
    grace_days=st.sampled_from([0, 1, 31, 180]),
)
ZONES = st.sampled_from([MADRID, "UTC", "Pacific/Apia", "America/Santiago", "Asia/Kathmandu"])
ENROLLED = st.integers(0, 6 * 365 * 24 * 60).map(
    lambda minute: datetime(2019, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)
# Days that pass, then what happens: an amount to gather or a tier to be granted for some days.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.integers(-300, 600)
        | st.tuples(st.sampled_from(["silver", "gold", None]), st.integers(0, 900) | st.none()),
    ),
    max_size=12,
)


def walk(
    engine: Tiering, enrolled: datetime, steps: list[Any], seen: Callable[..., None] = lambda *_: None
) -> tuple[TierState, list[Any]]:
    now, state = enrolled, engine.start(enrolled, enrolled)
    history: list[Any] = []
    for days, action in steps:
        now += timedelta(days=days)
        before = state
        if isinstance(action, tuple):
            tier, length = action
            until = None if length is None else now + timedelta(days=length)
            state, changes = engine.grant(state, tier, until, now)
        else:
            state, changes = engine.gather(state, action, now)
        history += changes
        seen(before, action, now, state, changes)
    return state, history


@given(RULES, ZONES, ENROLLED, STEPS)
def test_the_changes_tell_the_whole_story_each_step_once_and_in_order(
    rules: TierRules, zone: str, enrolled: datetime, steps: list[Any]
) -> None:
    state, history = walk(tiering(rules, zone), enrolled, steps)
    told: str | None = "bean"
    for earlier, later in pairwise(history):
        assert earlier.at <= later.at
    for change in history:
        assert change.previous_id == told != change.current_id
        assert change.is_upgrade == (LEVEL[change.current_id] > LEVEL[change.previous_id])
        told = change.current_id
    assert state.tier_id == told
    for at in {change.at for change in history if change.cause == "cycle"}:
        assert sum(change.at == at and change.cause == "cycle" for change in history) == 1


@given(RULES, ZONES, ENROLLED, STEPS)
def test_inside_a_cycle_only_a_refund_or_the_end_of_a_grant_lowers(
    rules: TierRules, zone: str, enrolled: datetime, steps: list[Any]
) -> None:
    def check(before: TierState, action: Any, now: datetime, after: TierState, changes: Any) -> None:
        ends = {before.cycle_ends_at, before.grace_until}
        for change in changes:
            if change.is_upgrade:
                assert change.cause in ("earned", "manual")
            elif change.cause == "refund":
                assert isinstance(action, int)
                assert action < 0
                assert LEVEL[change.current_id] >= LEVEL[after.secured_id or "bean"]
            elif change.cause == "manual":
                assert before.granted_id is not None
            else:
                assert change.cause == "cycle"
                assert rules.cycle != "lifetime"
                local = change.at.astimezone(ZoneInfo(zone))
                assert change.at in ends or local.hour <= 1, (
                    "at midnight, or the first moment of a day without one"
                )

    walk(tiering(rules, zone), enrolled, steps, check)


@given(RULES, ZONES, ENROLLED, STEPS, st.integers(0, 4000))
def test_closing_is_idempotent_and_does_not_mind_how_often_the_clock_came_by(
    rules: TierRules, zone: str, enrolled: datetime, steps: list[Any], days: int
) -> None:
    engine = tiering(rules, zone)
    state, _ = walk(engine, enrolled, steps)
    last = enrolled + timedelta(days=sum(step[0] for step in steps))
    later = last + timedelta(days=days)
    at_once, changes = engine.close_cycle(state, later)
    assert engine.close_cycle(at_once, later) == (at_once, ())
    in_steps, noticed = state, ()
    for part in range(1, 8):
        in_steps, more = engine.close_cycle(in_steps, last + timedelta(days=days * part / 7))
        noticed += more
    assert (in_steps, noticed) == (at_once, changes)


@given(RULES, ZONES, ENROLLED, STEPS, st.integers(0, 11), st.integers(1, 900))
def test_who_gathers_more_never_stands_lower(
    rules: TierRules, zone: str, enrolled: datetime, steps: list[Any], where: int, more: int
) -> None:
    # With an excess to carry, more in one cycle may reach a higher tier and so carry less into the next but one.
    engine = tiering(TierRules(cycle=rules.cycle, grace_days=rules.grace_days), zone)
    richer = [*steps[:where], (0, more), *steps[where:]]
    state, rich = walk(engine, enrolled, steps)[0], walk(engine, enrolled, richer)[0]
    assert LEVEL[rich.tier_id or "bean"] >= LEVEL[state.tier_id or "bean"]


@given(RULES, ENROLLED, st.lists(st.integers(-300, 600), max_size=8), st.randoms())
def test_in_which_order_purchases_and_refunds_of_a_cycle_come_in_does_not_matter_in_the_end(
    rules: TierRules, enrolled: datetime, deltas: list[int], random: Any
) -> None:
    engine = tiering(rules)
    other = deltas.copy()
    random.shuffle(other)
    one, two = (walk(engine, enrolled, [(0, each) for each in order])[0] for order in (deltas, other))
    assert one.points == two.points == sum(deltas)


@given(RULES, ZONES, ENROLLED, STEPS)
def test_a_tier_is_kept_as_long_as_was_promised(
    rules: TierRules, zone: str, enrolled: datetime, steps: list[Any]
) -> None:
    engine = tiering(rules, zone)
    state, _ = walk(engine, enrolled, steps)
    promised = engine.kept_until(state)
    until = promised - timedelta(microseconds=1) if promised else datetime(2100, 1, 1, tzinfo=UTC)
    kept, changes = engine.close_cycle(state, until)
    assert (kept.tier_id, changes) == (state.tier_id, ())
