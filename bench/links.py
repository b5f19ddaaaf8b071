"""One-time links opened and used up, among a thousand of them and among a million."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import choice
from statistics import median
from time import perf_counter

from sqlalchemy import select
from sqlalchemy.engine import Connection

from bench.bars import Bar, below
from bench.rows import copy_rows
from bench.served import place
from tests.support.postgres import postgres_server
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import digest
from web.loyalty.link import find_link, one_time_link, use_link
from web.loyalty.program import program
from web.migrations import with_connection

FEW, MANY = 1_000, 1_000_000
# A link is used once: the few must last for all rounds.
ROUNDS, EACH_ROUND = 5, 60
BAR = 1.3


def run(long: bool) -> list[Bar]:
    """The growth of the middle time, on both databases."""
    rounds = ROUNDS * (3 if long else 1)
    bars = []
    for name, pair in (("SQLite", _on_sqlite), ("PostgreSQL", _on_postgres)):
        with pair() as (few, many):
            growth = asyncio.run(_growth(few, many, rounds))
        bars.append(below(f"a link opened and used, {MANY:,} against {FEW:,} on {name}", growth, BAR))
    return bars


@contextmanager
def _on_sqlite() -> Iterator[tuple[str, str]]:
    with place() as here:
        yield _filled(here.sqlite("few"), FEW), _filled(here.sqlite("many"), MANY)


@contextmanager
def _on_postgres() -> Iterator[tuple[str, str]]:
    # Without waiting for the disk: its time is the same for both and would hide a difference.
    with place() as here, postgres_server() as server, server.fresh() as few, server.fresh() as many:
        yield _filled(here.filled(few), FEW), _filled(here.filled(many), MANY)


def _filled(url: str, links: int) -> str:
    with_connection(url, lambda conn: _insert_links(conn, links))
    if url.startswith("postgresql"):
        # As the server does by itself after such a load, only not in the middle of a measurement.
        with_connection(url, lambda conn: conn.exec_driver_sql("analyze one_time_link"))
        with_connection(url, lambda conn: conn.exec_driver_sql("checkpoint"))
    return url


def _insert_links(conn: Connection, links: int) -> None:
    """Unused links whose codes are their numbers, so that any can be opened."""
    program_id, now = conn.scalar(select(program.c.id).where(program.c.slug == "brewbar")), utc_now()
    customers = [new_id() for _ in range(links // 10)]
    ends = now + timedelta(days=7)
    columns = "program_id", "jti_hash", "customer_id", "purpose", "uses", "most_uses", "utm", "created_by"
    rows = (
        (program_id, digest(str(number)), choice(customers), "download", 0, 1, "{}", "bench", now, ends)
        for number in range(links)
    )
    copy_rows(conn, one_time_link, (*columns, "created_at", "expires_at"), rows)


async def _growth(few_url: str, many_url: str, rounds: int) -> float:
    few, many = open_database(few_url), open_database(many_url)
    try:
        program_ids = [await each.read(_program_id) for each in (few, many)]
        await _middle_time(few, program_ids[0], range(EACH_ROUND))
        await _middle_time(many, program_ids[1], range(EACH_ROUND))
        # Links of the whole range, not neighbours: what is near each other in the table is read at once.
        growths = []
        for number in range(1, rounds + 1):
            start = number * EACH_ROUND
            fast = await _middle_time(few, program_ids[0], range(start, start + EACH_ROUND))
            slow = await _middle_time(many, program_ids[1], range(start, MANY, MANY // EACH_ROUND))
            growths.append(slow / fast)
        return median(growths)
    finally:
        await few.close()
        await many.close()


async def _middle_time(database: Database, program_id: str, numbers: range) -> float:
    """Seconds to look at a link and then use it up."""
    times = []
    for number in numbers:
        started = perf_counter()
        link = await database.read(find_link, program_id, str(number), "download")
        used = await database.write(use_link, program_id, str(number), "download")
        times.append(perf_counter() - started)
        if link is None or used is None:
            raise RuntimeError(f"link {number} was not there or not good")
    return median(times)


def _program_id(conn: Connection) -> str:
    return str(conn.scalar(select(program.c.id).where(program.c.slug == "brewbar")))
