"""Registrations over HTTP, durable when they are answered: what the group commit and the plain SQL are worth.

On SQLite the same server is measured with one commit for each request; on PostgreSQL the least that a write over
HTTP can be, one row inserted and committed, is measured beside it, behind the same shell on the same server.
Visits that have done step 1 are prepared beforehand, so that a POST of step 2 is all that is measured.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from statistics import median

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from bench.bars import Bar, at_least, shown
from bench.load import Load, load, post
from bench.pages import IPHONE
from bench.served import BARE_PATH, bare_row, durable_postgres, place, served
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import digest, random_token
from web.loyalty.program import program
from web.loyalty.visit import visit
from web.migrations import with_connection

ROUNDS, SECONDS, CLIENTS = 7, 0.5, 32
MOST_A_SECOND = 5000  # visits to prepare: more than are used up
SQLITE_BAR, POSTGRES_BAR = 1.5, 0.9
_numbers = count(1)


def run(long: bool) -> list[Bar]:
    rounds = ROUNDS * (3 if long else 1)
    return [*on_sqlite(rounds), *on_postgres(rounds)]


def on_sqlite(rounds: int) -> list[Bar]:
    """The group commit against one commit for each request."""
    with place() as here, ExitStack() as stack:
        urls = [here.sqlite(name) for name in ("grouped", "alone")]
        posts = [prepared_posts(url, rounds) for url in urls]
        grouped = stack.enter_context(served(here, urls[0], PASITO_TRUSTED_PROXIES="127.0.0.0/8"))
        alone = stack.enter_context(served(here, urls[1], batch=1, PASITO_TRUSTED_PROXIES="127.0.0.0/8"))
        both = [(_load(grouped, posts[0]), _load(alone, posts[1])) for _ in range(rounds + 1)][1:]
    return [
        at_least("registration on SQLite, against a commit for each request", _ratio(both), SQLITE_BAR),
        shown("registrations on SQLite", median(ours.rate for ours, _ in both), "/s"),
        shown("  the slowest in a hundred", median(ours.percentile(0.99) for ours, _ in both) * 1000, "ms"),
    ]


def on_postgres(rounds: int) -> list[Bar]:
    """A whole registration against one bare row."""
    with place() as here, durable_postgres(here) as url:
        with_connection(url, bare_row.metadata.create_all)
        posts, bare = prepared_posts(url, rounds), bare_posts()
        with served(here, url, PASITO_TRUSTED_PROXIES="127.0.0.0/8") as port:
            both = [(_load(port, posts), _load(port, bare)) for _ in range(rounds + 1)][1:]
    return [
        at_least("registration on PostgreSQL, against a bare insert", _ratio(both), POSTGRES_BAR),
        shown("registrations on PostgreSQL", median(ours.rate for ours, _ in both), "/s"),
        shown("  the slowest in a hundred", median(ours.percentile(0.99) for ours, _ in both) * 1000, "ms"),
    ]


def prepared_posts(url: str, rounds: int) -> Iterator[bytes]:
    """Posts of step 2, one for each of enough visits that have done step 1; each from a network of its own."""
    tokens = [random_token() for _ in range(round((rounds + 1) * SECONDS * MOST_A_SECOND))]
    with_connection(url, lambda conn: _begin_visits(conn, tokens))
    form: dict[str, str | list[str]] = {"name": "Zoë Núñez", "consents": ["news"]}
    return (
        post(
            "/brewbar/register/about",
            form,
            cookie=f"visit-brewbar={token}",
            user_agent=IPHONE,
            accept_language="es-ES,es;q=0.9",
            x_forwarded_for=network(),
        )
        for token in tokens
    )


def bare_posts() -> Iterator[bytes]:
    """Posts to the bare route, with what a browser sends besides, since the shell reads it."""
    while True:
        yield post(
            BARE_PATH,
            {"name": "Zoë Núñez", "email": "zoe@example.org"},
            cookie=f"visit-brewbar={'x' * 43}",
            user_agent=IPHONE,
            accept_language="es-ES,es;q=0.9",
            x_forwarded_for=network(),
        )


def network() -> str:
    """An address in a network that nobody had before, so that no limit is met."""
    number = next(_numbers)
    return f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7"


def _begin_visits(conn: Connection, tokens: list[str]) -> None:
    program_id, now = conn.scalar(select(program.c.id).where(program.c.slug == "brewbar")), utc_now()
    emails = [f"zoe-{new_id()}@example.org" for _ in tokens]
    conn.execute(
        insert(visit),
        [
            {
                "program_id": program_id,
                "id": new_id(),
                "token_hash": digest(token),
                "draft": {
                    "contact": {"typed": email, "email": {"value": email, "key": email}, "phone": None}
                },
                "created_at": now,
                "expires_at": now + timedelta(days=2),
            }
            for token, email in zip(tokens, emails, strict=True)
        ],
    )


def _load(port: int, posts: Iterator[bytes]) -> Load:
    return load(port, posts, seconds=SECONDS, connections=CLIENTS).must_be(303)


def _ratio(both: list[tuple[Load, Load]]) -> float:
    return median(ours.rate / other.rate for ours, other in both)
