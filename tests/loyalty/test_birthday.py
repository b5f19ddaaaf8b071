"""Birthdays: at nine in the programme's morning, once a year, whoever asks how often."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from tests.loyalty.people import new_customer
from tests.support.plans import gather_statistics, plan_of
from web.foundation.database import Database
from web.foundation.schema import utc_now
from web.loyalty import birthday
from web.loyalty.birthday import LATEST, birthdays_due
from web.loyalty.customer import customer
from web.loyalty.event import event
from web.loyalty.event_catalogue import check_properties
from web.loyalty.program import Program

ZONES = [
    "Europe/Madrid",
    "America/St_Johns",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Asia/Kathmandu",
    "Africa/Cairo",
]


def in_zone(program: Program, zone: str) -> Program:
    settings = msgspec.structs.replace(program.settings, timezone=zone)
    return msgspec.structs.replace(program, settings=settings)


def born(conn: Connection, program: Program, when: str | None, **changes: object) -> str:
    """A customer of old with that birthday."""
    customer_id = new_customer(conn, program, birthday=when)
    changes = {"created_at": datetime(2020, 1, 1, tzinfo=UTC), **changes}
    conn.execute(update(customer).where(customer.c.id == customer_id).values(**changes))
    return customer_id


def told(conn: Connection) -> dict[str, list[dict[str, object]]]:
    """Birthdays by customer."""
    by_customer: dict[str, list[dict[str, object]]] = {}
    rows = conn.execute(select(event).where(event.c.name == "Customer birthday").order_by(event.c.id))
    for row in rows:
        check_properties(row.name, row.properties)
        by_customer.setdefault(row.customer_id, []).append(row.properties)
    return by_customer


@given(
    st.dates(date(2019, 1, 1), date(2032, 12, 31)),
    st.sampled_from(ZONES),
    st.integers(0, 3 * 24 * 60 - 1),
)
def test_each_morning_is_had_from_nine_local_until_three_days_later(
    day: date, zone: str, minutes: int
) -> None:
    nine = datetime(day.year, day.month, day.day, 9, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    now = nine + timedelta(minutes=minutes)
    assert (day, nine) in list(birthday._mornings(ZoneInfo(zone), now))
    for outside in (nine - timedelta(seconds=1), nine + LATEST):
        assert day not in dict(birthday._mornings(ZoneInfo(zone), outside))


@settings(max_examples=40)
@given(st.dates(date(1920, 1, 1), date(2026, 12, 31)), st.integers(2024, 2032), st.booleans())
def test_everybody_has_one_day_in_every_year(born_on: date, year: int, with_year: bool) -> None:
    kept = f"{born_on:%Y-%m-%d}" if with_year else f"--{born_on:%m-%d}"
    if born_on.year > year:
        return
    first = date(year, 1, 1)
    days = [first + timedelta(days=number) for number in range(367)]
    had = [day for day in days if day.year == year and kept in birthday._spellings(day)]
    leaps = born_on.month == 2 and born_on.day == 29 and year % 4 != 0
    assert had == [date(year, 2, 28) if leaps else date(year, born_on.month, born_on.day)]


async def test_at_nine_and_once_whoever_asks(database: Database, program: Program) -> None:
    program = in_zone(program, "Europe/Madrid")
    ids = [
        await database.write(born, program, when)
        for when in ("1990-03-29", "--03-29", "1990-03-28", None, "1990-12-01")
    ]
    # The clocks go forward in this night: nine is an hour earlier in UTC than the day before.
    nine = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
    assert await database.write(birthdays_due, program, nine - timedelta(seconds=1)) == 1
    assert (await database.read(told)).keys() == {ids[2]}, "yesterday's"
    await asyncio.gather(*(database.write(birthdays_due, program, nine) for _ in range(4)))
    assert await database.write(birthdays_due, program, nine + timedelta(hours=5)) == 0
    so_far = await database.read(told)
    assert so_far == {each: [{"birthdate": "03-29"}] for each in ids[:2]} | {ids[2]: [{"birthdate": "03-28"}]}
    assert await database.write(birthdays_due, program, nine.replace(year=2027)) == 3


async def test_who_comes_or_changes_late_gets_no_second_one(database: Database, program: Program) -> None:
    program = in_zone(program, "UTC")
    nine = datetime(2026, 6, 10, 9, tzinfo=UTC)
    await database.write(born, program, "--06-10", created_at=nine + timedelta(hours=1))
    assert await database.write(birthdays_due, program, nine + timedelta(hours=2)) == 0
    greedy = await database.write(born, program, "--06-10")
    assert await database.write(birthdays_due, program, nine + timedelta(hours=2)) == 1
    await database.write(
        lambda conn: (
            conn.execute(update(customer).where(customer.c.id == greedy).values(birthday="--06-11")).rowcount
        )
    )
    assert await database.write(birthdays_due, program, nine + timedelta(days=1, hours=2)) == 0


async def test_many_are_told_in_parts(
    database: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(birthday, "AT_ONCE", 2)
    for _ in range(5):
        await database.write(born, program, "1990-06-10")
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    counts = [await database.write(birthdays_due, program, noon) for _ in range(4)]
    assert counts == [2, 2, 1, 0]
    assert len(await database.read(told)) == 5


async def test_they_are_found_by_index(database: Database, program: Program) -> None:
    def fill(conn: Connection) -> None:
        for number in range(300):
            born(conn, program, f"1990-{number % 12 + 1:02}-{number % 28 + 1:02}")
        gather_statistics(conn)

    await database.write(fill)
    day = date(2026, 6, 10)
    plan = await database.write(
        plan_of, lambda conn: birthday._whose_day_it_is(conn, program.id, day, utc_now(), 500)
    )
    assert "ix_customer_birthday" in plan
