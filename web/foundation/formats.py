"""Numbers, money, days and hours as one region writes them.

Babel takes some ten microseconds for each; a page shows the same few values again and again, so each is kept.
"""

import datetime as dt
from decimal import Decimal
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, parse_pattern

KEPT = 4096

Style = Literal["short", "medium", "long", "full"]
STYLES = get_args(Style)


class Formats:
    """The writing habits of `locale`. Every method gives plain text."""

    def __init__(self, locale: Locale) -> None:
        self._locale = locale
        self.number = lru_cache(maxsize=KEPT)(self._number)
        self.decimal = lru_cache(maxsize=KEPT)(self._decimal)
        self.money = lru_cache(maxsize=KEPT)(self._money)
        self._day = lru_cache(maxsize=KEPT)(self._format_day)
        self._hour = lru_cache(maxsize=KEPT)(self._format_hour)

    def date(self, value: dt.date | dt.datetime, style: Style = "medium", timezone: str = "") -> str:
        """The day of `value`; a moment needs the `timezone` (`"Europe/Madrid"`) whose day is meant.

        A moment without an offset is taken as UTC, as everything is stored. ValueError for a moment without
        a time zone or an unknown style, ZoneInfoNotFoundError for an unknown zone.
        """
        if style not in STYLES:
            raise ValueError(f"no date style {style!r}: it is one of {', '.join(STYLES)}")
        if isinstance(value, dt.datetime):
            value = _local(value, timezone).date()
        return self._day(value, style)

    def time(self, value: dt.datetime | dt.time, timezone: str = "") -> str:
        """The hour and minute of `value`; a moment needs the `timezone`, as for `date`."""
        if isinstance(value, dt.datetime):
            value = _local(value, timezone)
        return self._hour(value.hour, value.minute)

    def _number(self, value: int | float | Decimal) -> str:
        """A count or measure: `1,234`."""
        return format_decimal(value, locale=self._locale)

    def _decimal(self, minor: int, scale: int) -> str:
        """An amount in minor units, with all its decimals: `decimal(1250, 2)` is `12.50`."""
        pattern = parse_pattern(self._locale.decimal_formats[None].pattern)
        pattern.frac_prec = (scale, scale)
        written: str = pattern.apply(Decimal(minor).scaleb(-scale), self._locale)
        return written

    def _money(self, minor: int, currency: str, scale: int) -> str:
        """An amount in minor units of an ISO 4217 currency: `money(1250, "EUR", 2)` is `€12.50`."""
        return format_currency(Decimal(minor).scaleb(-scale), currency, locale=self._locale)

    def _format_day(self, value: dt.date, style: Style) -> str:
        return format_date(value, style, locale=self._locale)

    def _format_hour(self, hour: int, minute: int) -> str:
        return format_time(dt.time(hour, minute), "short", locale=self._locale)


def _local(moment: dt.datetime, timezone: str) -> dt.datetime:
    if not timezone:
        raise ValueError("a moment is shown in the programme's time zone: none was given")
    stored = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return stored.astimezone(ZoneInfo(timezone))
