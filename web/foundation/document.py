"""All that a page shows, asked for by one statement: the database answers with one JSON document.

A page of five queries waits for five round trips and pays for five results; both databases can put rows and lists of
rows into one document in less time than SQLAlchemy takes to make one result ready. msgspec then reads it into structs,
which also says where rows and structs do not agree.

    number = bindparam("id")
    content = object_of(order.c, lines=list_of(select(line).where(line.c.order_id == number)))
    ORDER = Document(Order, content, order, order.c.id == number)
    found = await database.ask(ORDER, id="…")     # an Order with its lines, or None
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Dialect,
    FromClause,
    LargeBinary,
    Select,
    Text,
    cast,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import cloned_traverse

from web.foundation.schema import Json, Moment

T = TypeVar("T")

# SQLite's driver would make a text of the bytes that msgspec reads.
_ANSWER = Text().with_variant(LargeBinary(), "sqlite")


class Document(Generic[T]):
    """A statement whose one answer, of one row at most, is read as a `type_`; made once, at import."""

    def __init__(
        self,
        type_: type[T],
        content: ColumnElement[str],
        source: FromClause,
        *conditions: ColumnElement[bool],
    ) -> None:
        statement = select(cast(content, _ANSWER)).select_from(source).where(*conditions)
        self._statement = cloned_traverse(statement, {}, {"bindparam": _literal})
        self._decoder = msgspec.json.Decoder(type_)
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def query(self, dialect: Dialect, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL and its parameters in their order. KeyError where a value is missing."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = self._compile(dialect)
        sql, names, own = known
        return sql, [values[name] if name in values else own[name] for name in names]

    def read(self, answer: str | bytes) -> T:
        """Raises: msgspec.ValidationError, where the statement does not say what the type asks for."""
        return self._decoder.decode(answer)

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        compiled = self._statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)
        # SQLite's compiler adds an OFFSET of its own.
        own = {name: value for name, value in compiled.params.items() if value is not None}
        return str(compiled), tuple(compiled.positiontup or ()), own


def _literal(bound: BindParameter[Any]) -> None:
    """Our own constants are written out: SQLite compiles a statement anew each time it is given a value that decided
    whether a partial index will do, and PostgreSQL's kept plans do without such an index.
    """
    bound.literal_execute = not bound.required
    # What is to be given has no value yet, and needs none to be compiled.
    bound.required = False


def object_of(
    columns: Mapping[str, ColumnElement[Any]] | Iterable[ColumnElement[Any]] = (),
    /,
    **more: ColumnElement[Any],
) -> ColumnElement[str]:
    """An object with each column under its own name or the one given."""
    named = columns if isinstance(columns, Mapping) else {str(column.key): column for column in columns}
    return _Object(*_pairs({**named, **more}))


def list_of(rows: Select[Any]) -> ColumnElement[str]:
    """The rows of a query as a list of objects, in their order. It cannot speak of the tables around it."""
    inner = rows.subquery()
    return select(_List(object_of(inner.c))).select_from(inner).scalar_subquery()


def one_of(content: ColumnElement[str], *conditions: ColumnElement[bool]) -> ColumnElement[str]:
    """The object made of the one row that fulfils the conditions, or null."""
    return select(content).where(*conditions).scalar_subquery()


def _pairs(columns: Mapping[str, ColumnElement[Any]]) -> Iterator[ColumnElement[Any]]:
    for name, column in columns.items():
        # A name is ours, and a parameter would have no type that PostgreSQL could tell.
        yield literal_column(f"'{name}'")
        yield _Value(column)


class _Part(Text):
    """The type of what is a document itself: from a query SQLite takes it for a text."""


class _Object(FunctionElement[str]):
    inherit_cache = True
    type = _Part()


class _List(FunctionElement[str]):
    inherit_cache = True
    type = _Part()


class _Value(FunctionElement[Any]):
    """A column as JSON has it: SQLite keeps moments without their zone, and neither truth values nor JSON."""

    inherit_cache = True
    type = Text()


@compiles(_Object)
def _postgres_object(element: _Object, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_build_object({compiler.process(element.clauses, **options)})"


@compiles(_Object, "sqlite")
def _sqlite_object(element: _Object, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **options)})"


@compiles(_List)
def _postgres_list(element: _List, compiler: SQLCompiler, **options: Any) -> str:
    return f"coalesce(json_agg({compiler.process(element.clauses, **options)}), '[]')"


@compiles(_List, "sqlite")
def _sqlite_list(element: _List, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


@compiles(_Value)
def _postgres_value(element: _Value, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    value = compiler.process(column, **options)
    return f"({value})::json" if isinstance(column.type, Json) else value


@compiles(_Value, "sqlite")
def _sqlite_value(element: _Value, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    value = compiler.process(column, **options)
    match column.type:
        case Moment():
            return f"({value}) || 'Z'"
        case _Part() if isinstance(column, _Object):
            return value
        case Json() | _Part():
            return f"json({value})"
        case Boolean():
            return f"json(case {value} when 1 then 'true' when 0 then 'false' end)"
        case _:
            return value
