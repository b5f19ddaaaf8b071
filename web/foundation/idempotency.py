"""Doing a thing once, however often a caller asks: the answer is kept with the effect, under the caller's own key.

The key is reserved by an INSERT in the transaction of the effect, so that there is never one without the other. What
fails leaves neither behind: a caller who asks again after an error is heard anew.
"""

from collections.abc import Callable
from datetime import timedelta

import msgspec
from sqlalchemy import Column, Index, Integer, String, Table, Text, delete, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now

# A day is what callers need (security.md 27); a week lets a queue that was stopped over the weekend drain.
KEPT = timedelta(days=7)
FORGOTTEN = 410

idempotency = Table(
    "idempotency",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("scope", String(120), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index("ix_idempotency_created_at", idempotency.c.created_at)


class KeyReused(Exception):
    """The key was used before, for something else."""


class AnswerForgotten(Exception):
    """It was done, and the answer named a person who has been erased since."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two requests the same one. `scope` is the kind of request: its method and route."""

    program_id: str
    scope: str
    key: str
    request_hash: str


class Done(msgspec.Struct, frozen=True):
    """An answer, as it is sent. `replayed`: it was given before, and nothing was done now."""

    status: int
    body: bytes
    replayed: bool


def do_once(
    conn: Connection,
    asked: Reservation,
    work: Callable[[Connection], tuple[int, bytes]],
    keep: Callable[[bytes], str] = bytes.decode,
    tell: Callable[[str], bytes] = str.encode,
) -> Done:
    """Do `work`, which returns a status and a body in UTF-8; or answer as before if it was done under this key.

    `keep` and `tell` seal and open an answer that holds a secret.

    Raises: KeyReused, AnswerForgotten, and whatever `work` raises.
    """
    named = (
        idempotency.c.program_id == asked.program_id,
        idempotency.c.scope == asked.scope,
        idempotency.c.key == asked.key,
    )
    reserved = conn.execute(
        insert_or_skip(conn, idempotency)
        .values(**msgspec.structs.asdict(asked), status=0, response="", created_at=utc_now())
        .returning(idempotency.c.key)
    ).one_or_none()
    if reserved is None:
        # Whoever reserved it has committed: until then our INSERT waited.
        known = conn.execute(select(idempotency).where(*named)).one()
        if known.request_hash != asked.request_hash:
            raise KeyReused(asked.key)
        if known.status == FORGOTTEN:
            raise AnswerForgotten(asked.key)
        return Done(known.status, tell(known.response), replayed=True)
    status, body = work(conn)
    conn.execute(update(idempotency).where(*named).values(status=status, response=keep(body)))
    return Done(status, body, replayed=False)


def forget_answers(conn: Connection, program_id: str, mentioned_id: str) -> int:
    """Forget the answers that mention someone; their keys stay, so that nothing is done twice."""
    return conn.execute(
        update(idempotency)
        .where(idempotency.c.program_id == program_id, idempotency.c.response.contains(mentioned_id))
        .values(status=FORGOTTEN, response="")
    ).rowcount


def purge_answers(conn: Connection) -> int:
    return conn.execute(delete(idempotency).where(idempotency.c.created_at <= utc_now() - KEPT)).rowcount
