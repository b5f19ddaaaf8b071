"""Why points come, and how many: pure rules, without a database.

Whatever happened is judged by every condition of a flow, and each verdict is kept, so that a customer who got nothing
can be told which condition failed. Amounts are computed as exact fractions: what does not make a whole point is carried
to the next time, so that 30 and 20 earn what 50 earn.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from fractions import Fraction
from math import floor
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Recurrence = Literal["once", "day", "week", "month", "quarter", "year", "unlimited"]
Channel = Literal["online", "in_store"]
# Whose limit it is: one for the customer, or one for each shop, network or link.
Scope = Literal["customer", "location", "network", "link"]

PURCHASE = "INCENTIVIZE_PURCHASES"
INSTALL = "INSTALL_WALLET_PASS"
REFERRAL = "MEMBER_GET_MEMBER"
FOLLOW = "FOLLOW_US"
PROFILE = "COMPLETE_USER_PROFILE"
SCAN = "CUSTOMER_SCANNED"
VERIFY = "VERIFY_ACCOUNT"
LINK_CLICK = "WALLET_LINK_CLICK"
CHECK_IN = "CHECK_IN"
BIRTHDAY = "BIRTHDAY"
FIXED_TYPES = (PURCHASE, INSTALL, REFERRAL, FOLLOW, PROFILE, SCAN, VERIFY, LINK_CLICK, CHECK_IN, BIRTHDAY)
TYPE_PATTERN = f"^({'|'.join(FIXED_TYPES)}|CUSTOM_[1-9][0-9]{{0,3}})$"

Amount = Annotated[int, Meta(ge=0, le=10**15)]
NOTHING = Fraction(0)


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be so. An empty tuple or None asks for nothing.

    `min_amount` is money in minor units and, like everything else, counts only what is not excluded; gift cards never
    earn. `tier_level` is the lowest tier that may earn. `weekdays`: 1 is Monday, in the programme's time zone.
    """

    min_amount: Amount | None = None
    location_ids: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    networks: tuple[str, ...] = ()
    tier_level: Annotated[int, Meta(ge=0)] | None = None
    weekdays: tuple[Annotated[int, Meta(ge=1, le=7)], ...] = ()
    excluded_products: tuple[str, ...] = ()
    excluded_collections: tuple[str, ...] = ()


class FlowRules(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an earning flow that decides.

    `points` are minor units: given each time, or for every `per_money` minor units of money where that is set.
    `times` in each period of `recurrence` (for each shop, network or link, as `per` says), and `most` in all.
    """

    id: str
    type: str
    points: int
    per_money: int | None = None
    conditions: Conditions = Conditions()
    recurrence: Recurrence = "once"
    times: int = 1
    per: Scope = "customer"
    most: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    active: bool = True


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an order: what was paid for it after discounts, in minor units of the programme's currency."""

    id: Annotated[str, Meta(min_length=1, max_length=80)]
    amount: Amount
    product_id: str | None = None
    collections: tuple[str, ...] = ()
    gift_card: bool = False


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as flows judge it. `link` is the key of a link on the card."""

    at: datetime
    location_id: str | None = None
    channel: Channel | None = None
    network: str | None = None
    link: str | None = None
    lines: tuple[Line, ...] = ()


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """Something that multiplies, in percent: the customer's tier, or a campaign such as a double-point day."""

    kind: Literal["tier", "campaign"]
    name: dict[str, str]
    percent: int


class Earner(msgspec.Struct, frozen=True, kw_only=True):
    """Who earns: the level of their tier (-1 without one), and what multiplies their points now."""

    tier_level: int = -1
    factors: tuple[Factor, ...] = ()


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Which turns of a flow the customer had: numbers from 1 in this period, and in all."""

    in_period: frozenset[int] = frozenset()
    in_all: frozenset[int] = frozenset()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One condition and its verdict; `needed` and `found` say what it compared."""

    rule: str
    passed: bool
    needed: Any = None
    found: Any = None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Why points came or did not; kept with every evaluation. `brought` and `left` are exact fractions as text.

    `remaining` is how often more the flow may be had in this period; None without limit.
    """

    flow_id: str
    type: str
    recurrence: Recurrence
    checks: tuple[Check, ...]
    points: int
    each: int
    per_money: int | None
    base: int
    factors: tuple[Factor, ...]
    brought: str
    left: str
    remaining: int | None

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow gives for a happening. `exact` is before rounding, `left` what is carried on from it.

    `slot` and `turn` are the places that it takes under the flow's limits.
    """

    points: int
    exact: Fraction
    left: Fraction
    base: int
    line_ids: tuple[str, ...]
    slot: str | None
    turn: int | None
    trace: Trace

    @property
    def remaining(self) -> int | None:
        return self.trace.remaining

    @property
    def is_granted(self) -> bool:
        """Whether every condition held, even where it was not enough for a whole point."""
        return not self.trace.failed

    @property
    def is_over_limit(self) -> bool:
        """Whether nothing but a limit stood in the way."""
        return bool(self.trace.failed) and all(
            check.rule in ("period", "most") for check in self.trace.failed
        )


def evaluate(
    rules: FlowRules, happened: Happening, earner: Earner, taken: Taken, brought: Fraction, zone: tzinfo
) -> Evaluation:
    """Judge one happening by one flow. `brought` is what earlier ones left over (below zero after refunds)."""
    lines = eligible(rules, happened.lines)
    base = sum(line.amount for line in lines)
    checks = tuple(_checks(rules, happened, earner, taken, base, zone))
    granted = all(check.passed for check in checks)
    factors = earner.factors if rules.type == PURCHASE else ()
    exact = _exact(rules, base, factors) if granted else NOTHING
    points = max(0, floor(brought + exact))
    if not granted:
        points = 0
    left = brought + exact - points
    return Evaluation(
        points=points,
        exact=exact,
        left=left,
        base=base if granted else 0,
        line_ids=tuple(line.id for line in lines) if granted else (),
        slot=_slot(rules, happened, taken, zone) if granted else None,
        turn=_first_free(taken.in_all, rules.most) if granted else None,
        trace=Trace(
            flow_id=rules.id,
            type=rules.type,
            recurrence=rules.recurrence,
            checks=checks,
            points=points,
            each=rules.points,
            per_money=rules.per_money,
            base=base,
            factors=factors,
            brought=str(brought),
            left=str(left),
            remaining=remaining(rules, taken, spent=1 if granted else 0),
        ),
    )


def eligible(rules: FlowRules, lines: Iterable[Line]) -> list[Line]:
    """The lines of an order that earn: no gift cards, and nothing that the flow excludes."""
    conditions = rules.conditions
    return [
        line
        for line in lines
        if not line.gift_card
        and line.product_id not in conditions.excluded_products
        and not set(line.collections) & set(conditions.excluded_collections)
    ]


def period_of(recurrence: Recurrence, at: datetime, zone: tzinfo) -> str:
    """The name of the day, week, month … that `at` lies in, in this zone: "2026-11-21", "2026-W47", "2026-Q4"."""
    local = at.astimezone(zone)
    match recurrence:
        case "day":
            return f"{local:%Y-%m-%d}"
        case "week":
            year, week, _ = local.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return f"{local:%Y-%m}"
        case "quarter":
            return f"{local.year}-Q{(local.month + 2) // 3}"
        case "year":
            return str(local.year)
        case _:
            return recurrence


def place_of(rules: FlowRules, happened: Happening, zone: tzinfo) -> str:
    """What one limit counts: the period and, where each has its own, the shop, network or link."""
    of = {"location": happened.location_id, "network": happened.network, "link": happened.link}
    return f"{period_of(rules.recurrence, happened.at, zone)}|{of.get(rules.per) or ''}"


def remaining(rules: FlowRules, taken: Taken, spent: int = 0) -> int | None:
    """How often the flow may still be had, in this period and in all; None if without limit."""
    left = []
    if rules.recurrence != "unlimited":
        left.append(rules.times - len(taken.in_period) - spent)
    if rules.most is not None:
        left.append(rules.most - len(taken.in_all) - spent)
    return max(0, min(left)) if left else None


def _exact(rules: FlowRules, base: int, factors: Sequence[Factor]) -> Fraction:
    exact = (
        Fraction(rules.points) if rules.per_money is None else Fraction(base * rules.points, rules.per_money)
    )
    for factor in factors:
        exact *= Fraction(factor.percent, 100)
    return exact


def _checks(
    rules: FlowRules, happened: Happening, earner: Earner, taken: Taken, base: int, zone: tzinfo
) -> Iterable[Check]:
    """Every condition that the flow has, in the order in which a person would ask them."""
    wants = rules.conditions
    yield Check(rule="active", passed=rules.active)
    if rules.starts_at is not None:
        yield Check(rule="begun", passed=rules.starts_at <= happened.at, needed=rules.starts_at.isoformat())
    if rules.ends_at is not None:
        yield Check(rule="not_over", passed=happened.at < rules.ends_at, needed=rules.ends_at.isoformat())
    if wants.weekdays:
        weekday = happened.at.astimezone(zone).isoweekday()
        yield Check(rule="weekday", passed=weekday in wants.weekdays, needed=wants.weekdays, found=weekday)
    for rule, accepted, found in (
        ("location", wants.location_ids, happened.location_id),
        ("channel", wants.channels, happened.channel),
        ("network", wants.networks, happened.network),
    ):
        if accepted:
            yield Check(rule=rule, passed=found in accepted, needed=accepted, found=found)
    if wants.tier_level is not None:
        passed = earner.tier_level >= wants.tier_level
        yield Check(rule="tier", passed=passed, needed=wants.tier_level, found=earner.tier_level)
    if rules.type == PURCHASE or rules.per_money is not None:
        yield Check(rule="eligible", passed=base > 0, found=base)
    if wants.min_amount is not None:
        yield Check(rule="minimum", passed=base >= wants.min_amount, needed=wants.min_amount, found=base)
    if rules.recurrence != "unlimited":
        used = len(taken.in_period)
        yield Check(rule="period", passed=used < rules.times, needed=rules.times, found=used)
    if rules.most is not None:
        yield Check(
            rule="most", passed=len(taken.in_all) < rules.most, needed=rules.most, found=len(taken.in_all)
        )


def _slot(rules: FlowRules, happened: Happening, taken: Taken, zone: tzinfo) -> str | None:
    if rules.recurrence == "unlimited":
        return None
    return f"{place_of(rules, happened, zone)}|{_first_free(taken.in_period, rules.times)}"


def _first_free(taken: frozenset[int], most: int | None) -> int | None:
    if most is None:
        return None
    return next((number for number in range(1, most + 1) if number not in taken), None)
