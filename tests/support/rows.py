"""Looking into a test's database from outside the program: plain rows, on either database."""

import asyncio
import threading
from typing import Any

from sqlalchemy import select

from web.migrations import with_connection
from web.tables import metadata


def rows_of(database_url: str, table: str, **where: Any) -> list[dict[str, Any]]:
    """A table's rows as mappings, oldest first where the table has an `at`, `created_at` or `id`."""
    chosen = metadata.tables[table]
    query = select(chosen)
    for name, value in where.items():
        query = query.where(chosen.c[name] == value)
    order = [chosen.c[name] for name in ("at", "created_at", "id") if name in chosen.c]
    rows: list[dict[str, Any]] = in_database(
        database_url, lambda conn: [dict(row._mapping) for row in conn.execute(query.order_by(*order))]
    )
    return rows


def in_database(database_url: str, work: Any) -> Any:
    """Run `work(conn)` in a transaction of its own; may be called inside a running event loop."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(with_connection(database_url, work))
        except Exception as error:
            outcome.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
