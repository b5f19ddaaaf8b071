"""When points run out, by a programme's rules. Days end at midnight in the programme's time zone."""

import calendar
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from web.foundation.schema import utc_now
from web.loyalty.program_settings import PointsRules


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


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day there, as UTC."""
    return datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC"))


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month: 31 January and one month is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
