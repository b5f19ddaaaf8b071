"""A rule trace in sentences: for the customer why points came or did not, for the merchant each condition."""

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from web.foundation.languages import N_
from web.loyalty.earning_rules import Check, Trace


class Words(Protocol):
    """How one reader reads: their language, and how it writes points, money and days."""

    def text(self, message: str, /, **values: object) -> str: ...
    def points(self, minor: int) -> str: ...
    def money(self, minor: int) -> str: ...
    def day(self, moment: datetime) -> str: ...
    def number(self, value: float) -> str: ...
    def say(self, texts: dict[str, str]) -> str: ...
    def tier(self, level: int) -> str: ...


BASE = N_("%(money)s counted: %(points)s for every %(per_money)s.")
EACH = N_("%(points)s each time.")
BY_TIER = N_("%(factor)s times as much, because you are %(name)s.")
BY_CAMPAIGN = N_("%(factor)s times as much: %(name)s.")
BROUGHT = N_("What was left over from before was added.")
OWED = N_("What an earlier refund did not take back was settled first.")
LEFT = N_("What does not make a whole point is kept for the next time.")
_FAILED = {
    "active": N_("This is not offered now."),
    "begun": N_("It begins on %(needed)s."),
    "not_over": N_("It ended on %(needed)s."),
    "weekday": N_("It is not offered on this day of the week."),
    "location": N_("It counts in certain shops only."),
    "online": N_("It counts online only."),
    "in_store": N_("It counts in shops only."),
    "network": N_("It is meant for another network."),
    "tier": N_("It begins with the tier %(needed)s."),
    "eligible": N_("Nothing in it earns points: gift cards do not, nor what the programme leaves out."),
    "minimum": N_("It begins at %(needed)s; %(found)s counted."),
    "most": N_("You have had this as often as it is given."),
}
_HAD = {
    "once": N_("You have had this already; it is given once."),
    "day": N_("You have had this today already."),
    "week": N_("You have had this already this week."),
    "month": N_("You have had this already this month."),
    "quarter": N_("You have had this already this quarter."),
    "year": N_("You have had this already this year."),
}
PASSED = N_("%(rule)s: met.")
NOT_MET = N_("%(rule)s: not met (needed %(needed)s, found %(found)s).")


def why(trace: Trace, words: Words) -> list[str]:
    """What a customer is told: the conditions that failed or, where none did, how the points came about."""
    if trace.failed:
        return [_sentence(trace, check, words) for check in trace.failed]
    return list(_sum(trace, words))


def every_condition(trace: Trace, words: Words) -> list[str]:
    """What a merchant is told: each condition with what it compared, then how the points came about."""
    conditions = [
        words.text(
            PASSED if check.passed else NOT_MET,
            rule=check.rule,
            needed=_shown(check.needed),
            found=_shown(check.found),
        )
        for check in trace.checks
    ]
    return conditions if trace.failed else [*conditions, *_sum(trace, words)]


def _sum(trace: Trace, words: Words) -> Iterator[str]:
    each = words.points(trace.each)
    if trace.per_money is None:
        yield words.text(EACH, points=each)
    else:
        counted, per_money = words.money(trace.base), words.money(trace.per_money)
        yield words.text(BASE, money=counted, points=each, per_money=per_money)
    for factor in trace.factors:
        message = BY_TIER if factor.kind == "tier" else BY_CAMPAIGN
        yield words.text(message, factor=words.number(factor.percent / 100), name=words.say(factor.name))
    brought, left = Fraction(trace.brought), Fraction(trace.left)
    if brought:
        yield words.text(BROUGHT if brought > 0 else OWED)
    if left > 0:
        yield words.text(LEFT)


def _sentence(trace: Trace, check: Check, words: Words) -> str:
    match check.rule:
        case "period":
            return words.text(_HAD[trace.recurrence])
        case "channel":
            return words.text(_FAILED[check.needed[0]])
        case "begun" | "not_over":
            return words.text(_FAILED[check.rule], needed=words.day(datetime.fromisoformat(check.needed)))
        case "tier":
            return words.text(_FAILED["tier"], needed=words.tier(check.needed))
        case "minimum":
            return words.text(
                _FAILED["minimum"], needed=words.money(check.needed), found=words.money(check.found)
            )
        case rule:
            return words.text(_FAILED[rule])


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "–" if value is None else str(value)
