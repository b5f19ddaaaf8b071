"""Numbers, money, days and hours, as a region writes them."""

import datetime as dt

import pytest
from babel import Locale

from web.foundation.formats import Formats

AMERICAN = Formats(Locale.parse("en_US"))
SPANISH = Formats(Locale.parse("es"))
NEW_YEAR = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC)


def test_numbers_are_grouped_as_the_region_does() -> None:
    assert AMERICAN.number(1234567) == "1,234,567"
    assert SPANISH.number(1234567) == "1.234.567"


def test_amounts_in_minor_units_keep_all_their_decimals() -> None:
    assert AMERICAN.decimal(123450, 2) == "1,234.50"
    assert SPANISH.decimal(123450, 2) == "1.234,50"
    assert AMERICAN.decimal(1234, 0) == "1,234"
    assert AMERICAN.decimal(-5, 2) == "-0.05"


def test_money_shows_its_currency() -> None:
    assert AMERICAN.money(1250, "EUR", 2) == "€12.50"
    assert SPANISH.money(1250, "EUR", 2) == "12,50\N{NO-BREAK SPACE}€"
    assert AMERICAN.money(500, "JPY", 0) == "¥500"


def test_a_moment_is_shown_in_the_time_zone_that_is_given() -> None:
    assert AMERICAN.date(NEW_YEAR, "long", "America/New_York") == "December 31, 2026"
    assert SPANISH.date(NEW_YEAR, "long", "Europe/Madrid") == "1 de enero de 2027"
    assert SPANISH.time(NEW_YEAR, "Europe/Madrid") == "0:30"


def test_a_moment_without_an_offset_is_utc() -> None:
    assert SPANISH.time(NEW_YEAR.replace(tzinfo=None), "Europe/Madrid") == "0:30"


def test_a_day_needs_no_time_zone_and_a_moment_does() -> None:
    assert AMERICAN.date(dt.date(2026, 3, 27)) == "Mar 27, 2026"
    with pytest.raises(ValueError, match="time zone"):
        AMERICAN.date(NEW_YEAR)
    with pytest.raises(ValueError, match="time zone"):
        AMERICAN.time(NEW_YEAR)


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(ValueError, match="no date style 'tiny'"):
        AMERICAN.date(NEW_YEAR, "tiny", "UTC")  # type: ignore[arg-type]
