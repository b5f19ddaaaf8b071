"""The ledger: is it proven and signed, and does somebody see to what becomes due?"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from web.foundation.finding import Finding
from web.foundation.schema import utc_now
from web.loyalty.checkpoint import checkpoints_due, ledger_checkpoint
from web.loyalty.clock import clock_run, last_run
from web.loyalty.ledger_proof import VERIFIED
from web.loyalty.program import program

# Checkpoints are made once a day, and chores looked at every ten seconds.
CHECKPOINT_WITHIN = timedelta(days=1)
LOOKED_AT_WITHIN = timedelta(minutes=15)


def look_at_ledger(conn: Connection) -> Iterator[Finding]:
    """The last proof, the last checkpoints, and chores that nobody does or that fail."""
    yield _proof(conn)
    yield from _checkpoints(conn)
    now = utc_now()
    for row in conn.execute(select(clock_run).where(clock_run.c.name != VERIFIED).order_by(clock_run.c.name)):
        if row.due_at < now - LOOKED_AT_WITHIN:
            yield Finding(
                "wrong",
                f"Nobody does what becomes due: {row.name!r} has been waiting since {row.due_at:%Y-%m-%d %H:%M} UTC.",
                "Start a worker (python -m web worker), or set PASITO_WORKER=true for the web process.",
            )
            return
        if row.failed:
            yield Finding(
                "note",
                f"{row.failed} failed the last time that {row.name!r} was done.",
                "The worker's log says which and why; they are tried again.",
            )


def _proof(conn: Connection) -> Finding:
    proven = last_run(conn, VERIFIED)
    if proven is None:
        return Finding("note", "The ledger was never proven.", "Run python -m web ledger verify, each night.")
    at, faults = proven
    if faults:
        return Finding(
            "wrong",
            f"The proof of the ledger found {faults} faults on {at:%Y-%m-%d %H:%M} UTC.",
            "Run python -m web ledger verify to see them; compare with a backup before anything is mended.",
        )
    return Finding("ok", f"The ledger was proven on {at:%Y-%m-%d %H:%M} UTC.")


def _checkpoints(conn: Connection) -> Iterator[Finding]:
    newest = conn.scalar(select(func.max(ledger_checkpoint.c.at)))
    if newest is not None:
        yield Finding("ok", f"The last checkpoint of the ledger was signed on {newest:%Y-%m-%d %H:%M} UTC.")
    late = [program_id for program_id, _ in checkpoints_due(conn, utc_now() - CHECKPOINT_WITHIN, 1000)]
    # A programme's first entry may be of a moment ago.
    began = conn.scalars(
        select(program.c.slug).where(
            program.c.id.in_(late), program.c.created_at < utc_now() - 2 * CHECKPOINT_WITHIN
        )
    )
    for slug in began:
        yield Finding(
            "note",
            f"The ledger of {slug} has no checkpoint of the last two days.",
            "Start a worker, or run python -m web ledger checkpoint.",
        )
