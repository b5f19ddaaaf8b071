"""The pages made for one visitor: step 2 and the card, as a share of plain text in the same run."""

from contextlib import ExitStack
from datetime import timedelta
from itertools import repeat
from statistics import median

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from bench.bars import Bar, shown
from bench.load import get, load
from bench.pages import CODED, ROUNDS, SECONDS
from bench.served import durable_postgres, place, served
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import digest
from web.loyalty.customer import customer
from web.loyalty.program import program
from web.loyalty.registration import CONTACT
from web.loyalty.visit import visit
from web.migrations import with_connection

BEGUN, DONE = "begun", "done"


def run(long: bool) -> list[Bar]:
    """Step 2 of a visit that gave its address, and the card of a demo customer, on both databases."""
    bars = []
    with place() as here, ExitStack() as stack:
        urls = {"SQLite": here.sqlite("dynamic"), "PostgreSQL": stack.enter_context(durable_postgres(here))}
        for database, url in urls.items():
            with_connection(url, _begin_visits)
            with served(here, url) as port:
                bars += _measure(port, database, ROUNDS * (3 if long else 1))
    return bars


def _measure(port: int, database: str, rounds: int) -> list[Bar]:
    def rate(request: bytes) -> float:
        return load(port, repeat(request), seconds=SECONDS).must_be(200).rate

    text = get("/health/live", **CODED)
    pages = {
        "step 2": get("/brewbar/register/about", cookie=f"visit-brewbar={BEGUN}", **CODED),
        "step 3, the card": get("/brewbar/register/card", cookie=f"visit-brewbar={DONE}", **CODED),
    }
    shares: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(rounds):
        for name, request in pages.items():
            before, page = rate(text), rate(request)
            shares[name].append(2 * page / (before + rate(text)))
    return [
        shown(f"{name} on {database}, share of plain text", median(found)) for name, found in shares.items()
    ]


def _begin_visits(conn: Connection) -> None:
    program_id, now = conn.scalar(select(program.c.id).where(program.c.slug == "brewbar")), utc_now()
    ana = conn.scalar(select(customer.c.id).where(customer.c.email_key == "ana@example.com"))
    email = "zoe@example.org"
    common = {
        "program_id": program_id,
        "created_at": now,
        "expires_at": now + timedelta(days=2),
        "granted_until": now + timedelta(hours=1),
    }
    draft = {CONTACT: {"typed": email, "email": {"value": email, "key": email}, "phone": None}}
    conn.execute(
        insert(visit),
        [
            {**common, "id": new_id(), "token_hash": digest(BEGUN), "draft": draft, "customer_id": None},
            {**common, "id": new_id(), "token_hash": digest(DONE), "draft": {}, "customer_id": ana},
        ],
    )
