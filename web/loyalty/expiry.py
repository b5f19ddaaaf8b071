"""When points run out, by a programme's rules. Days end at midnight in the programme's time zone."""

import calendar
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from web.foundation.schema import utc_now
from web.loyalty.program_settings import PointsRules

# How many days before their last one somebody is told (facts 4.3), and at what hour there.
WARN_DAYS, WARN_HOUR = (30, 7, 1), 10


def expiry_of(rules: PointsRules, timezone: str, spendable_from: datetime) -> datetime | None:
    """When points that can be spent from this moment on run out; None where they never do.

    They may be spent on the whole of their last day, however long the clocks make it.
    """
    zone = ZoneInfo(timezone)
    first = spendable_from.astimezone(zone).date()
    match rules.expiry:
        case "none":
            return None
        case "calendar_end":
            last = add_months(date(first.year, 12, 31), rules.expiry_months)
        case _:
            last = add_months(first, rules.expiry_months) + timedelta(days=rules.expiry_days)
    return start_of_day(last + timedelta(days=1), zone)


def hold_until(rules: PointsRules, earned_at: datetime) -> datetime | None:
    """When what a purchase earned may be spent; None for at once, or where the wait is over already."""
    until = earned_at + timedelta(days=rules.hold_days)
    return until if until > utc_now() else None


def grace_from(rules: PointsRules, now: datetime) -> datetime:
    """Until when points may still be spent that come, or come back, when their day is over."""
    return now + timedelta(days=rules.grace_days)


def last_day(expires_at: datetime, timezone: str) -> date:
    """The last day, there, on which points that run out at this moment can be spent."""
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date()


def next_warning(expires_at: datetime | None, timezone: str, now: datetime) -> datetime | None:
    """When somebody is told next, after `now`, that points run out; None where nothing is left to be said."""
    if expires_at is None:
        return None
    last = last_day(expires_at, timezone)
    mornings = (
        datetime.combine(last - timedelta(days=days), time(WARN_HOUR), ZoneInfo(timezone)).astimezone(
            ZoneInfo("UTC")
        )
        for days in WARN_DAYS
    )
    return next((morning for morning in mornings if morning > now), None)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day there, as UTC."""
    return datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC"))


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month: 31 January and one month is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
