"""The clock: what becomes due by the passing of time alone is done by whichever worker looks first.

A chore says what is due and how one of those is done. Each is done in a transaction of its own that locks and reads
again, so that it may be done twice without harm; a lease on the chore keeps several workers from all trying at once.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import Column, Integer, String, Table, select, update
from sqlalchemy.engine import Connection

from web.foundation.database import Database, DatabaseUnreachable
from web.foundation.metrics import Metrics
from web.foundation.schema import Moment, insert_or_skip, metadata, utc_now
from web.loyalty.program import Program, program
from web.loyalty.programs import Programs

log = structlog.get_logger("clock")

LOOK_SECONDS = 10.0
# As many share a commit; each is a millisecond or two in which nobody else writes to a SQLite file.
BATCH = 16
# A chore with more to do lets the others have a turn first.
MOST = 2000
# Longer than any turn takes; whoever dies in the middle of one is followed by somebody else after it.
LEASE = timedelta(minutes=3)
TURN = timedelta(minutes=1)

# When each chore is due next, and what came of it last. Of the installation, not of a programme.
clock_run = Table(
    "clock_run",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("due_at", Moment, nullable=False),
    Column("leased_until", Moment),
    Column("ran_at", Moment),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
)

# A programme's id, and whose or what it is in there: a customer's id, a reservation's, the programme's own.
Due = tuple[str, str]


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    """Something that becomes due. `find(conn, now, most)` names up to `most` that are, the most urgent first, and
    does not name again what is done; `do(conn, program, which, now)` does one, and nothing where it is done already.
    """

    name: str
    find: Callable[[Connection, datetime, int], list[Due]]
    do: Callable[[Connection, Program, str, datetime], object]
    every: timedelta = timedelta(minutes=1)


class Turn(msgspec.Struct, kw_only=True):
    """What came of one turn of a chore. Not `is_finished`: there was more to do than one turn is for."""

    done: int = 0
    failed: int = 0
    is_finished: bool = True


def every_program(conn: Connection, _now: datetime, _most: int) -> list[Due]:
    """For chores that look through each programme themselves."""
    return [(each, each) for each in conn.scalars(select(program.c.id).order_by(program.c.id))]


@dataclass
class Clock:
    """Does the chores until it is stopped. Any number may run at once."""

    database: Database
    programs: Programs
    metrics: Metrics
    chores: tuple[Chore, ...]
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Do what is due, again and again, until `stop`; a database that is away is waited for."""
        while not self._stopping.is_set():
            try:
                await self.do_what_is_due()
            except DatabaseUnreachable:
                log.warning("the database is away")
            except Exception as error:  # a clock that ends would let nothing become due any more
                log.error("a turn failed", error=type(error).__name__, exc_info=error)
            with contextlib.suppress(TimeoutError):
                # Processes that were started together should not look together for ever.
                pause = LOOK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
                await asyncio.wait_for(self._stopping.wait(), pause)

    def stop(self) -> None:
        """Let what is under way end, and begin nothing else."""
        self._stopping.set()

    async def do_what_is_due(self) -> None:
        """Give each chore whose time has come a turn, unless another worker is at it."""
        waiting = await self.database.read(_not_yet, utc_now())
        for chore in self.chores:
            if chore.name in waiting or self._stopping.is_set():
                continue
            began = utc_now()
            if await self.database.write(_claim, chore.name, began):
                turn = await self.do(chore, began)
                again = began + chore.every if turn.is_finished else began
                await self.database.write(note_run, chore.name, turn.done, turn.failed, again)

    async def do(self, chore: Chore, now: datetime) -> Turn:
        """One turn of a chore, as of `now`. What fails is logged and counted, and stops nobody else."""
        turn, tried, stuck = Turn(), set[Due](), 0
        ends = utc_now() + TURN
        while len(tried) < MOST and utc_now() < ends and not self._stopping.is_set():
            # What failed is still due, and must not hide what comes after it.
            limit = BATCH + stuck
            found = await self.database.read_slow(chore.find, now, limit)
            fresh = [due for due in found if due not in tried]
            if not fresh and len(found) < limit:
                return turn
            stuck = len(found) - len(fresh)
            tried.update(fresh)
            for first in range(0, len(fresh), BATCH):
                batch = fresh[first : first + BATCH]
                went_well = await asyncio.gather(*(self._do_one(chore, due, now) for due in batch))
                turn.done += sum(went_well)
                turn.failed += len(batch) - sum(went_well)
        turn.is_finished = False
        return turn

    async def _do_one(self, chore: Chore, due: Due, now: datetime) -> bool:
        program_id, which = due
        try:
            its = await self._program(program_id)
            await self.database.write(chore.do, its, which, now)
        except DatabaseUnreachable:
            raise
        except Exception as error:  # one customer's trouble is not everybody's
            log.error(
                "not done", chore=chore.name, program=program_id, which=which, error=type(error).__name__
            )
            self.metrics.chores.labels(chore.name, "failed").inc()
            return False
        self.metrics.chores.labels(chore.name, "done").inc()
        return True

    async def _program(self, program_id: str) -> Program:
        if self.programs.by_id(program_id) is None:
            await self.programs.refresh()
        found = self.programs.by_id(program_id)
        if found is None:
            raise LookupError("a programme that is not there")
        return found


def note_run(conn: Connection, name: str, done: int, failed: int, due_at: datetime) -> None:
    """Keep what came of a turn, and when the next one is due."""
    conn.execute(insert_or_skip(conn, clock_run).values(name=name, due_at=due_at, done=done, failed=failed))
    conn.execute(
        update(clock_run)
        .where(clock_run.c.name == name)
        .values(due_at=due_at, leased_until=None, ran_at=utc_now(), done=done, failed=failed)
    )


def last_run(conn: Connection, name: str) -> tuple[datetime, int] | None:
    """When a chore ended last, and how many failed in it; None where it never ran."""
    row = conn.execute(
        select(clock_run.c.ran_at, clock_run.c.failed).where(
            clock_run.c.name == name, clock_run.c.ran_at.is_not(None)
        )
    ).one_or_none()
    return None if row is None else (row.ran_at, row.failed)


def _not_yet(conn: Connection, now: datetime) -> set[str]:
    """The chores that need not be looked at: looking first costs a read, claiming for nothing a commit."""
    return set(
        conn.scalars(
            select(clock_run.c.name).where((clock_run.c.due_at > now) | (clock_run.c.leased_until > now))
        )
    )


def _claim(conn: Connection, name: str, now: datetime) -> bool:
    """Take a chore for as long as a turn may last; False where another worker has it, or had it a moment ago."""
    conn.execute(insert_or_skip(conn, clock_run).values(name=name, due_at=now, done=0, failed=0))
    taken = conn.execute(
        update(clock_run)
        .where(
            clock_run.c.name == name,
            clock_run.c.due_at <= now,
            clock_run.c.leased_until.is_(None) | (clock_run.c.leased_until <= now),
        )
        .values(leased_until=now + LEASE)
    )
    return bool(taken.rowcount)
