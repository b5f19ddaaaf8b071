"""The one MetaData, and the column types that mean the same on SQLite and PostgreSQL.

Every table is keyed by `program_id` first, so that a programme can be moved or distributed as a whole;
only `program` itself and the short codes of signs, which are looked up before the programme is known,
stand outside that rule.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import uuid_utils
from sqlalchemy import Connection, DateTime, Dialect, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import UUID as PostgresUuid  # noqa: N811
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """A UUIDv7 as text: unique everywhere, and later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Whether `text` is written as our ids are; PostgreSQL refuses to look for anything else."""
    return _ID.fullmatch(text) is not None


def first_id_at(moment: datetime) -> str:
    """The lowest id that a moment's millisecond may give: from it on, ids are of that moment and later."""
    digits = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def moment_of(id_: str) -> datetime:
    """When an id of ours was made, to the millisecond."""
    return datetime.fromtimestamp(int(id_[:8] + id_[9:13], 16) / 1000, UTC)


def utc_now() -> datetime:
    """This moment with its zone; the only clock that rows are stamped from."""
    return datetime.now(UTC)


class Id(TypeDecorator[str]):
    """A UUID, text in Python: native on PostgreSQL, 36 characters on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(PostgresUuid(as_uuid=False))
        return dialect.type_descriptor(String(36))


class Moment(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC. SQLite keeps no zone, so it is taken off and put back."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """A JSON document kept as text on both databases, so that the same bytes come back from each."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


def insert_or_skip(conn: Connection, table: Table) -> PostgresInsert | SqliteInsert:
    """An INSERT that does nothing where a unique rule already has the row; `.returning()` tells which it was."""
    return _insert_or_skip(conn.dialect.name, table)


@lru_cache
def _insert_or_skip(dialect: str, table: Table) -> PostgresInsert | SqliteInsert:
    # SQLAlchemy remembers with a statement how it is compiled; one made anew has to be looked up part by part.
    if dialect == "postgresql":
        return postgres_insert(table).on_conflict_do_nothing()
    return sqlite_insert(table).on_conflict_do_nothing()


class DayAfter(FunctionElement[datetime]):
    """The moment a day after another, in the database; on SQLite to the end of its millisecond."""

    inherit_cache = True
    type = Moment()


@compiles(DayAfter)
def _postgres_day_after(element: DayAfter, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)}) + interval '1 day'"


@compiles(DayAfter, "sqlite")
def _sqlite_day_after(element: DayAfter, compiler: SQLCompiler, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f', {moment}, '+1 day') || '999'"
