"""The port to both databases: what a caller may rely on, also when many come at once or the database goes away."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, event, literal, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.conftest import Fresh
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.rows import in_database
from web.foundation.database import Database, DatabaseBusy, DatabaseUnreachable, open_database
from web.foundation.document import Document, list_of


@pytest.fixture
def database_url(database_url: str) -> str:
    """Besides the demo, a table of numbers, and one whose rule is looked at only by the COMMIT."""

    def make(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)"))
        conn.execute(text("INSERT INTO number VALUES (-1)"))
        conn.execute(
            text(
                "CREATE TABLE claim (n INTEGER NOT NULL REFERENCES number (n) DEFERRABLE INITIALLY DEFERRED)"
            )
        )

    in_database(database_url, make)
    return database_url


def add(conn: Connection, n: int) -> int:
    conn.execute(text("INSERT INTO number VALUES (:n)"), {"n": n})
    return n


def numbers(conn: Connection) -> list[int]:
    return [row.n for row in conn.execute(text("SELECT n FROM number WHERE n >= 0 ORDER BY n"))]


def break_a_promise(conn: Connection) -> None:
    """Violates a rule that the database checks at the commit."""
    conn.execute(text("INSERT INTO claim VALUES (12345)"))


@contextlib.contextmanager
def counted_commits() -> Iterator[list[float]]:
    commits: list[float] = []

    def count(_conn: Connection) -> None:
        commits.append(time.monotonic())

    event.listen(Engine, "commit", count)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", count)


async def test_what_is_written_is_read(database: Database) -> None:
    assert await database.write(add, 7) == 7
    assert await database.read(numbers) == [7]
    assert await database.read_slow(numbers) == [7]


async def test_a_unit_takes_its_arguments_by_name_too(database: Database) -> None:
    assert await database.write(add, n=3) == 3


async def test_the_way_for_reading_writes_nothing_on_sqlite(fresh_database: Fresh) -> None:
    database = open_database(fresh_database("sqlite"))
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda conn: conn.execute(text("DELETE FROM customer")))
    await database.close()


async def test_many_writes_share_few_commits(database: Database) -> None:
    with counted_commits() as commits:
        results = await asyncio.gather(*(database.write(add, n) for n in range(300)))
    assert results == list(range(300))
    assert await database.read(numbers) == list(range(300))
    assert len(commits) <= 60


async def test_a_unit_that_fails_leaves_no_trace_and_takes_nobody_along(database: Database) -> None:
    def add_and_fail(conn: Connection, n: int) -> None:
        add(conn, n)
        raise RuntimeError(f"no to {n}")

    units = [database.write(add_and_fail if n % 10 == 5 else add, n) for n in range(100)]
    results = await asyncio.gather(*units, return_exceptions=True)
    for n, result in enumerate(results):
        if n % 10 == 5:
            assert isinstance(result, RuntimeError)
            assert str(result) == f"no to {n}"
        else:
            assert result == n
    assert await database.read(numbers) == [n for n in range(100) if n % 10 != 5]


async def test_a_rule_of_the_database_fails_only_who_breaks_it(database: Database) -> None:
    results = await asyncio.gather(*(database.write(add, n // 2) for n in range(40)), return_exceptions=True)
    assert sum(isinstance(result, IntegrityError) for result in results) == 20
    assert await database.read(numbers) == list(range(20))


async def test_nobody_hears_of_success_before_the_commit(database: Database) -> None:
    heard: list[str] = []

    def committing(_conn: Connection) -> None:
        heard.append("commit")

    event.listen(Engine, "commit", committing)
    try:
        await database.write(add, 1)
        heard.append("answer")
    finally:
        event.remove(Engine, "commit", committing)
    assert heard == ["commit", "answer"]


async def test_a_commit_that_fails_reaches_its_caller(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(break_a_promise)
    assert await database.write(add, 1) == 1


async def test_a_commit_that_fails_takes_nobody_along(database: Database) -> None:
    units = [database.write(add, n) for n in range(20)]
    results = await asyncio.gather(
        *units[:10], database.write(break_a_promise), *units[10:], return_exceptions=True
    )
    assert isinstance(results[10], IntegrityError)
    assert results[:10] + results[11:] == list(range(20))
    assert await database.read(numbers) == list(range(20))


async def test_a_failing_commit_of_a_whole_batch_is_told_to_everyone(database: Database) -> None:
    def refuse(_conn: Connection) -> None:
        raise RuntimeError("the disk is gone")

    event.listen(Engine, "commit", refuse)
    try:
        results = await asyncio.gather(*(database.write(add, n) for n in range(30)), return_exceptions=True)
    finally:
        event.remove(Engine, "commit", refuse)
    assert {type(result) for result in results} == {RuntimeError}, results
    assert await database.read(numbers) == []
    assert await database.write(add, 1) == 1


async def test_a_caller_who_goes_away_disturbs_nobody(database: Database) -> None:
    tasks = [asyncio.create_task(database.write(add, n)) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == list(range(1, 50, 2))
    assert await database.write(add, 100) == 100


async def test_closing_waits_for_what_was_begun(database_url: str) -> None:
    database = open_database(database_url)
    tasks = [asyncio.create_task(database.write(add, n)) for n in range(200)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*tasks) == list(range(200))
    assert in_database(database_url, numbers) == list(range(200))


async def test_an_error_does_not_quote_what_a_person_typed(database: Database) -> None:
    def fail(conn: Connection) -> None:
        conn.execute(text("INSERT INTO nowhere VALUES (:email)"), {"email": "ana@example.com"})

    with pytest.raises(Exception, match="nowhere") as caught:
        await database.write(fail)
    assert "ana@example.com" not in str(caught.value)


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mysql is not a database that Pasito knows"):
        open_database("mysql://localhost/pasito")


def test_sqlite_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="SQLite needs a file"):
        open_database("sqlite://")


# One process on an SQLite file


async def test_a_second_server_on_one_file_is_refused_and_a_command_is_not(fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    serving = open_database(url, serving=True)
    with pytest.raises(DatabaseBusy, match="in use by another Pasito process"):
        open_database(url, serving=True)
    command = open_database(url)
    assert isinstance(
        await command.read(lambda conn: conn.scalar(text("SELECT count(*) FROM customer"))), int
    )
    await command.close()
    await serving.close()
    after = open_database(url, serving=True)
    await after.close()


def test_a_process_that_was_killed_leaves_no_lock(fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    code = (
        "import sys, time; from web.foundation.database import open_database; "
        f"db = open_database({url!r}, serving=True); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DatabaseBusy):
            open_database(url, serving=True)
        process.kill()
    asyncio.run(open_database(url, serving=True).close())


async def test_a_file_that_another_process_writes_to_is_waited_for(fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    database = open_database(url)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE number (n INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    assert await database.write(add, 1) == 1
    await database.close()
    other.close()


async def test_a_file_that_stays_locked_is_told_of_to_all_and_then_used_again(fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    database = open_database(url)
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("CREATE TABLE number (n INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(database.write(add, n) for n in range(5)), return_exceptions=True)
    assert all(isinstance(result, DatabaseUnreachable) for result in results)
    other.execute("ROLLBACK")
    assert await database.write(add, 1) == 1
    await database.close()
    other.close()


async def test_every_commit_is_flushed_to_the_disk_on_sqlite(fresh_database: Fresh) -> None:
    database = open_database(fresh_database("sqlite"))

    def pragmas(conn: Connection) -> tuple[str, int]:
        return conn.exec_driver_sql("pragma journal_mode").scalar_one(), conn.exec_driver_sql(
            "pragma synchronous"
        ).scalar_one()

    assert await database.write(pragmas) == ("wal", 2)
    await database.close()


# A PostgreSQL that contradicts and goes away


async def test_a_deadlock_is_tried_again_and_nobody_notices(fresh_database: Fresh) -> None:
    url = fresh_database("postgresql")
    database = open_database(url)
    await database.write(
        lambda conn: conn.execute(text("CREATE TABLE pot (id INTEGER PRIMARY KEY, n INTEGER)"))
    )
    await database.write(lambda conn: conn.execute(text("INSERT INTO pot VALUES (1, 0), (2, 0)")))
    runs: list[int] = []

    def pour(conn: Connection, first: int, then: int) -> None:
        runs.append(first)
        conn.execute(text("UPDATE pot SET n = n + 1 WHERE id = :id"), {"id": first})
        conn.execute(text("SELECT pg_sleep(0.2)"))
        conn.execute(text("UPDATE pot SET n = n + 1 WHERE id = :id"), {"id": then})

    one = asyncio.create_task(database.write(pour, 1, 2))
    await asyncio.sleep(0.05)  # so that they do not share a transaction
    await asyncio.gather(one, database.write(pour, 2, 1))
    assert len(runs) > 2
    assert await database.read(lambda conn: conn.scalar(text("SELECT sum(n) FROM pot"))) == 4
    await database.close()


async def test_connections_that_were_cut_are_not_noticed(
    fresh_database: Fresh, postgres: PostgresServer
) -> None:
    url = fresh_database("postgresql")
    database = open_database(url)
    await database.write(lambda conn: conn.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)")))
    await asyncio.gather(
        *(database.read(numbers) for _ in range(30)), *(database.write(add, n) for n in range(9))
    )
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'"
    assert int(postgres.sql(cut.format(url.rsplit("/")[-1]))) > 4
    assert await database.read(numbers) == list(range(9))
    assert await database.write(add, 9) == 9
    await asyncio.gather(
        *(database.read(numbers) for _ in range(30)), *(database.write(add, n) for n in range(10, 30))
    )
    await database.close()


async def test_a_connection_that_is_cut_in_the_middle_keeps_nothing_and_is_tried_again(
    fresh_database: Fresh, postgres: PostgresServer
) -> None:
    database = open_database(fresh_database("postgresql"))
    await database.write(lambda conn: conn.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)")))
    runs: list[int] = []

    def add_and_be_cut(conn: Connection) -> None:
        add(conn, 1)
        runs.append(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
        if len(runs) == 1:
            postgres.sql(f"SELECT pg_terminate_backend({runs[0]})")
        add(conn, 2)

    await database.write(add_and_be_cut)
    assert len(runs) == 2
    assert await database.read(numbers) == [1, 2]
    await database.close()


async def test_a_commit_without_an_answer_is_not_tried_again(
    fresh_database: Fresh, postgres: PostgresServer
) -> None:
    """It may have been kept, and what a unit did must not be done twice."""
    database = open_database(fresh_database("postgresql"))
    await database.write(lambda conn: conn.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)")))
    runs: list[int] = []

    def work(conn: Connection, n: int) -> None:
        add(conn, n)
        runs.append(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())

    def cut(_conn: Connection) -> None:
        postgres.sql(f"SELECT pg_terminate_backend({runs[-1]})")
        time.sleep(0.1)

    event.listen(Engine, "commit", cut)
    try:
        with pytest.raises(DatabaseUnreachable, match="during the commit"):
            await database.write(work, 1)
    finally:
        event.remove(Engine, "commit", cut)
    assert len(runs) == 1
    assert await database.write(add, 2) == 2
    await database.close()


class Number(msgspec.Struct, frozen=True):
    n: int


number = Table("number", MetaData(), Column("n", Integer))
ONES = Document(list[Number], list_of(select(number).where(number.c.n == 1)), select(literal(1)).subquery())


async def test_a_server_that_is_away_is_said_to_be_and_found_again_when_it_is_back() -> None:
    with postgres_server() as server:
        database = open_database(server.url())
        await database.write(lambda conn: conn.execute(text("CREATE TABLE number (n INTEGER PRIMARY KEY)")))
        await database.write(add, 1)
        assert await database.ask(ONES) == [Number(1)]
        server.stop()
        with pytest.raises(DatabaseUnreachable):
            await database.read(numbers)
        with pytest.raises(DatabaseUnreachable):
            await database.ask(ONES)
        results = await asyncio.gather(*(database.write(add, n) for n in range(2, 9)), return_exceptions=True)
        assert all(isinstance(result, DatabaseUnreachable) for result in results)
        server.start()
        assert await database.read(numbers) == [1]
        assert await database.ask(ONES) == [Number(1)]
        server.stop()
        server.start()
        # Left over from before, and nobody's trouble.
        assert await asyncio.gather(*(database.ask(ONES) for _ in range(20))) == [[Number(1)]] * 20
        assert await database.write(add, 2) == 2
        await database.close()
