"""A page's rows as one document: the same on both databases as what was written."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Boolean, Column, Connection, Integer, Table, Text, bindparam, insert, select

from tests.support.rows import in_database
from web.foundation.database import Database
from web.foundation.document import Document, list_of, object_of, one_of
from web.foundation.schema import DayAfter, Id, Json, Moment, metadata, new_id, utc_now

order = Table(
    "order_of_document",
    metadata.__class__(),
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("note", Json),
    Column("is_paid", Boolean),
    Column("at", Moment, nullable=False),
)
line = Table(
    "line_of_document",
    order.metadata,
    Column("order_id", Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
)


class Line(msgspec.Struct, frozen=True):
    number: int
    state: str


class Order(msgspec.Struct, frozen=True):
    id: str
    name: str
    note: Any
    is_paid: bool | None
    at: datetime
    lines: list[Line]
    last: Line | None


NUMBER = bindparam("id")
LINES = select(line.c.number, line.c.state).where(line.c.order_id == NUMBER, line.c.state.in_(("new", "old")))
ORDER = Document(
    Order,
    object_of(
        order.c,
        lines=list_of(LINES.order_by(line.c.number.desc()).limit(2)),
        last=one_of(object_of([line.c.number, line.c.state]), line.c.order_id == NUMBER, line.c.number == 3),
    ),
    order,
    order.c.id == NUMBER,
    order.c.at <= bindparam("now"),
)


@pytest.fixture
def database_url(database_url: str) -> str:
    in_database(database_url, lambda conn: order.metadata.create_all(conn))
    return database_url


def place(conn: Connection, order_id: str, at: datetime, note: Any, is_paid: bool | None, lines: int) -> None:
    values = {"id": order_id, "name": "Zoë's \"'one\n", "note": note, "is_paid": is_paid, "at": at}
    conn.execute(insert(order).values(values))
    for number in range(1, lines + 1):
        state = "gone" if number == 4 else "new"
        conn.execute(insert(line).values(order_id=order_id, number=number, state=state))


@pytest.mark.parametrize("is_paid", [True, False, None])
async def test_what_was_written_is_read_in_order_and_of_nobody_else(
    database: Database, is_paid: bool | None
) -> None:
    at, note = utc_now(), {"a": [1, None, "é"]}
    theirs, other, bare = new_id(), new_id(), new_id()
    await database.write(place, theirs, at, note, is_paid, 5)
    await database.write(place, other, at, None, None, 9)
    await database.write(place, bare, at, None, None, 0)
    found = await database.ask(ORDER, id=theirs, now=at)
    lines = [Line(5, "new"), Line(3, "new")]
    assert found == Order(theirs, "Zoë's \"'one\n", note, is_paid, at, lines, Line(3, "new"))
    assert await database.ask(ORDER, id=bare, now=at) == Order(
        bare, "Zoë's \"'one\n", None, None, at, [], None
    )


async def test_where_no_row_is_there_is_none_and_a_moment_counts_to_its_last_microsecond(
    database: Database,
) -> None:
    order_id, at = new_id(), datetime(2026, 3, 1, 12, tzinfo=UTC)
    await database.write(place, order_id, at, None, None, 0)
    assert await database.ask(ORDER, id=new_id(), now=at) is None
    assert await database.ask(ORDER, id=order_id, now=at - timedelta(microseconds=1)) is None
    assert await database.ask(ORDER, id=order_id, now=at) is not None


async def test_a_day_after_is_found_by_the_database(database: Database) -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, 250000, tzinfo=UTC)
    early, late = new_id(), new_id()
    await database.write(place, early, at, None, None, 0)
    await database.write(place, late, at + timedelta(days=1), None, None, 0)
    first = select(order.c.at).where(order.c.id == early).correlate(None).scalar_subquery()
    within = order.c.at <= DayAfter(first)
    assert {
        row.id for row in await database.read(lambda conn: conn.execute(select(order).where(within)).all())
    } == {
        early,
        late,
    }
    later = new_id()
    await database.write(place, later, at + timedelta(days=1, milliseconds=1), None, None, 0)
    assert later not in {
        row.id for row in await database.read(lambda conn: conn.execute(select(order).where(within)).all())
    }


async def test_a_value_that_is_missing_is_named(database: Database) -> None:
    with pytest.raises(KeyError, match="now"):
        await database.ask(ORDER, id=new_id())


async def test_rows_that_do_not_fit_the_struct_are_an_error(database: Database) -> None:
    wrong = Document(Line, object_of([order.c.id, order.c.name]), order)
    await database.write(place, new_id(), utc_now(), None, None, 0)
    with pytest.raises(msgspec.ValidationError):
        await database.ask(wrong)
