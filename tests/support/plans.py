"""How a database means to find what a query asks for."""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine


def plan_of(conn: Connection, query: Callable[[Connection], Any]) -> str:
    """The plans of all statements that `query` runs, as text. Call it in a transaction that may write.

    PostgreSQL is asked how it would go about it if reading a small table whole were not cheaper.
    """
    statements: list[tuple[str, Any]] = []

    def remember(_conn: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        query(conn)
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
    explain = "EXPLAIN" if conn.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    lines: list[str] = []
    for statement, parameters in statements:
        lines += [str(row[-1]) for row in conn.exec_driver_sql(f"{explain} {statement}", parameters)]
    return "\n".join(lines)


def gather_statistics(conn: Connection) -> None:
    """What PostgreSQL does by itself now and then, and nobody does for SQLite."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("ANALYZE")


def reads_a_whole_table(plan: str) -> bool:
    return re.search(r"Seq Scan|^SCAN ", plan, re.MULTILINE) is not None
