"""A customer's own pages: the profile as a share of plain text and against Django, and a history that grows.

The profile is asked for by a few hundred customers in turn, each with a session of their own.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from statistics import median

from bench.bars import Bar, at_least, below, shown
from bench.django_page.serving import django_served, session_cookie
from bench.load import get, load
from bench.members import add_members, cookie_of
from bench.pages import BROWSER, CODED
from bench.served import PRODUCTION, Place, place, served
from tests.support.postgres import postgres_server
from web.migrations import with_connection

PEOPLE, ENTRIES = 250, 40
ROUNDS, SECONDS = 7, 0.4
BARS = {"SQLite": 0.20, "PostgreSQL": 0.17}
TIMES_DJANGO = 7
FEW, MANY, LONGEST = 1_000, 1_000_000, 10_000
GROWTH = 1.3


def run(long: bool) -> list[Bar]:
    """The profile on both databases, ours and Django's."""
    bars = []
    with place() as here, ExitStack() as stack:
        server = stack.enter_context(postgres_server(durable=True))
        ours = {"SQLite": here.sqlite("members"), "PostgreSQL": here.filled(server.url("postgres"))}
        theirs = {
            "SQLite": f"sqlite:///{here.folder / 'django.db'}",
            "PostgreSQL": stack.enter_context(server.fresh("template0")),
        }
        for database, url in ours.items():
            with_connection(url, lambda conn: add_members(conn, [ENTRIES] * PEOPLE))
            with (
                served(here, url, **PRODUCTION) as port,
                django_served(here, theirs[database], people=PEOPLE, entries=ENTRIES) as django_port,
            ):
                bars += _profile(port, django_port, database, ROUNDS * (3 if long else 1))
    return bars


def _profile(port: int, django_port: int, database: str, rounds: int) -> list[Bar]:
    def asked(path: str, browser: dict[str, str]) -> Iterator[bytes]:
        headers = browser | {"accept_language": "en"}
        return cycle([get(path, cookie=cookie_of(n), **headers) for n in range(PEOPLE)])

    page = "/brewbar/profile"
    ways = {
        "text": (port, asked("/health/live", CODED)),
        "page": (port, asked(page, CODED)),
        "page, no compression": (port, asked(page, BROWSER)),
        "part": (port, asked(page, CODED | {"hx_request": "true"})),
        "django": (
            django_port,
            cycle([get(page, cookie=session_cookie(n), accept_language="en") for n in range(PEOPLE)]),
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (where, requests) in ways.items():
            rate = load(where, requests, seconds=SECONDS, connections=16).must_be(200).rate
            if number:  # the first round warms
                rates[name].append(rate)

    def ratio(of: str, to: str) -> float:
        return median(a / b for a, b in zip(rates[of], rates[to], strict=True))

    return [
        at_least(f"profile on {database}, share of plain text", ratio("page", "text"), BARS[database]),
        at_least(
            f"profile on {database}, no compression", ratio("page, no compression", "text"), BARS[database]
        ),
        shown(f"profile on {database}, by htmx", ratio("part", "text")),
        at_least(
            f"profile on {database}, times Django's, neither compressed",
            ratio("page, no compression", "django"),
            TIMES_DJANGO,
        ),
        shown(f"profile on {database}", median(rates["page"]), "/s"),
        shown(f"Django's profile on {database}", median(rates["django"]), "/s"),
    ]


def history(long: bool) -> list[Bar]:
    """The first and last page of transactions in a programme with a thousand entries and with a million."""
    bars = []
    for name, pair in (("SQLite", _on_sqlite), ("PostgreSQL", _on_postgres)):
        with place() as here, pair(here) as (few_url, many_url):
            with_connection(few_url, lambda conn: add_members(conn, [FEW]))
            others = [100] * ((MANY - LONGEST) // 100)
            with_connection(many_url, lambda conn, others=others: add_members(conn, [LONGEST, *others]))
            if name == "PostgreSQL":
                for url in (few_url, many_url):
                    with_connection(url, lambda conn: conn.exec_driver_sql("analyze"))
            with (
                served(here, few_url, **PRODUCTION) as few,
                served(here, many_url, **PRODUCTION) as many,
            ):
                bars += _growth(few, many, name, ROUNDS * (3 if long else 1))
    return bars


def _growth(few: int, many: int, database: str, rounds: int) -> list[Bar]:
    """Both pages show 30 entries: the last one the oldest of a thousand, or of ten thousand."""
    pages = {"first": "", "last": "?before=31"}
    found: dict[str, list[float]] = {name: [] for name in pages}
    for number in range(rounds + 1):
        for name, query in pages.items():
            request = get(f"/brewbar/transactions{query}", cookie=cookie_of(0), **CODED)
            fast, slow = (
                load(port, cycle([request]), seconds=SECONDS / 2, connections=1).must_be(200).percentile(0.5)
                for port in (few, many)
            )
            if number:
                found[name].append(slow / fast)
    return [
        below(f"transactions, {name} page, {MANY:,} against {FEW:,} on {database}", median(growths), GROWTH)
        for name, growths in found.items()
    ]


@contextmanager
def _on_sqlite(here: Place) -> Iterator[tuple[str, str]]:
    yield here.sqlite("few"), here.sqlite("many")


@contextmanager
def _on_postgres(here: Place) -> Iterator[tuple[str, str]]:
    with postgres_server() as server, server.fresh() as few, server.fresh() as many:
        yield here.filled(few), here.filled(many)
