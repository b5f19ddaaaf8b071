"""The database: can it be reached, is its schema ours, its clock right, and does what waits go out?"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection, make_url

from web.app import ROOT
from web.complaints import MIGRATE, complaint
from web.doctor.ledger import look_at_ledger
from web.doctor.phones import look_at_phones
from web.doctor.programs import look_at_programs
from web.foundation.database import Database, open_database
from web.foundation.delivery import backlog, untouched_since
from web.foundation.finding import Finding
from web.foundation.languages import Catalogues
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.event import event
from web.migrations import current_revision, head_revision
from web.settings import Settings

T = TypeVar("T")

LONGEST_WAIT = 8.0
CLOCKS_MAY_DIFFER = timedelta(seconds=2)
# A worker looks every second, so what nobody has tried for this long, nobody will.
TAKEN_WITHIN = timedelta(minutes=2)


class State(msgspec.Struct, frozen=True):
    """What is read before any table of ours."""

    version: str
    revision: str | None
    # Both moments in UTC; None on SQLite, which has this machine's clock.
    clock: datetime | None
    durable: bool


async def look_at_database(settings: Settings) -> list[Finding]:
    """The database and all that it alone can tell; stops at the first thing without which nothing can be read."""
    if missing := _missing_file(settings):
        return [Finding("wrong", f"There is no database at {missing} yet.", MIGRATE)]
    database: Database | None = None
    try:
        database = open_database(settings.database_url)
        return await _examined(database, settings)
    except Exception as error:
        said = complaint(error)
        if said is None:
            raise
        what, _, do = said.partition(". ")
        return [Finding("wrong", f"{what.rstrip('.')}.", do)]
    finally:
        if database is not None:
            await database.close()


def _missing_file(settings: Settings) -> Path | None:
    """SQLite's file where there is none: opening it would make it."""
    where = make_url(settings.database_url)
    path = Path(where.database or "").absolute()
    return path if where.get_backend_name() == "sqlite" and not path.exists() else None


async def _examined(database: Database, settings: Settings) -> list[Finding]:
    before = utc_now()
    state = await _read(database, _state)
    findings = [
        Finding("ok", f"The database is {state.version}."),
        *_clock(state.clock, before, utc_now()),
        *_kept(state, settings),
    ]
    if state.revision != head_revision():
        what = f"The database's schema is at {state.revision}, this program's at {head_revision()}."
        return [*findings, Finding("wrong", what, MIGRATE)]
    findings.append(Finding("ok", f"The schema is current ({state.revision})."))
    languages = Catalogues.load(ROOT / "locales").languages
    findings += await _read(database, _waiting)
    findings += await _read(database, lambda conn: list(look_at_ledger(conn)))
    findings += await _read(database, lambda conn: list(look_at_phones(conn)))
    return findings + await _read(
        database, lambda conn: list(look_at_programs(conn, Sealer(settings.secret_keys), languages, settings))
    )


async def _read(database: Database, unit: Callable[[Connection], T]) -> T:
    async with asyncio.timeout(LONGEST_WAIT):
        return await database.read(unit)


def _state(conn: Connection) -> State:
    revision = current_revision(conn)
    if conn.dialect.name == "sqlite":
        version = f"SQLite {conn.scalar(text('select sqlite_version()'))}"
        return State(version, revision, None, durable=True)
    version = f"PostgreSQL {conn.scalar(text('show server_version'))}"
    kept = [conn.scalar(text(f"show {name}")) for name in ("fsync", "synchronous_commit")]
    return State(version, revision, conn.scalar(text("select clock_timestamp()")), durable="off" not in kept)


def _clock(theirs: datetime | None, before: datetime, after: datetime) -> Iterator[Finding]:
    """The database's clock against ours before and after it was read, so that a slow network counts for nothing."""
    if theirs is None:
        return
    theirs = theirs.astimezone(UTC)
    apart = max(before - theirs, theirs - after, timedelta())
    if apart > CLOCKS_MAY_DIFFER:
        yield Finding(
            "wrong",
            f"The clocks of this machine and of the database are {apart.total_seconds():.0f} seconds apart.",
            "Set both by NTP: links would end too early or too late.",
        )
    else:
        yield Finding("ok", "The clocks of this machine and of the database agree.")


def _kept(state: State, settings: Settings) -> Iterator[Finding]:
    if not state.durable and not settings.development:
        yield Finding(
            "wrong",
            "PostgreSQL's fsync or synchronous_commit is off: a power cut loses registrations.",
            "Turn both on.",
        )
    if state.version.startswith("SQLite") and not settings.worker:
        yield Finding(
            "note",
            "Deliveries are left to a worker of its own, but on SQLite two processes wait for each other's commits.",
            "Set PASITO_WORKER=true, or use PostgreSQL.",
        )


def _waiting(conn: Connection) -> list[Finding]:
    """What waits to go out. Looked at by when it was due, since one that is tried again later is in good hands."""
    now, found = utc_now(), backlog(conn)
    untouched = [
        untouched_since(conn),
        conn.scalar(select(func.min(event.c.at)).where(event.c.dispatched_at.is_(None))),
    ]
    findings = []
    oldest = min((at for at in untouched if at is not None), default=now)
    if now - oldest > TAKEN_WITHIN:
        findings.append(
            Finding(
                "wrong",
                f"Nobody makes deliveries: the first has been waiting since {oldest:%Y-%m-%d %H:%M} UTC.",
                "Start a worker (python -m web worker), or set PASITO_WORKER=true for the web process.",
            )
        )
    elif found.oldest is not None and now - found.oldest > timedelta(hours=1):
        findings.append(
            Finding(
                "note",
                f"{found.waiting} deliveries wait, the oldest since {found.oldest:%Y-%m-%d %H:%M} UTC: "
                "they are tried again.",
                "The findings about mail and SMS may say why.",
            )
        )
    else:
        findings.append(Finding("ok", f"{found.waiting} deliveries wait."))
    if found.dead:
        findings.append(
            Finding(
                "note",
                f"{found.dead} deliveries were put aside after their last try.",
                "See why by `python -m web delivery dead`, then `delivery replay` or `delivery drop`.",
            )
        )
    return findings
