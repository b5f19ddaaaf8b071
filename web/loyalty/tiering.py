"""How a tier is reached, kept and lost: pure rules, without a database and without a clock of their own.

A customer holds the highest tier that anything entitles them to: what they gathered in this cycle, what the last
cycle secured until the end of this one, the days of grace after a cycle that was not enough, or a grant. Every
change of tier is one of these claims coming or going, so there is nothing else to decide and nothing to contradict.
"""

from calendar import isleap
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta
from msgspec.structs import replace

Cause = Literal["cycle", "refund", "manual", "earned"]


class TierRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a programme's tiers are gathered for.

    `balance` says whether points or money count, both in minor units. A `lifetime` never ends; the others are years,
    of the calendar or from enrolment, in the programme's time zone. With `carry="excess"` what was gathered in a cycle
    beyond the reached tier counts in the next one, and no longer. A tier that was not reached again is kept for
    `grace_days` after the cycle.
    """

    balance: Literal["points", "money"] = "points"
    cycle: Literal["lifetime", "calendar", "anniversary"] = "lifetime"
    carry: Literal["none", "excess"] = "none"
    grace_days: Annotated[int, Meta(ge=0, le=180)] = 0


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One tier of the ladder. A tier no longer `open` is kept but not reached anew."""

    id: str
    level: int
    required: int
    open: bool = True


class TierState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one customer stands. Moments are aware; the end of a cycle belongs to the next one.

    `current` was gathered in this cycle (below zero where more was refunded than bought), `carry` is brought from the
    last. `secured_id` is what the last cycle earned for all of this one, `won_id` the best of that and of this cycle.
    """

    enrolled_at: datetime
    tier_id: str | None
    entered_at: datetime
    current: int = 0
    carry: int = 0
    cycle_start: datetime
    cycle_ends_at: datetime | None
    secured_id: str | None
    won_id: str | None
    grace_id: str | None = None
    grace_until: datetime | None = None
    granted_id: str | None = None
    granted_until: datetime | None = None

    @property
    def points(self) -> int:
        """What counts towards tiers now."""
        return self.current + self.carry

    @property
    def due_at(self) -> datetime | None:
        """When time alone will next change something; None if it never will."""
        ends = (self.cycle_ends_at, self.grace_until, self.granted_until)
        return min((end for end in ends if end is not None), default=None)


class TierChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step from a tier to another, and the moment from which it holds."""

    previous_id: str | None
    current_id: str | None
    cause: Cause
    at: datetime
    is_upgrade: bool


class TierProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer can still do: `missing` for the next tier, `to_keep` to hold the present one longer."""

    next_id: str | None
    missing: int
    to_keep: int


Outcome = tuple[TierState, tuple[TierChange, ...]]


class Tiering(msgspec.Struct, frozen=True):
    """A programme's tier rules, its ladder (lowest first) and its time zone.

    Raises: ValueError for a ladder that does not rise.
    """

    rules: TierRules
    ladder: tuple[Rung, ...]
    zone: ZoneInfo

    def __post_init__(self) -> None:
        for lower, higher in pairwise(self.ladder):
            if higher.level <= lower.level or higher.required < lower.required:
                raise ValueError("tiers are given lowest first, and a higher one never requires less")

    def start(self, enrolled_at: datetime, now: datetime, gathered: int = 0) -> TierState:
        """The state of somebody whose tier nobody kept until now, with what they gathered in this cycle."""
        base = self._reached(0)
        state = TierState(
            enrolled_at=enrolled_at,
            tier_id=base,
            entered_at=enrolled_at,
            cycle_start=enrolled_at,
            cycle_ends_at=self._cycle_end(enrolled_at, enrolled_at),
            secured_id=base,
            won_id=base,
        )
        state = self.close_cycle(state, now)[0]
        reached = self._reached(gathered)
        return replace(state, current=gathered, won_id=reached, tier_id=reached)

    def gather(self, state: TierState, delta: int, now: datetime) -> Outcome:
        """Count `delta` minor units, below zero for a refund.

        More may lift to a higher tier at once. Less may take away what was won in this cycle, never what an earlier
        one secured. Redeeming and expiry are no business of tiers: do not call it for them.
        """
        state, closed = self.close_cycle(state, now)
        state = replace(state, current=state.current + delta)
        kept = state.secured_id if delta < 0 else state.won_id
        state = replace(state, won_id=self._best(kept, self._reached(state.points)))
        state, changed = self._assess(state, "refund", now)
        return state, closed + changed

    def close_cycle(self, state: TierState, now: datetime) -> Outcome:
        """Let time pass until `now`: ends of cycles, of grace and of grants, one after the other.

        Every cycle that was missed is closed with its own date. A second call for the same `now` changes nothing.
        """
        state = self._follow_rules(state, now)
        changes: tuple[TierChange, ...] = ()
        while (due := state.due_at) is not None and due <= now:
            state, changed = self._pass(state, due)
            changes += changed
        state = replace(state, won_id=self._best(state.won_id, self._reached(state.points)))
        state, changed = self._assess(state, "cycle", now)
        return state, changes + changed

    def grant(self, state: TierState, tier_id: str | None, until: datetime | None, now: datetime) -> Outcome:
        """Let the customer hold at least this tier until then (None: for good), whatever they gather.

        It takes the place of an earlier grant; None as the tier ends that. Raises: ValueError for an unknown tier.
        """
        if tier_id is not None and self._rung(tier_id) is None:
            raise ValueError(f"there is no tier {tier_id}")
        state, closed = self.close_cycle(state, now)
        state = replace(state, granted_id=tier_id, granted_until=until if tier_id else None)
        if until is not None and until <= now:
            state = replace(state, granted_id=None, granted_until=None)
        state, changed = self._assess(state, "manual", now)
        return state, closed + changed

    def progress(self, tier_id: str | None, points: int, *, ends: bool) -> TierProgress:
        """What is missing for the next tier and, where the cycle `ends`, for keeping this one after it."""
        level, held = self._level(tier_id), self._rung(tier_id)
        ahead = next((rung for rung in self.ladder if rung.open and rung.level > level), None)
        return TierProgress(
            next_id=ahead.id if ahead else None,
            missing=max(0, ahead.required - points) if ahead else 0,
            to_keep=max(0, held.required - points) if held and ends else 0,
        )

    def kept_until(self, state: TierState) -> datetime | None:
        """Until when the held tier cannot be lost but by a refund; None if nothing ends it."""
        level = self._level(state.tier_id)
        if self._level(self._reached(0)) >= level:
            return None
        claims = (
            (state.won_id, self._points_hold_until(state, level)),
            (state.grace_id, state.grace_until),
            (state.granted_id, state.granted_until),
        )
        ends = [until for tier_id, until in claims if tier_id is not None and self._level(tier_id) >= level]
        return max((until for until in ends if until is not None), default=None) if None not in ends else None

    def _points_hold_until(self, state: TierState, level: int) -> datetime | None:
        end = state.cycle_ends_at
        if end is None:
            return None
        if self._level(self._reached(state.points)) >= level:
            end = self._cycle_end(state.enrolled_at, end) or end
        return self._days_after(end, self.rules.grace_days)

    def _follow_rules(self, state: TierState, now: datetime) -> TierState:
        """A merchant who changes the rules ends no running cycle: a lifetime goes on until the first end to come."""
        if self.rules.cycle == "lifetime":
            return replace(state, cycle_ends_at=None) if state.cycle_ends_at else state
        if state.cycle_ends_at is None:
            return replace(state, cycle_ends_at=self._cycle_end(state.enrolled_at, now))
        return state

    def _pass(self, state: TierState, due: datetime) -> Outcome:
        """Everything that ends at this one moment, as one fact."""
        cause: Cause = "cycle"
        if state.granted_until == due:
            cause = "manual" if state.tier_id == state.granted_id else "cycle"
            state = replace(state, granted_id=None, granted_until=None)
        if state.grace_until == due:
            state = replace(state, grace_id=None, grace_until=None)
        if state.cycle_ends_at == due:
            state = self._next_cycle(state, due)
        return self._assess(state, cause, due)

    def _next_cycle(self, state: TierState, ended_at: datetime) -> TierState:
        attained = self._reached(state.points)
        falls = self._level(attained) < self._level(state.won_id)
        if falls and self.rules.grace_days:
            grace_until = self._days_after(ended_at, self.rules.grace_days)
            state = replace(state, grace_id=state.won_id, grace_until=grace_until)
        return replace(
            state,
            current=0,
            carry=self._excess(state, attained),
            cycle_start=ended_at,
            cycle_ends_at=self._cycle_end(state.enrolled_at, ended_at),
            secured_id=attained,
            won_id=attained,
        )

    def _excess(self, state: TierState, attained: str | None) -> int:
        """Only beyond a tier that had to be reached, and only what this cycle gathered: nothing counts for ever."""
        rung = self._rung(attained)
        if self.rules.carry == "none" or rung is None or rung.required == 0:
            return 0
        return max(0, min(state.current, state.points - rung.required))

    def _assess(self, state: TierState, downgrade_cause: Cause, at: datetime) -> Outcome:
        best = self._best(self._best(state.won_id, state.grace_id), state.granted_id)
        if best == state.tier_id:
            return state, ()
        is_upgrade = self._level(best) > self._level(state.tier_id)
        upgrade_cause: Cause = "manual" if downgrade_cause == "manual" else "earned"
        change = TierChange(
            previous_id=state.tier_id,
            current_id=best,
            cause=upgrade_cause if is_upgrade else downgrade_cause,
            at=at,
            is_upgrade=is_upgrade,
        )
        return replace(state, tier_id=best, entered_at=at), (change,)

    def _reached(self, points: int) -> str | None:
        """The highest tier for this much. A refund cannot take anybody below what nothing is required for."""
        enough = [rung.id for rung in self.ladder if rung.open and rung.required <= max(points, 0)]
        return enough[-1] if enough else None

    def _best(self, one: str | None, other: str | None) -> str | None:
        return other if self._level(other) > self._level(one) else one

    def _level(self, tier_id: str | None) -> int:
        rung = self._rung(tier_id)
        return -1 if rung is None else rung.level

    def _rung(self, tier_id: str | None) -> Rung | None:
        return next((rung for rung in self.ladder if rung.id == tier_id), None)

    def _cycle_end(self, enrolled_at: datetime, after: datetime) -> datetime | None:
        """The first end of a cycle after this moment: midnight in the programme's time zone."""
        year = after.astimezone(self.zone).year
        match self.rules.cycle:
            case "lifetime":
                return None
            case "calendar":
                return self._midnight(date(year + 1, 1, 1))
            case "anniversary":
                enrolled_on = enrolled_at.astimezone(self.zone).date()
                this_year = self._midnight(_anniversary(enrolled_on, year))
                return this_year if this_year > after else self._midnight(_anniversary(enrolled_on, year + 1))

    def _days_after(self, moment: datetime, days: int) -> datetime:
        local = moment.astimezone(self.zone)
        return (local + timedelta(days=days)).replace(fold=0).astimezone(UTC)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


def _anniversary(day: date, year: int) -> date:
    """Who came on 29 February has their cycle's last day on 28 February in every year."""
    if (day.month, day.day) == (2, 29) and not isleap(year):
        return date(year, 3, 1)
    return day.replace(year=year)
