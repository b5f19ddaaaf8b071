"""Pushes: how fast a backlog of changed passes leaves, and how long after its commit a change is on its way.

The push service is the tests' own, over HTTP/2 and TLS, in a process of its own; so both ends are Python's, and its
rate is a floor. Times to a push are taken with an idle server, from the commit to the push's arrival.
"""

import asyncio
import contextlib
import multiprocessing
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, perf_counter, process_time
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from bench.bars import Bar, at_least, below, shown
from bench.served import SECRET, Place, durable_postgres, place
from tests.support.apns import ApnsServer, apns_server
from web.foundation.database import open_database
from web.foundation.delivery import INSERT, due_kinds
from web.foundation.metrics import Metrics
from web.foundation.schema import new_id, utc_now
from web.loyalty.installation import pass_device
from web.loyalty.program import program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import APPLE_CARD, card_changed, pass_row, update_row, wallet_pass
from web.migrations import with_connection
from web.settings import Settings
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.deliveries import MOST_AT_ONCE, AppleCards
from web.wallet.apple.development import INTERMEDIATE, ROOT, development_certificates
from web.wallet.apple.push import ApplePusher
from web.worker import Worker

WAITING, CHANGES = 3000, 40
RATE_BAR, SECONDS_BAR = 300.0, 1.0


def run(long: bool) -> list[Bar]:
    waiting, changes = WAITING * (4 if long else 1), CHANGES * (4 if long else 1)
    bars: list[Bar] = []
    with place() as here:
        certificates = _certificates(here)
        with _service_elsewhere(here) as (url, authority):
            os.environ["SSL_CERT_FILE"] = authority
            try:
                bars += asyncio.run(_over_one_connection(certificates, url, waiting))
                bars.append(asyncio.run(_backlog(here, here.sqlite("backlog"), certificates, url, waiting)))
                with durable_postgres(here) as database_url:
                    bars.append(asyncio.run(_backlog(here, database_url, certificates, url, waiting)))
            finally:
                del os.environ["SSL_CERT_FILE"]
        with durable_postgres(here) as database_url:
            bars += _times(here, database_url, changes)
    return bars


async def _over_one_connection(certificates: Certificates, url: str, number: int) -> list[Bar]:
    pusher = ApplePusher(certificates, url)
    await pusher.push([_token()])
    began, worked = perf_counter(), process_time()
    outcomes = await pusher.push([_token() for _ in range(number)])
    seconds, work = perf_counter() - began, process_time() - worked
    await pusher.close()
    assert all(outcome.verdict == "pushed" for outcome in outcomes)
    return [
        shown("pushes over one connection", number / seconds, "/s"),
        shown("  of our own processor's time for each", work / number * 1e6, "us"),
    ]


async def _backlog(here: Place, database_url: str, certificates: Certificates, url: str, number: int) -> Bar:
    """So many changed passes wait; a worker tells their phones."""
    database = open_database(database_url)
    await database.write(_let_wait, number)
    programs = Programs(database, here.sealer)
    await programs.refresh()
    pusher = ApplePusher(certificates, url)
    worker = Worker(
        database=database,
        programs=programs,
        metrics=Metrics(),
        handlers={APPLE_CARD: AppleCards(database, pusher).tell},
        follow_ups=[],
        work_to_do=asyncio.Event(),
        slow={APPLE_CARD: MOST_AT_ONCE},
    )
    began = perf_counter()
    running = asyncio.create_task(worker.run())
    while await database.read(due_kinds, [APPLE_CARD]):  # noqa: ASYNC110 - the database wakes nobody
        await asyncio.sleep(0.02)
    worker.stop()
    await running
    seconds = perf_counter() - began
    await pusher.close()
    await database.close()
    return at_least(f"waiting pushes that leave in a second, {database.dialect}", number / seconds, RATE_BAR)


def _let_wait(conn: Connection, number: int) -> None:
    rows = _install(conn, number)
    conn.execute(INSERT, [update_row(row["program_id"], row["id"], "apple") for row in rows])


def _times(here: Place, database_url: str, changes: int) -> list[Bar]:
    """From commit to arrival, by a worker process that looks for work, for nobody wakes it."""
    held = with_connection(database_url, lambda conn: _install(conn, changes + 1))
    with _service(here) as service, _worker_process(here, database_url, service):
        seconds = sorted(asyncio.run(_change_each(database_url, held, service)))
    return [
        shown("from a commit to its push by a worker process: half within", seconds[len(seconds) // 2], "s"),
        below("  99 of a hundred within", seconds[int(len(seconds) * 0.99)], SECONDS_BAR, "s"),
    ]


async def _change_each(database_url: str, held: list[dict[str, Any]], service: ApnsServer) -> list[float]:
    """One change after the other, at no regular moments; the first one only warms up."""
    database = open_database(database_url)
    seconds = []
    for number, row in enumerate(held, 1):
        await database.write(card_changed, row["program_id"], row["customer_id"])
        committed = monotonic()
        pushes = await service.arrived(number, 30)
        seconds.append(pushes[-1].at - committed)
        await asyncio.sleep(random.random() * 0.3)
    await database.close()
    return seconds[1:]


@contextlib.contextmanager
def _worker_process(here: Place, database_url: str, service: ApnsServer) -> Iterator[None]:
    environment = {
        **os.environ,
        **service.environment,
        "DATABASE_URL": database_url,
        "PASITO_DATA_DIR": str(here.folder),
        "PASITO_SECRET_KEYS": SECRET,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "web", "worker"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _install(conn: Connection, number: int) -> list[dict[str, Any]]:
    """So many passes, each on a phone of its own; the rows of the passes."""
    program_id, now = conn.scalar(select(program.c.id).where(program.c.slug == "brewbar")), utc_now()
    assert program_id is not None
    rows = [
        {**pass_row(program_id, new_id(), "apple"), "status": "installed", "installed_at": now}
        for _ in range(number)
    ]
    conn.execute(insert(wallet_pass), rows)
    phones = [
        {
            "program_id": program_id,
            "pass_id": row["id"],
            "device_id": row["id"],
            "push_token": _token(),
            "registered_at": now,
            "updated_at": now,
        }
        for row in rows
    ]
    conn.execute(insert(pass_device), phones)
    return rows


def _token() -> str:
    return secrets.token_hex(32)


def _certificates(here: Place) -> Certificates:
    usual = Settings()
    return development_certificates(
        here.folder / "signing", pass_type_id=usual.apple_pass_type, team_id=usual.apple_team
    )


@contextlib.contextmanager
def _service(here: Place) -> Iterator[ApnsServer]:
    signing, clients = here.folder / "signing", here.folder / "clients.pem"
    clients.write_bytes(b"".join((signing / name).read_bytes() for name in (ROOT, INTERMEDIATE)))
    with apns_server(Settings().apple_pass_type, clients) as service:
        yield service


@contextlib.contextmanager
def _service_elsewhere(here: Place) -> Iterator[tuple[str, str]]:
    """The push service in a process of its own: its address, and the file of its authority."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(here.folder, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(10)


def _serve(folder: Path, pipe: Any) -> None:
    with _service(Place(folder)) as service:
        pipe.send((service.url, str(service.authority)))
        pipe.recv()
