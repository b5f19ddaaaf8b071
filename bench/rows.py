"""Many rows at once, by the quickest way that each database has."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection


def copy_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    """Rows past SQLAlchemy, whose types are not asked: JSON comes as text."""
    driver: Any = conn.connection.dbapi_connection
    if conn.dialect.name == "postgresql":
        driver.run_async(lambda raw: raw.copy_records_to_table(table.name, records=rows, columns=columns))
        return
    # Moments as SQLAlchemy writes them, so that they sort and compare with its own.
    marks = ", ".join("?" * len(columns))
    plain = (
        tuple(f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value for value in row)
        for row in rows
    )
    driver.executemany(f"insert into {table.name} ({', '.join(columns)}) values ({marks})", plain)
