"""One port to SQLite and PostgreSQL.

A unit of work is a plain function `unit(conn, *args)` of a SQLAlchemy Core connection. It does nothing but SQL,
returns plain values, and may be run again: after a serialisation failure, or when another unit of the
same batch failed. What it returns reaches the caller only after the commit.

Writes are committed in groups. Units that wait while a commit is on its way share the next one, so that a durable
write costs a fraction of a disk flush when many come at once, and no more than one when they come alone.
A unit that raises takes nobody with it: its batch is rolled back and every unit is run in a transaction of its own.
A database that goes away takes the whole batch: nobody knows what a commit without an answer kept, so no unit of it
is run again. Units that do the same may go further and share their statements too: see `write_together`.
"""

import asyncio
import contextlib
import fcntl
import queue
import random
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, Protocol, TypeVar

import asyncpg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from web.foundation.asking import Asker
from web.foundation.document import Document
from web.foundation.waiting import Item, Units, Waiting, run_batch

P = ParamSpec("P")
T = TypeVar("T")
Unit = Callable[Concatenate[Connection, P], T]

LARGEST_BATCH = 64
# Serialisation failure and deadlock: the database says "again", and so we do.
TRY_AGAIN = {"40001", "40P01"}
TRIES = 8
CONNECT_SECONDS = 5


class DatabaseBusy(Exception):
    """Another process writes to this SQLite file; one process at a time may."""


class DatabaseUnreachable(Exception):
    """The database did not answer. A write whose very commit was cut off may or may not have been kept."""


class _ConnectionCut(DatabaseUnreachable):
    """The connection was dead or died before the commit: nothing was kept."""


class Database(Protocol):
    """What both databases offer. `read` is for what a page needs, `read_slow` for reports and exports."""

    dialect: str

    async def read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def read_slow(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def ask(self, document: Document[T], **values: Any) -> T | None:
        """A whole page's rows by one statement, past all that SQLAlchemy does for each; None for no row."""
        ...

    async def write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def write_together(self, units: Units[Item, T], item: Item) -> T:
        """Like `write`, for what costs little more for many than for one: the items that wait for the same
        commit are given to one call of `units(conn, items)`, which answers each in its place."""
        ...

    async def close(self) -> None: ...


class SqliteDatabase:
    """SQLite in one process: reads inline on the event loop, writes by one thread with group commit.

    Reads take some tens of microseconds, less than handing them to a thread would. `synchronous=FULL` makes
    every acknowledged write survive a power cut; the group commit pays for it.
    """

    dialect = "sqlite"

    def __init__(self, url: str | URL, *, serving: bool = False, largest_batch: int = LARGEST_BATCH) -> None:
        self._url = make_url(url)
        self._largest_batch = largest_batch
        _make_folder(self._url)
        # A command beside the server writes a row now and then and may wait for it; a second server may not.
        self._lock = _claim_file(self._url) if serving else None
        self._writer_engine = self._engine(read_only=False)
        self._reader_engine = self._engine(read_only=True)
        self._reader = self._reader_engine.connect()
        self._asker: sqlite3.Connection = self._reader.connection.dbapi_connection  # type: ignore[assignment]
        self._slow = ThreadPoolExecutor(2, "sqlite-report")
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_for_ever, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with _usable_file():
            return unit(self._reader, *args, **kwargs)

    async def ask(self, document: Document[T], **values: Any) -> T | None:
        sql, given = document.query(
            self._reader.dialect, {name: _stored(value) for name, value in values.items()}
        )
        with _usable_file():
            row = self._asker.execute(sql, given).fetchone()
        return None if row is None else document.read(row[0])

    async def read_slow(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def report() -> T:
            with _usable_file(), self._reader_engine.connect() as conn:
                return unit(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._slow, report)

    async def write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.write_together(lambda conn, _: [unit(conn, *args, **kwargs)], None)

    async def write_together(self, units: Units[Item, T], item: Item) -> T:
        waiting = Waiting(units, item)
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._slow.shutdown()
        self._reader.close()
        self._reader_engine.dispose()
        self._writer_engine.dispose()
        if self._lock is not None:
            self._lock.close()

    def _engine(self, *, read_only: bool) -> Engine:
        # Parameters are people's data, and an error's text ends up in logs.
        engine = create_engine(
            self._url, hide_parameters=True, **({"isolation_level": "AUTOCOMMIT"} if read_only else {})
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in (
                "journal_mode=wal",
                "synchronous=full",
                "foreign_keys=on",
                "busy_timeout=5000",
                "cache_size=-65536",
                # A table that outgrows the cache is read from the system's own pages, without a copy each time.
                "mmap_size=1073741824",
                "temp_store=memory",
                "trusted_schema=off",
                *(("query_only=on",) if read_only else ()),
            ):
                connection.execute(f"pragma {pragma}")

        if not read_only:
            # A deferred BEGIN that first reads and then writes fails with "database is locked" without waiting.
            event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def _write_for_ever(self) -> None:
        with self._writer_engine.connect() as conn:
            while (first := self._queue.get()) is not None:
                batch: list[Waiting] = [first]
                while len(batch) < self._largest_batch:
                    try:
                        more = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if more is None:
                        self._queue.put(None)
                        break
                    batch.append(more)
                for waiting, value, error in _commit_batch(conn, batch):
                    with contextlib.suppress(RuntimeError):  # its event loop has ended
                        waiting.loop.call_soon_threadsafe(waiting.settle, value, error)


def _commit_batch(conn: Connection, batch: list[Waiting]) -> list[tuple[Waiting, Any, BaseException | None]]:
    try:
        with _usable_file(), conn.begin():
            values = run_batch(conn, batch)
        return [(waiting, value, None) for waiting, value in zip(batch, values, strict=True)]
    except Exception as error:
        # A COMMIT that fails leaves SQLite's transaction open, and SQLAlchemy believes that it is over.
        conn.connection.rollback()
        if len(batch) == 1 or isinstance(error, DatabaseUnreachable):
            return [(waiting, None, error) for waiting in batch]
    return [outcome for waiting in batch for outcome in _commit_batch(conn, [waiting])]


def _stored(value: Any) -> Any:
    """A parameter as SQLite keeps it: moments in UTC, without their zone."""
    return value.isoformat(" ", "microseconds")[:26] if type(value) is datetime else value


@contextmanager
def _usable_file() -> Iterator[None]:
    try:
        yield
    except (OperationalError, sqlite3.OperationalError) as error:
        reason = str(getattr(error, "orig", error))
        if re.search("disk|locked|unable to open", reason):
            raise DatabaseUnreachable(reason) from error
        raise


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file: a database in memory is another one for each connection")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _claim_file(url: URL) -> IO[str]:
    """Hold a lock beside the file while we live: two serving processes would wait for each other's commits."""
    lock = Path(f"{url.database}.lock").open("w")  # noqa: SIM115 - held until close
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DatabaseBusy(f"{url.database} is in use by another Pasito process") from None
    return lock


class PostgresDatabase:
    """PostgreSQL through asyncpg: reads without a transaction's two extra trips, writes in group commits.

    Each of a few lanes takes what waits, runs it in one transaction and commits it. The lanes share one queue,
    so a lone write never waits behind a batch while a lane is free.
    """

    dialect = "postgresql"

    def __init__(
        self,
        url: str | URL,
        *,
        askers: int = 6,
        readers: int = 6,
        lanes: int = 4,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        url = _asyncpg_url(make_url(url))
        self._largest_batch = largest_batch
        # Parameters are people's data, and an error's text ends up in logs.
        common: dict[str, Any] = {
            "max_overflow": 0,
            "hide_parameters": True,
            "connect_args": {"timeout": CONNECT_SECONDS},
        }
        self._reader: AsyncEngine = create_async_engine(
            url, pool_size=readers, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **common
        )
        self._writer: AsyncEngine = create_async_engine(
            url, pool_size=lanes, isolation_level="READ COMMITTED", **common
        )
        self._asker = Asker(self._reader.dialect, url, CONNECT_SECONDS)
        self._turn_to_ask = asyncio.Semaphore(askers)
        # SQLAlchemy's own pool wakes its waiters unfairly when there are more of them than connections.
        self._turn = asyncio.Semaphore(readers)
        self._waiting: list[Waiting] = []
        self._free_lanes = lanes
        self._running: set[asyncio.Task[None]] = set()

    async def read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn:
            try:
                return await self._read(unit, *args, **kwargs)
            except _ConnectionCut:
                # Left over from before the server was started again; the pool has thrown all of those away.
                return await self._read(unit, *args, **kwargs)

    read_slow = read

    async def ask(self, document: Document[T], **values: Any) -> T | None:
        sql, given = document.query(self._reader.dialect, values)
        async with self._turn_to_ask, _reachable():
            answer = await self._asker.ask(sql, given)
        return None if answer is None else document.read(answer)

    async def write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.write_together(lambda conn, _: [unit(conn, *args, **kwargs)], None)

    async def write_together(self, units: Units[Item, T], item: Item) -> T:
        waiting = Waiting(units, item)
        self._waiting.append(waiting)
        if self._free_lanes:
            self._free_lanes -= 1
            task = asyncio.create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        result: T = await waiting.future
        return result

    async def close(self) -> None:
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)
        await self._asker.close()
        await self._reader.dispose()
        await self._writer.dispose()

    async def _read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with _reachable(), self._reader.connect() as conn:
            return await conn.run_sync(unit, *args, **kwargs)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                most = self._largest_batch
                batch, self._waiting[:most] = self._waiting[:most], []
                await self._commit(batch)
        finally:
            self._free_lanes += 1

    async def _commit(self, batch: list[Waiting]) -> None:
        for attempt in range(TRIES):
            try:
                values = await self._transact(batch)
            except Exception as error:
                if isinstance(error, _ConnectionCut) and attempt == 0:
                    continue
                if len(batch) > 1 and not isinstance(error, DatabaseUnreachable):
                    for waiting in batch:
                        await self._commit([waiting])
                    return
                if _sqlstate(error) in TRY_AGAIN and attempt + 1 < TRIES:
                    await asyncio.sleep(random.random() * 0.01 * 2**attempt)  # noqa: S311
                    continue
                for waiting in batch:
                    waiting.settle(None, error)
                return
            except BaseException as error:
                for waiting in batch:
                    waiting.settle(None, error)
                raise
            for waiting, value in zip(batch, values, strict=True):
                waiting.settle(value, None)
            return

    async def _transact(self, batch: list[Waiting]) -> list[Any]:
        async with _reachable(), self._writer.connect() as conn:
            values = await conn.run_sync(run_batch, batch)
            try:
                await conn.commit()
            except Exception as error:
                cut = isinstance(error, DBAPIError) and error.connection_invalidated
                # Whatever this connection is in the middle of, nobody shall go on with it.
                await conn.invalidate()
                if cut:
                    raise DatabaseUnreachable("the connection broke during the commit") from error
                raise
            return values


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (TimeoutError, OSError) as error:
        raise DatabaseUnreachable(str(error)) from error
    except (DBAPIError, asyncpg.PostgresError) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise _ConnectionCut(str(error.orig)) from error
        state = _sqlstate(error) or ""
        # Class 08 is a lost connection, 57P a server going down or coming up, 53 out of resources.
        if state[:2] in ("08", "53") or state[:3] == "57P":
            raise DatabaseUnreachable(str(error)) from error
        raise


def _sqlstate(error: BaseException) -> str | None:
    origin = getattr(error, "orig", error)
    state = getattr(origin, "sqlstate", None) or getattr(getattr(origin, "__cause__", None), "sqlstate", None)
    return str(state) if state else None


def _asyncpg_url(url: URL) -> URL:
    return url.set(drivername="postgresql+asyncpg")


def open_database(url: str | URL, *, serving: bool = False, largest_batch: int = LARGEST_BATCH) -> Database:
    """The database that a `DATABASE_URL` names: `sqlite:///path` or `postgresql://user@host/name`.

    For PostgreSQL it must be called inside the running event loop that will use it. `largest_batch` is how many
    units may share one commit; 1 is for measuring what the sharing is worth.

    Raises:
        DatabaseBusy: the SQLite file is held by another process.
        ValueError: the address names another kind of database.
    """
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return SqliteDatabase(parsed, serving=serving, largest_batch=largest_batch)
        case "postgresql":
            return PostgresDatabase(parsed, largest_batch=largest_batch)
        case other:
            raise ValueError(f"{other} is not a database that Pasito knows: use sqlite:/// or postgresql://")
