"""From a change of a balance to the card on a phone: API, ledger, worker, push over HTTP/2, fetch, a new card shown.

The phone is the emulated one, and speaks real HTTP; Apple's part is the stand-in's, which takes no time of its own.
"""

import asyncio
import random
from contextlib import ExitStack
from time import perf_counter

from bench.bars import Bar, below, shown
from bench.phones import push_service
from bench.served import Place, durable_postgres, place
from tests.support.apns import ApnsServer
from tests.support.house import House
from tests.support.lean import Lean
from tests.support.ports import free_port
from tests.support.week import Week
from tests.support.week_truth import BASE_URL, Person

CHANGES, LONG_CHANGES, PHONES = 60, 300, 20
PAUSE = 0.05
# A person who pays hears the till, and then the phone.
BAR_MS = 2000


def run(long: bool) -> list[Bar]:
    """From sending the change until the phone shows it, with the worker in the web process and apart from it."""
    changes = LONG_CHANGES if long else CHANGES
    with place() as here, push_service(here) as apns, durable_postgres(here) as url:
        ways = {
            "SQLite, worker in the web process": (here.sqlite("live"), False),
            "PostgreSQL, worker in the web process": (url, False),
            "PostgreSQL, worker in a process of its own": (url, True),
        }
        bars = []
        for name, (database, is_apart) in ways.items():
            times = sorted(asyncio.run(_measure(here, apns, database, is_apart, changes)))
            bars += [
                below(
                    f"live: {name}, slowest in a hundred",
                    times[int(len(times) * 0.99) - 1] * 1000,
                    BAR_MS,
                    "ms",
                ),
                shown("  in the middle", times[len(times) // 2] * 1000, "ms"),
            ]
        return bars


async def _measure(here: Place, apns: ApnsServer, url: str, is_apart: bool, changes: int) -> list[float]:
    with ExitStack() as stack:
        house = await asyncio.to_thread(
            House,
            stack,
            url,
            here.folder,
            free_port(),
            has_worker=is_apart,
            PASITO_BASE_URL=BASE_URL,
            **apns.environment,
        )
        lean = Lean(house.port)
        week = Week(house, apns, lean, here.folder, random.Random(7), ())
        async with week.fleet:
            await week.settle_in(PHONES)
            for person in week.people:
                await week.install(person)
            # Pushes that follow the installation itself are over.
            await week.sunday()
            times = []
            for number in range(changes):
                times.append(await _change(week, week.people[number % PHONES]))
                await asyncio.sleep(PAUSE)
            await lean.close()
        return times


async def _change(week: Week, person: Person) -> float:
    """Seconds from sending one point until the phone shows it."""
    phone = person.phone
    before, began = phone.changes, perf_counter()
    await week.merchant.change("increase", {person.customer_id: 1}, "Coffee")
    while phone.changes == before:
        if perf_counter() - began > 30:
            raise RuntimeError("the phone never showed the change")
        await asyncio.sleep(0.002)
    return perf_counter() - began
