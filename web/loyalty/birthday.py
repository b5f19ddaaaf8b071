"""Birthdays: at nine in the morning of the programme's own time, an event for everybody whose day it is.

Who was born on 29 February has it on 28 February in other years, so that it stays in their month.
"""

from calendar import isleap
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Integer, Table, exists, select
from sqlalchemy.engine import Connection, Row

from web.foundation.schema import Id, Moment, insert_or_skip, metadata
from web.loyalty.customer import customer
from web.loyalty.event import CUSTOMER_BIRTHDAY, INSERT, event_row
from web.loyalty.program import Program

NINE = time(9)
# A worker that was away for a night or a weekend still congratulates.
LATEST = timedelta(days=3)
AT_ONCE = 500
OLDEST = 120

# Once a year, whatever birthdays somebody gives after each other.
birthday = Table(
    "birthday",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
)


def birthdays_due(conn: Connection, program: Program, now: datetime) -> int:
    """Record the birthdays that have begun, at most 500; returns how many, so that 0 says there are no more.

    Safe to call from several workers at any time: a customer has one birthday a year. Whoever registers or
    changes their birthday after nine on the day itself has missed it.
    """
    found = 0
    for day, begun in _mornings(ZoneInfo(program.settings.timezone), now):
        found += _congratulate(conn, program.id, day, begun, now, AT_ONCE - found)
        if found >= AT_ONCE:
            break
    return found


def _mornings(zone: ZoneInfo, now: datetime) -> Iterator[tuple[date, datetime]]:
    """The latest days whose nine o'clock has struck, each with that moment in UTC."""
    today = now.astimezone(zone).date()
    for days in range(LATEST.days + 2):
        day = today - timedelta(days=days)
        nine = datetime.combine(day, NINE, zone).astimezone(UTC)
        if nine <= now < nine + LATEST:
            yield day, nine


def _congratulate(
    conn: Connection, program_id: str, day: date, begun: datetime, now: datetime, most: int
) -> int:
    people = _whose_day_it_is(conn, program_id, day, begun, most)
    if not people:
        return 0
    # In one order, so that two workers at the same people wait for each other and not in a circle.
    rows = [
        {"program_id": program_id, "customer_id": person.id, "year": day.year, "at": now}
        for person in sorted(people, key=lambda person: person.id)
    ]
    # Another worker may be at the same people: each belongs to whoever wrote its row.
    ours = set(conn.scalars(insert_or_skip(conn, birthday).returning(birthday.c.customer_id), rows))
    events = [
        event_row(program_id, CUSTOMER_BIRTHDAY, person.id, {"birthdate": person.birthday[-5:]})
        for person in people
        if person.id in ours
    ]
    if events:
        conn.execute(INSERT, events)
    return len(people)


def _whose_day_it_is(
    conn: Connection, program_id: str, day: date, begun: datetime, most: int
) -> Sequence[Row[str, str]]:
    """Id and birthday of those who were customers when the day began and have not had it yet this year."""
    has_had_it = exists().where(
        birthday.c.program_id == customer.c.program_id,
        birthday.c.customer_id == customer.c.id,
        birthday.c.year == day.year,
    )
    return conn.execute(
        select(customer.c.id, customer.c.birthday)
        .where(
            customer.c.program_id == program_id,
            customer.c.birthday.in_(_spellings(day)),
            customer.c.created_at < begun,
            ~has_had_it,
        )
        .limit(most)
    ).all()


def _spellings(day: date) -> list[str]:
    """Every birthday that is had on a day, as it may be kept: with its year, or without.

    A list of values finds them by the index; an expression over the column would need one of its own.
    """
    days = [f"{day:%m-%d}"]
    if (day.month, day.day) == (2, 28) and not isleap(day.year):
        days.append("02-29")
    years = [f"{year:04}" for year in range(day.year - OLDEST, day.year + 1)]
    return [f"{year}-{month_day}" for month_day in days for year in ("-", *years)]
