"""One open connection to a test's database, for tests of thousands of small steps; nothing of it is ever committed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")


class Desk:
    """Runs units of work one after the other; each that fails leaves nothing behind."""

    def __init__(self, run: Callable[[Callable[[Connection], Any]], Any]) -> None:
        self._run = run

    def do(self, work: Callable[[Connection], T]) -> T:
        def in_savepoint(conn: Connection) -> T:
            with conn.begin_nested():
                return work(conn)

        result: T = self._run(in_savepoint)
        return result

    def forget(self) -> None:
        """Let everything be as it was at first."""

        def start_again(conn: Connection) -> None:
            conn.rollback()
            conn.begin()

        self._run(start_again)


@contextmanager
def open_desk(url: str) -> Iterator[Desk]:
    """Must not be called inside a running event loop."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, poolclass=NullPool)

        @event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
        with engine.connect() as conn:
            conn.begin()
            yield Desk(lambda work: work(conn))
            conn.rollback()
        return
    with asyncio.Runner() as runner:
        through = create_async_engine(parsed.set(drivername="postgresql+asyncpg"), poolclass=NullPool)
        opened = through.connect()
        conn_of_postgres = runner.run(opened.start())
        runner.run(conn_of_postgres.run_sync(lambda conn: conn.begin()))
        yield Desk(lambda work: runner.run(conn_of_postgres.run_sync(work)))
        runner.run(conn_of_postgres.close())
        runner.run(through.dispose())
