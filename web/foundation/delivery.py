"""Deliveries to the outside: at least once, in order for each recipient, tried again, put aside, replayed.

A row is one thing to be done outside. It is written in a database transaction, taken by a worker for the
length of a lease, and done outside any transaction. A worker that dies loses its lease and another repeats
the delivery under the same id, so that a receiver can tell the repeat.
"""

import random
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Insert,
    Integer,
    String,
    Table,
    Text,
    TextClause,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now

LEASE = timedelta(seconds=60)
# Ten tries over about a day; then a person must look.
PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (5, 20, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
)
SHORTEST_PATIENCE, LONGEST_PATIENCE = timedelta(seconds=5), timedelta(minutes=5)
WAITING, DONE, DEAD, DROPPED = "waiting", "done", "dead", "dropped"
UNTAKEN = "state = 'waiting' and merge_key is not null"

delivery = Table(
    "delivery",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    # Which handler does it: "mail.confirmation", "sms.card_link" …
    Column("kind", String(40), nullable=False),
    # Deliveries of one lane leave one after the other: the channel and the customer.
    Column("lane", String(80), nullable=False),
    # Until somebody takes it, another of the same name is this one: what it says then is what matters.
    Column("merge_key", String(80)),
    Column("event_id", Id),
    Column("payload", Json, nullable=False),
    Column("state", String(8), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("last_error", Text),
    CheckConstraint(f"state in ('{WAITING}', '{DONE}', '{DEAD}', '{DROPPED}')", name="state_is_known"),
)
# By kind, so that what waits for a receiver that takes its time is in nobody else's way.
Index(
    "ix_delivery_due",
    delivery.c.kind,
    delivery.c.due_at,
    sqlite_where=delivery.c.state == WAITING,
    postgresql_where=delivery.c.state == WAITING,
)
Index(
    "ix_delivery_lane",
    delivery.c.program_id,
    delivery.c.lane,
    delivery.c.id,
    sqlite_where=delivery.c.state == WAITING,
    postgresql_where=delivery.c.state == WAITING,
)
Index(
    "uq_delivery_merge_key",
    delivery.c.program_id,
    delivery.c.merge_key,
    unique=True,
    sqlite_where=text(UNTAKEN),
    postgresql_where=text(UNTAKEN),
)
Index(
    "ix_delivery_dead",
    delivery.c.program_id,
    delivery.c.id,
    sqlite_where=delivery.c.state == DEAD,
    postgresql_where=delivery.c.state == DEAD,
)

INSERT = insert(delivery)


class TryLater(Exception):
    """The receiver is not to be had now. `after` is its own wish (Retry-After), if it had one."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Away(TryLater):
    """The receiver is not to be had now, and what it is told is only that something changed: the newest counts,
    whenever it is back. Tried again soon, ever more seldom up to five minutes, and never put aside."""


class Wait(Exception):
    """It is not its turn, through no fault of its own: tried again in `after`, and this try does not count."""

    def __init__(self, reason: str, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after


class GiveUp(Exception):
    """The receiver will never take this; it is put aside at once for a person to look at."""


class Drop(Exception):
    """There is nothing to deliver any more: the customer is gone, the flow was turned off."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do outside. `tries` counts this one."""

    program_id: str
    id: str
    kind: str
    event_id: str | None
    payload: dict[str, Any]
    tries: int
    created_at: datetime

    @property
    def is_last_try(self) -> bool:
        return self.tries > len(PAUSES)


class Backlog(msgspec.Struct, frozen=True):
    """How much waits and is put aside; `oldest` is when the oldest waiting one was written."""

    waiting: int
    dead: int
    oldest: datetime | None


def enqueue(
    conn: Connection,
    program_id: str,
    kind: str,
    lane: str,
    payload: dict[str, Any],
    event_id: str | None = None,
) -> str:
    """Write down something to do outside, in the transaction of its cause. Returns its id."""
    row = delivery_row(program_id, kind, lane, payload, event_id)
    conn.execute(INSERT, row)
    return str(row["id"])


def enqueue_merged(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Write down what is to be done, each only once until a worker takes it: rows with a `merge_key`.

    Where one waits it is written anew and so locked: a worker that came first has yet to see this transaction's
    changes, and one that comes later waits for them.
    """
    if rows:
        conn.execute(_insert_or_merge(conn.dialect.name), rows)


@lru_cache
def _insert_or_merge(dialect: str) -> Insert:
    insert_into = postgres_insert if dialect == "postgresql" else sqlite_insert
    adding = insert_into(delivery)
    return adding.on_conflict_do_update(
        index_elements=[delivery.c.program_id, delivery.c.merge_key],
        index_where=text(UNTAKEN),
        set_={"payload": adding.excluded.payload},
    )


def delivery_row(
    program_id: str,
    kind: str,
    lane: str,
    payload: dict[str, Any],
    event_id: str | None = None,
    merge_key: str | None = None,
) -> dict[str, Any]:
    """The row of one delivery, for those who write many at once with `INSERT` or `enqueue_merged`."""
    now = utc_now()
    return {
        "program_id": program_id,
        "id": new_id(),
        "kind": kind,
        "lane": lane,
        "merge_key": merge_key,
        "event_id": event_id,
        "payload": payload,
        "state": WAITING,
        "tries": 0,
        "due_at": now,
        "created_at": now,
    }


def claim(conn: Connection, most: Mapping[str, int]) -> list[Delivery]:
    """Take due deliveries for the length of a lease: each the first of its lane, and nobody else's.

    `most` says how many of each kind; those of other kinds are left lying.
    """
    now = utc_now()
    keys = [
        (row.program_id, row.id)
        for kind, number in most.items()
        for row in conn.execute(_DUE, {"of_kind": kind, "now": now, "most": number})
    ]
    if not keys:
        return []
    rows = conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id.in_({key[0] for key in keys}),
            delivery.c.id.in_([key[1] for key in keys]),
            delivery.c.state == WAITING,
            # Another worker may have taken it between the two statements where rows cannot be locked.
            delivery.c.due_at <= now,
        )
        .values(due_at=now + LEASE, tries=delivery.c.tries + 1, merge_key=None)
        .returning(
            delivery.c.program_id,
            delivery.c.id,
            delivery.c.kind,
            delivery.c.event_id,
            delivery.c.payload,
            delivery.c.tries,
            delivery.c.created_at,
        )
    )
    return sorted((Delivery(**row._mapping) for row in rows), key=lambda taken: taken.id)


def finish(conn: Connection, taken: Delivery, error: Exception | None) -> str:
    """Write down how a delivery ended; returns its new state.

    Who was slower than the lease may still report success, but no failure: it is another worker's turn by then.
    """
    now = utc_now()
    match error:
        case None:
            state, due = DONE, now
        case Drop():
            state, due = DROPPED, now
        case Wait():
            state, due = WAITING, now + error.after
        case Away():
            state, due = WAITING, now + max(_patience(now - taken.created_at), error.after or timedelta())
        case GiveUp():
            state, due = DEAD, now
        case _ if taken.is_last_try:
            state, due = DEAD, now
        case _:
            wish = error.after if isinstance(error, TryLater) and error.after else timedelta()
            pause = PAUSES[taken.tries - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the load
            state, due = WAITING, now + max(pause, wish)
    changed = conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id == taken.program_id,
            delivery.c.id == taken.id,
            delivery.c.state == WAITING,
            *(() if error is None else (delivery.c.tries == taken.tries,)),
        )
        .values(
            state=state,
            due_at=due,
            ended_at=None if state == WAITING else now,
            # What was said may name a person; once it is said nobody needs it here.
            **({"payload": {}} if state in (DONE, DROPPED) else {}),
            **({"tries": taken.tries - 1} if isinstance(error, Away | Wait) else {}),
            last_error=None if error is None else f"{type(error).__name__}: {error}"[:500],
        )
    ).rowcount
    if state == WAITING and changed:
        _let_followers_wait(conn, taken, due)
    return state


def _patience(age: timedelta) -> timedelta:
    """Half as long again as it has waited already, so that an outage is caught up with in proportion to its length."""
    return min(max(age / 2, SHORTEST_PATIENCE), LONGEST_PATIENCE) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the load


def _let_followers_wait(conn: Connection, first: Delivery, due: datetime) -> None:
    """What is behind it in its lane cannot leave before it; due all the while, each look for work would meet it."""
    this = delivery.alias("this")
    lane = select(this.c.lane).where(this.c.program_id == first.program_id, this.c.id == first.id)
    conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id == first.program_id,
            delivery.c.lane == lane.scalar_subquery(),
            delivery.c.state == WAITING,
            delivery.c.due_at < due,
        )
        .values(due_at=due)
    )


def _is_first_of_its_lane() -> ColumnElement[bool]:
    earlier = delivery.alias("earlier")
    return ~exists().where(
        and_(
            earlier.c.program_id == delivery.c.program_id,
            earlier.c.lane == delivery.c.lane,
            earlier.c.id < delivery.c.id,
            earlier.c.state == WAITING,
        )
    )


# Made once: SQLAlchemy remembers with a statement how it is compiled.
_DUE = (
    select(delivery.c.program_id, delivery.c.id)
    .where(
        delivery.c.state == WAITING,
        delivery.c.kind == bindparam("of_kind"),
        delivery.c.due_at <= bindparam("now"),
        _is_first_of_its_lane(),
    )
    .order_by(delivery.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=delivery)
)
_DONE = (
    update(delivery)
    .where(
        delivery.c.program_id == bindparam("its_program"),
        delivery.c.id == bindparam("its_id"),
        delivery.c.state == WAITING,
    )
    .values(state=DONE, due_at=bindparam("now"), ended_at=bindparam("now"), payload={}, last_error=None)
)


def finish_many(conn: Connection, ended: list[tuple[Delivery, Exception | None]]) -> list[str]:
    """Like `finish`, for many at once: those that went well are one statement."""
    now = utc_now()
    done = [
        {"its_program": taken.program_id, "its_id": taken.id, "now": now}
        for taken, error in ended
        if error is None
    ]
    if done:
        conn.execute(_DONE, done)
    return [DONE if error is None else finish(conn, taken, error) for taken, error in ended]


def replay(conn: Connection, program_id: str | None = None, delivery_id: str | None = None) -> int:
    """Let deliveries that were put aside start again, all or one; returns how many."""
    chosen = [delivery.c.state == DEAD]
    if program_id is not None:
        chosen.append(delivery.c.program_id == program_id)
    if delivery_id is not None:
        chosen.append(delivery.c.id == delivery_id)
    return conn.execute(
        update(delivery).where(*chosen).values(state=WAITING, tries=0, due_at=utc_now(), ended_at=None)
    ).rowcount


def lane_counts(conn: Connection, program_id: str, prefix: str) -> tuple[int, int]:
    """How many wait and how many were put aside in the lanes that begin so."""
    rows = conn.execute(
        select(delivery.c.state, func.count().label("number"))
        .where(
            delivery.c.program_id == program_id,
            delivery.c.state.in_((WAITING, DEAD)),
            delivery.c.lane.startswith(prefix, autoescape=True),
        )
        .group_by(delivery.c.state)
    )
    counts: dict[str, int] = {row.state: row.number for row in rows}
    return counts.get(WAITING, 0), counts.get(DEAD, 0)


def release_lanes(conn: Connection, program_id: str, prefix: str) -> int:
    """Let everything start again that waits or was put aside in the lanes that begin so; returns how many."""
    return conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id == program_id,
            delivery.c.state.in_((WAITING, DEAD)),
            delivery.c.lane.startswith(prefix, autoescape=True),
        )
        .values(state=WAITING, tries=0, due_at=utc_now(), ended_at=None)
    ).rowcount


def drop_lanes(conn: Connection, program_id: str, prefix: str) -> int:
    """Give up everything that waits or was put aside in the lanes that begin so; returns how many."""
    return conn.execute(
        update(delivery)
        .where(
            delivery.c.program_id == program_id,
            delivery.c.state.in_((WAITING, DEAD)),
            delivery.c.lane.startswith(prefix, autoescape=True),
        )
        .values(state=DROPPED, ended_at=utc_now(), payload={})
    ).rowcount


def drop(conn: Connection, delivery_id: str) -> int:
    """Give up one delivery that was put aside; returns 0 where there is none of that id."""
    return conn.execute(
        update(delivery)
        .where(delivery.c.state == DEAD, delivery.c.id == delivery_id)
        .values(state=DROPPED, ended_at=utc_now(), payload={})
    ).rowcount


def dead_letters(conn: Connection, most: int = 100) -> list[dict[str, Any]]:
    """What was put aside, newest first, without what it says: ids, kinds and reasons only."""
    rows = conn.execute(
        select(
            delivery.c.program_id,
            delivery.c.id,
            delivery.c.kind,
            delivery.c.tries,
            delivery.c.ended_at,
            delivery.c.last_error,
        )
        .where(delivery.c.state == DEAD)
        .order_by(delivery.c.id.desc())
        .limit(most)
    )
    return [dict(row._mapping) for row in rows]


def backlog(conn: Connection) -> Backlog:
    """What waits now, for health checks and metrics."""
    waiting, oldest = conn.execute(
        select(func.count(), func.min(delivery.c.created_at)).where(delivery.c.state == WAITING)
    ).one()
    dead = conn.scalar(select(func.count()).where(delivery.c.state == DEAD)) or 0
    return Backlog(waiting, dead, oldest)


def untouched_since(conn: Connection) -> datetime | None:
    """When the first was due of those that could have left and that nobody has tried."""
    due: datetime | None = conn.scalar(
        select(func.min(delivery.c.due_at)).where(
            delivery.c.state == WAITING, delivery.c.tries == 0, _is_first_of_its_lane()
        )
    )
    return due


def purge_deliveries(conn: Connection) -> int:
    """Delete what ended a month ago. What was put aside stays until a person has looked at it."""
    return conn.execute(
        delete(delivery).where(
            delivery.c.state.in_((DONE, DROPPED)), delivery.c.ended_at <= utc_now() - timedelta(days=30)
        )
    ).rowcount


def due_kinds(conn: Connection, kinds: Collection[str]) -> list[str]:
    """Of which of these kinds a delivery may be due; one that waits for its lane's first counts too."""
    return list(conn.scalars(_due_kinds(tuple(kinds)), {"now": utc_now()})) if kinds else []


# As text, for SQLAlchemy would go through the whole of it at each look.
@lru_cache
def _due_kinds(kinds: tuple[str, ...]) -> TextClause:
    one = (
        "select {0} as kind where exists (select 1 from delivery where {1} and kind = {0} and due_at <= :now)"
    )
    statement = " union all ".join(
        one.format(f"cast(:kind_{number} as varchar)", f"state = '{WAITING}'") for number in range(len(kinds))
    )
    named = (bindparam(f"kind_{number}", kind, String) for number, kind in enumerate(kinds))
    return text(statement).bindparams(bindparam("now", type_=Moment), *named)
