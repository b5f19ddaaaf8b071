"""Periods for which something is limited: a day, a week, a month, a year in the programme's time zone, or a life."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from web.loyalty.expiry import add_months, start_of_day

Period = Literal["life", "year", "month", "week", "day"]


def period_around(period: Period, timezone: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The first moment of the period that `now` lies in, and of the one after it; None for a life. A week begins
    on Monday."""
    return period_on(period, timezone, now.astimezone(ZoneInfo(timezone)).date())


@lru_cache(maxsize=1024)  # every page asks for the same few
def period_on(period: Period, timezone: str, day: date) -> tuple[datetime, datetime] | None:
    """The same around a day of the time zone."""
    zone = ZoneInfo(timezone)
    match period:
        case "life":
            return None
        case "day":
            first, following = day, day + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday())
            following = first + timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            following = add_months(first, 1)
        case "year":
            first = day.replace(month=1, day=1)
            following = add_months(first, 12)
    return start_of_day(first, zone), start_of_day(following, zone)
