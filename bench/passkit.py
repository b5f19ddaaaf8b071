"""Apple's web service: passes fetched over HTTP as a share of raw RSA-2048 signing on one core.

A design that rolls out is fetched by every phone, and each pass has to be signed anew: the machine's rate of signing is
what nobody can be faster than.
"""

import os
from itertools import cycle
from statistics import median
from time import perf_counter

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from sqlalchemy import insert, select, update

from bench.bars import Bar, at_least, shown
from bench.load import get, load
from bench.members import add_members
from bench.served import PRODUCTION, Place, place, served
from tests.support.postgres import postgres_server
from web.loyalty.customer import customer
from web.loyalty.wallet_pass import pass_row, wallet_pass
from web.migrations import with_connection
from web.settings import Settings
from web.wallets import apple_certificates

PEOPLE, ENTRIES = 1000, 5
ROUNDS, SECONDS = 7, 0.5
BAR = 0.5
PASS_TYPE = "pass.dev.pasito.card"


def run(long: bool) -> list[Bar]:
    """Passes sent, and the answer "not modified", on both databases."""
    bars = []
    with place() as here, postgres_server(durable=True) as server:
        urls = {"SQLite": here.sqlite("passkit"), "PostgreSQL": here.filled(server.url("postgres"))}
        for database, url in urls.items():
            passes = with_connection(url, add_passes)
            with served(here, url, **signing(here)) as port:
                bars += _fetches(port, url, passes, database, ROUNDS * (3 if long else 1))
    return bars


def add_passes(conn):
    add_members(conn, [ENTRIES] * PEOPLE)
    rows = [
        pass_row(row.program_id, row.id, "apple")
        for row in conn.execute(
            select(customer.c.program_id, customer.c.id).where(customer.c.origin == "bench")
        )
    ]
    conn.execute(insert(wallet_pass), rows)
    return [(row["id"], row["token"]) for row in rows]


def signing(here: Place) -> dict[str, str]:
    """Production's settings, with certificates that the development authority made."""
    settings = Settings(data_dir=here.folder, base_url="https://localhost")
    apple_certificates(settings)
    folder = here.folder / "signing"
    from web.wallet.apple import development

    return PRODUCTION | {
        "PASITO_APPLE_CERTIFICATE": str(folder / development.CERTIFICATE),
        "PASITO_APPLE_KEY": str(folder / development.KEY),
        "PASITO_APPLE_INTERMEDIATE": str(folder / development.INTERMEDIATE),
    }


def _fetches(port, url, passes, database, rounds):
    def asked(**headers):
        return cycle(
            [
                get(f"/passkit/v1/passes/{PASS_TYPE}/{serial}", authorization=f"ApplePass {token}", **headers)
                for serial, token in passes
            ]
        )

    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    ways = {
        "pass": (asked(), 200),
        "unchanged": (asked(if_modified_since=later), 304),
        "text": (cycle([get("/health/live")]), 200),
    }
    rates = {name: [] for name in [*ways, "raw"]}
    for number in range(rounds + 1):
        for name, (requests, status) in ways.items():
            if name == "pass":
                with_connection(
                    url,
                    lambda conn: conn.execute(update(wallet_pass).values(version=wallet_pass.c.version + 1)),
                )
            rate = load(port, requests, seconds=SECONDS, connections=16).must_be(status).rate
            if number:
                rates[name].append(rate)
        if number:
            rates["raw"].append(raw_rate())
    share = median(a / b for a, b in zip(rates["pass"], rates["raw"], strict=True))
    return [
        at_least(f"passes over HTTP on {database}, share of raw RSA-2048 signing", share, BAR),
        *(shown(f"  {name}", median(rates[name]), "/s") for name in rates),
    ]


KEY = rsa.generate_private_key(65537, 2048)


def raw_rate() -> float:
    data, padding, digest = os.urandom(100), PKCS1v15(), hashes.SHA256()
    calls, start = 0, perf_counter()
    while (spent := perf_counter() - start) < 0.3:
        for _ in range(10):
            KEY.sign(data, padding, digest)
        calls += 10
    return calls / spent
