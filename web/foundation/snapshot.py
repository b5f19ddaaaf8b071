"""The whole database as it is at one moment, for reports that take long and must not make anybody wait."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")


def with_snapshot(url: str, look: Callable[[Connection], T]) -> T:
    """Let `look` read in one transaction that sees nothing of what others write meanwhile.

    For commands; must not be called inside a running event loop.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True)

        @event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: object, _record: object) -> None:
            connection.isolation_level = None  # type: ignore[attr-defined]

        # A deferred transaction of a file in WAL mode keeps its view, and locks nobody out.
        event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))
        with engine.begin() as conn:
            return look(conn)

    async def through_asyncpg() -> T:
        through = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            poolclass=NullPool,
            hide_parameters=True,
            isolation_level="REPEATABLE READ",
        )
        try:
            async with through.begin() as conn:
                return await conn.run_sync(look)
        finally:
            await through.dispose()

    return asyncio.run(through_asyncpg())
