"""The worker: turns events into deliveries and makes them, inside the web process or as a process of its own.

Beside that it does what becomes due by the passing of time.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from sqlalchemy.engine import Connection

from web.foundation.database import Database, DatabaseUnreachable
from web.foundation.delivery import Delivery, Drop, Wait, claim, due_kinds, finish_many, purge_deliveries
from web.foundation.idempotency import purge_answers
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.integrations.webhooks.health import forget_what_waits_too_long
from web.loyalty.clock import Clock
from web.loyalty.event import Event, has_waiting, take_waiting
from web.loyalty.link import purge_links
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.loyalty.session import purge_sessions
from web.loyalty.visit import purge_visits
from web.messages.deliveries import Handler
from web.wallet.google.callbacks import purge_callbacks
from web.wallet.google.notices import purge_notices

log = structlog.get_logger("worker")

EVENTS = 50
# A mail takes a millisecond to compose: more of them at once, and pages of the same process would have to wait.
DELIVERIES = 16
# Of most slow kinds so many may be under way while the rounds go on.
SLOW_DELIVERIES = 16
# How long a worker sleeps when nobody wakes it: another process may have written. A look costs two small reads.
IDLE_SECONDS = 0.2
PURGE_EVERY = timedelta(hours=1)

FollowUp = Callable[[Connection, Program, Event], None]


class UnknownProgram(Exception):
    """An event belongs to a programme that this process has not loaded."""


@dataclass
class Worker:
    """Runs until it is stopped. Any number may run at once, on PostgreSQL also in several processes."""

    database: Database
    programs: Programs
    metrics: Metrics
    handlers: dict[str, Handler]
    follow_ups: list[FollowUp]
    work_to_do: asyncio.Event
    # Kinds whose receivers may take their time: no other delivery waits for them. So many of each may be under way
    # while the rounds go on.
    slow: Mapping[str, int] = field(default_factory=dict)
    clock: Clock | None = None
    _stopping: bool = field(default=False)
    # Slow deliveries, each with its kind.
    _under_way: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def run(self) -> None:
        """Work until `stop`; a database that is away is waited for."""
        if self.clock is None:
            await self._deliver_for_ever()
        else:
            await asyncio.gather(self.clock.run(), self._deliver_for_ever())

    def stop(self) -> None:
        """Let the round that is under way end, and no other begin."""
        self._stopping = True
        self.work_to_do.set()
        if self.clock is not None:
            self.clock.stop()

    async def _deliver_for_ever(self) -> None:
        purged = utc_now() - PURGE_EVERY
        while not self._stopping:
            self.work_to_do.clear()
            try:
                busy = await self.work_once()
                if utc_now() - purged >= PURGE_EVERY:
                    await self.database.write(_purge)
                    purged = utc_now()
            except DatabaseUnreachable:
                busy = False
                log.warning("the database is away")
            except Exception as error:  # a worker that ends would leave mails lying until somebody notices
                busy = False
                log.error("a round failed", error=type(error).__name__, exc_info=error)
            if not busy:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.work_to_do.wait(), IDLE_SECONDS)
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def work_once(self) -> bool:
        """One round: what happened becomes deliveries, and what is due is delivered. True if there was any.

        Slow deliveries are begun and not waited for.
        """
        # Looking first costs a read; a write transaction for nothing would cost every idle second a commit.
        happened, due = await self.database.read(_what_is_due, self._kinds_with_room())
        followed = await self._follow_up() if happened else 0
        if happened:
            due = await self.database.read(due_kinds, self._kinds_with_room())
        taken = await self.database.write(claim, self._rooms(due)) if due else []
        for delivery in taken:
            if delivery.kind in self.slow:
                self._begin(delivery)
        await asyncio.gather(*(self._deliver(each) for each in taken if each.kind not in self.slow))
        return bool(followed or taken)

    def _kinds_with_room(self) -> list[str]:
        """What may be taken now. A slow kind is refilled by the quarter: each time costs a commit."""
        return [
            kind for kind in self.handlers if kind not in self.slow or 4 * self._room(kind) >= self.slow[kind]
        ]

    def _rooms(self, due: list[str]) -> dict[str, int]:
        ordinary = sum(kind not in self.slow for kind in due)
        share = max(1, DELIVERIES // max(1, ordinary))
        return {kind: self._room(kind) if kind in self.slow else share for kind in due}

    def _room(self, kind: str) -> int:
        return self.slow[kind] - sum(each == kind for each in self._under_way.values())

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._deliver(delivery))
        self._under_way[task] = delivery.kind
        task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if error := task.exception():
            log.error("a delivery's end is not written down", error=type(error).__name__)
        # The next of its lane may leave now.
        self.work_to_do.set()

    async def _follow_up(self) -> int:
        try:
            return await self.database.write(self._follow_events)
        except UnknownProgram:
            # Another process made it a moment ago. All or nothing was written, so the batch is begun again.
            await self.programs.refresh()
            return await self.database.write(self._follow_events)

    def _follow_events(self, conn: Connection) -> int:
        happened = take_waiting(conn, EVENTS)
        for event in happened:
            program = self.programs.by_id(event.program_id)
            if program is None:
                raise UnknownProgram(event.program_id)
            for follow_up in self.follow_ups:
                follow_up(conn, program, event)
        return len(happened)

    async def _deliver(self, delivery: Delivery) -> None:
        error: Exception | None = None
        try:
            await self.handlers[delivery.kind](delivery)
        except Exception as failure:  # whatever it was, the row must say so
            error = failure
        state = await self.database.write_together(finish_many, (delivery, error))
        self.metrics.deliveries.labels(delivery.kind, state).inc()
        if error is not None and not isinstance(error, Drop | Wait):
            log.warning(
                "not delivered",
                kind=delivery.kind,
                delivery=delivery.id,
                state=state,
                tries=delivery.tries,
                error=type(error).__name__,
            )


def _purge(conn: Connection) -> None:
    purge_visits(conn)
    purge_links(conn)
    purge_sessions(conn)
    purge_deliveries(conn)
    purge_answers(conn)
    forget_what_waits_too_long(conn)
    purge_callbacks(conn)
    purge_notices(conn)


def _what_is_due(conn: Connection, kinds: list[str]) -> tuple[bool, list[str]]:
    return has_waiting(conn), due_kinds(conn, kinds)
