"""A changed design on its way to every phone: pushes through Apple's service, then each phone fetches its pass.

The push service is a stand-in over real HTTP/2 and TLS. Each pass that is fetched is signed anew, so that nobody can be
faster than the machine's rate of signing; phones ask at once here, with the server on one core.
"""

import time
from collections.abc import Callable, Iterator

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from bench.bars import Bar, shown
from bench.load import get, load
from bench.members import add_members
from bench.passkit import PASS_TYPE, raw_rate, signing
from bench.rows import copy_rows
from bench.served import Place, place, served
from tests.support.apns import ApnsServer, apns_server
from tests.support.postgres import postgres_server
from web.foundation.schema import utc_now
from web.loyalty.card_design import newest_design
from web.loyalty.customer import customer
from web.loyalty.installation import pass_device
from web.loyalty.program import change_program, load_program
from web.loyalty.program_settings import Brand
from web.loyalty.wallet_pass import SILENT, pass_row, wallet_pass
from web.migrations import with_connection
from web.wallet.apple.development import INTERMEDIATE, ROOT

PASSES, MANY_PASSES = 10_000, 100_000
FASTER_THAN_ANYBODY = "100000"
LONGEST_SECONDS = 600.0


def run(long: bool) -> list[Bar]:
    """One roll-out on each database; `--long` makes it a hundred thousand passes."""
    bars = []
    with place() as here, postgres_server(durable=True) as server:
        urls = {"SQLite": here.sqlite("rollout"), "PostgreSQL": here.filled(server.url("postgres"))}
        settings = signing(here)
        clients = here.folder / "clients.pem"
        folder = here.folder / "signing"
        clients.write_bytes(b"".join((folder / name).read_bytes() for name in (ROOT, INTERMEDIATE)))
        for database, url in urls.items():
            with apns_server(PASS_TYPE, clients) as apns:
                bars += _roll_out(here, url, settings, apns, database, MANY_PASSES if long else PASSES)
    return bars


def _roll_out(
    here: Place, url: str, settings: dict[str, str], apns: ApnsServer, database: str, count: int
) -> list[Bar]:
    passes = with_connection(url, lambda conn: add_installed(conn, count))
    worker = {"PASITO_WORKER": "true", "PASITO_ROLLOUT_PER_SECOND": FASTER_THAN_ANYBODY}
    with served(here, url, **settings, **worker, **apns.environment) as port:
        _until(lambda: with_connection(url, lambda conn: _newest(conn) is not None))
        with_connection(url, lambda conn: _paint(conn, here, "#1f6f5c"))
        apns.wait_for(1, LONGEST_SECONDS)
        began = time.perf_counter()
        _until(lambda: len(set(apns.tokens(accepted=True))) >= count)
        pushing = time.perf_counter() - began
        fetched = load(port, _fetches(passes), seconds=LONGEST_SECONDS, connections=16).must_be(200)
    assert len(fetched.times) == count
    limit = raw_rate()
    together = count / (pushing + fetched.seconds)
    return [
        shown(f"a design to {count} phones on {database}, pushes", count / pushing, "/s"),
        shown("  passes fetched", fetched.rate, "/s"),
        shown("  both, one after the other", together, "/s"),
        shown("  both, share of raw RSA-2048 signing", together / limit),
        shown("  99th percentile of a phone's fetch", fetched.percentile(0.99) * 1000, "ms"),
    ]


def add_installed(conn: Connection, count: int) -> list[tuple[str, str]]:
    """So many customers, each with an Apple pass on a phone; returns serials and tokens."""
    add_members(conn, [1] * count)
    rows = [
        {
            **pass_row(row.program_id, row.id, "apple"),
            "voice": SILENT,
            "status": "installed",
            "installed_at": utc_now(),
        }
        for row in conn.execute(
            select(customer.c.program_id, customer.c.id).where(customer.c.origin == "bench")
        )
    ]
    columns = tuple(rows[0])
    copy_rows(conn, wallet_pass, columns, (tuple(row[name] for name in columns) for row in rows))
    now = utc_now()
    phones = (
        (row["program_id"], row["id"], f"device-{number}", f"{number:064x}", now, now)
        for number, row in enumerate(rows)
    )
    copy_rows(conn, pass_device, tuple(column.name for column in pass_device.c), phones)
    return [(row["id"], row["token"]) for row in rows]


def _newest(conn: Connection) -> object:
    program_id = conn.scalar(select(wallet_pass.c.program_id).limit(1))
    return newest_design(conn, str(program_id))


def _paint(conn: Connection, here: Place, colour: str) -> None:
    found = load_program(conn, "brewbar", here.sealer)
    assert found is not None
    change_program(conn, "brewbar", msgspec.structs.replace(found.settings, brand=Brand(colour=colour)))


def _fetches(passes: list[tuple[str, str]]) -> Iterator[bytes]:
    for serial, token in passes:
        yield get(f"/passkit/v1/passes/{PASS_TYPE}/{serial}", authorization=f"ApplePass {token}")


def _until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONGEST_SECONDS
    while not happened():
        if time.monotonic() > ends:
            raise TimeoutError("the roll-out did not come to its end")
        time.sleep(0.1)
