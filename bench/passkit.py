"""Apple's web service: passes fetched over HTTP as a share of raw RSA-2048 signing on one core.

When a design rolls out every phone fetches its pass, and each has to be signed anew: nobody can be faster than the
machine signs. Each pass is fetched in a version that was not fetched before, so that writing that down counts as well.
"""

import os
from collections.abc import Iterator
from itertools import cycle
from statistics import median
from time import perf_counter

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from bench.bars import Bar, at_least, shown
from bench.load import get, load
from bench.members import add_members
from bench.served import PRODUCTION, Place, place, served
from tests.support.postgres import postgres_server
from web.loyalty.customer import customer
from web.loyalty.wallet_pass import pass_row, wallet_pass
from web.migrations import with_connection
from web.settings import Settings
from web.wallet.apple.development import CERTIFICATE, INTERMEDIATE, KEY
from web.wallets import apple_certificates

PEOPLE, ENTRIES = 1500, 5
ROUNDS, SECONDS, RAW_SECONDS = 7, 0.5, 0.3
BAR = 0.5
PASS_TYPE = "pass.dev.pasito.card"
LATER = "Fri, 01 Jan 2100 00:00:00 GMT"

Passes = list[tuple[str, str]]
"""Serial and token of each pass."""


def run(long: bool) -> list[Bar]:
    """Passes that are sent, and the answer "not modified", on both databases."""
    bars = []
    with place() as here, postgres_server(durable=True) as server:
        urls = {"SQLite": here.sqlite("passkit"), "PostgreSQL": here.filled(server.url("postgres"))}
        for database, url in urls.items():
            passes = with_connection(url, add_passes)
            with served(here, url, **signing(here)) as port:
                bars += _fetches(port, url, passes, database, ROUNDS * (3 if long else 1))
    return bars


def add_passes(conn: Connection) -> Passes:
    """Customers with a history, each with a card."""
    add_members(conn, [ENTRIES] * PEOPLE)
    people = select(customer.c.program_id, customer.c.id).where(customer.c.origin == "bench")
    rows = [pass_row(row.program_id, row.id, "apple") for row in conn.execute(people)]
    conn.execute(insert(wallet_pass), rows)
    return [(row["id"], row["token"]) for row in rows]


def signing(here: Place) -> dict[str, str]:
    """Production's settings, with certificates that the development authority made."""
    apple_certificates(Settings(data_dir=here.folder, base_url="https://localhost"))
    folder = here.folder / "signing"
    return PRODUCTION | {
        "PASITO_APPLE_CERTIFICATE": str(folder / CERTIFICATE),
        "PASITO_APPLE_KEY": str(folder / KEY),
        "PASITO_APPLE_INTERMEDIATE": str(folder / INTERMEDIATE),
    }


def requests_for(passes: Passes, **headers: str) -> Iterator[bytes]:
    """What phones send to fetch these passes, one after the other and for ever."""
    path = f"/passkit/v1/passes/{PASS_TYPE}"
    return cycle(
        [get(f"{path}/{serial}", authorization=f"ApplePass {token}", **headers) for serial, token in passes]
    )


def raw_rate() -> float:
    """Signatures a second of this machine, on one core and with nothing around them."""
    data, padding, digest = os.urandom(100), PKCS1v15(), hashes.SHA256()
    calls, start = 0, perf_counter()
    while (spent := perf_counter() - start) < RAW_SECONDS:
        for _ in range(10):
            _KEY.sign(data, padding, digest)
        calls += 10
    return calls / spent


_KEY = rsa.generate_private_key(65537, 2048)


def _fetches(port: int, url: str, passes: Passes, database: str, rounds: int) -> list[Bar]:
    ways = {
        "pass": (requests_for(passes), 200),
        "unchanged": (requests_for(passes, if_modified_since=LATER), 304),
        "plain text": (cycle([get("/health/live")]), 200),
    }
    rates: dict[str, list[float]] = {name: [] for name in (*ways, "raw")}
    for number in range(rounds + 1):
        with_connection(url, _change_all)
        found = {
            name: load(port, requests, seconds=SECONDS, connections=16).must_be(status).rate
            for name, (requests, status) in ways.items()
        } | {"raw": raw_rate()}
        if number:  # the first round warms
            for name, rate in found.items():
                rates[name].append(rate)
    share = median(ours / raw for ours, raw in zip(rates["pass"], rates["raw"], strict=True))
    return [
        at_least(f"passes over HTTP on {database}, share of raw RSA-2048 signing", share, BAR),
        shown(f"passes over HTTP on {database}", median(rates["pass"]), "/s"),
        shown(f"passes not modified on {database}", median(rates["unchanged"]), "/s"),
        shown("  plain text", median(rates["plain text"]), "/s"),
        shown("  raw RSA-2048 signatures", median(rates["raw"]), "/s"),
    ]


def _change_all(conn: Connection) -> None:
    conn.execute(update(wallet_pass).values(version=wallet_pass.c.version + 1))
