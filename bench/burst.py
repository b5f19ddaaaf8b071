"""An enrolment burst: fifty people a second go through the three steps for a minute, and nobody is lost.

They come at their own times, whether the server keeps up or not, each on a new connection. Pages, deliveries and
PostgreSQL share the machine's cores with those who ask.
"""

import asyncio
import re
from dataclasses import dataclass, field
from time import perf_counter

import uvloop
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from bench.bars import Bar, at_least, below, shown
from bench.load import get, post, take_answer
from bench.pages import CODED
from bench.registrations import network
from bench.served import durable_postgres, place, served
from web.foundation.delivery import WAITING, delivery
from web.loyalty.customer import customer
from web.migrations import with_connection

SECONDS, LONG_SECONDS, A_SECOND = 60, 180, 50
PAGE_BAR_MS = 500
COOKIE = re.compile(rb"\r\nset-cookie: (visit-brewbar=[^;\r]+)", re.IGNORECASE)


@dataclass
class Burst:
    """What became of it: the time of each page, and how many saw their card."""

    times: list[float] = field(default_factory=list)
    cards: int = 0

    def percentile(self, share: float) -> float:
        return sorted(self.times)[int((len(self.times) - 1) * share)]


def run(long: bool) -> list[Bar]:
    """How many of those who came have a card in the end, and how long pages took meanwhile."""
    seconds = LONG_SECONDS if long else SECONDS
    with place() as here, durable_postgres(here) as url:
        before = with_connection(url, _customers)
        with served(
            here, url, pinned=False, PASITO_WORKER="true", PASITO_TRUSTED_PROXIES="127.0.0.0/8"
        ) as port:
            burst = uvloop.run(_come(port, seconds * A_SECOND))
            left = with_connection(url, _waiting)
        kept = with_connection(url, _customers) - before
    return [
        at_least("burst: cards shown, share of those who came", burst.cards / (seconds * A_SECOND), 1),
        at_least("burst: customers kept, share of the cards shown", kept / burst.cards, 1),
        below("burst: the slowest page in a hundred", burst.percentile(0.99) * 1000, PAGE_BAR_MS, "ms"),
        shown("  the page in the middle", burst.percentile(0.5) * 1000, "ms"),
        shown("  deliveries that wait when the last card is shown", left),
    ]


async def _come(port: int, people: int) -> Burst:
    burst, started = Burst(), perf_counter()
    journeys = []
    for number in range(people):
        await asyncio.sleep(max(0.0, started + number / A_SECOND - perf_counter()))
        journeys.append(asyncio.create_task(_register(port, f"zoe-{number}@example.org", burst)))
    await asyncio.gather(*journeys)
    return burst


async def _register(port: int, email: str, burst: Burst) -> None:
    """One person's journey from the sign to the card."""
    headers = CODED | {"x_forwarded_for": network()}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(request: bytes, expected: int) -> bytes:
        asked = perf_counter()
        writer.write(request)
        received = b""
        while (answer := take_answer(received)) is None:
            part = await reader.read(65536)
            if not part:
                raise ConnectionResetError("the server hung up")
            received += part
        burst.times.append(perf_counter() - asked)
        if answer[0] != expected:
            raise RuntimeError(f"{request[:60]!r} was answered with {answer[0]}")
        return received

    try:
        await ask(get("/brewbar", **headers), 200)
        await ask(get("/brewbar/register", **headers), 200)
        begun = await ask(post("/brewbar/register", {"contact": email}, **headers), 303)
        found = COOKIE.search(begun)
        assert found, "step 1 gives the visit's cookie"
        headers["cookie"] = found[1].decode()
        await ask(get("/brewbar/register/about", **headers), 200)
        done = await ask(post("/brewbar/register/about", {"name": "Zoë", "consents": "news"}, **headers), 303)
        assert b"/register/card" in done, "the registration was not taken"
        await ask(get("/brewbar/register/card", **headers), 200)
        burst.cards += 1
    except (OSError, RuntimeError, AssertionError) as error:
        print(f"{email}: {error}")
    finally:
        writer.close()


def _customers(conn: Connection) -> int:
    return conn.scalar(select(func.count()).select_from(customer)) or 0


def _waiting(conn: Connection) -> int:
    return conn.scalar(select(func.count()).where(delivery.c.state == WAITING)) or 0
