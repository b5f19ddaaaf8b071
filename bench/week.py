"""A scripted week with thousands of passes: processes are killed, answers lost; in the end every phone is right.

It takes minutes: each card is earned with, spent from, messaged, painted anew, thrown away, restored, voided or erased,
over real HTTP and HTTP/2. The scenario is the one that the tests live through with a hundred passes.
"""

import asyncio

from bench.bars import Bar, at_least, below, shown
from bench.phones import push_service
from bench.served import Place, durable_postgres, place
from tests.support.week import Report, live_through

PEOPLE, LONG_PEOPLE = 1000, 10_000


def run(long: bool) -> list[Bar]:
    """On both databases: how many phones hold another card than the ledger says, which is none."""
    people = LONG_PEOPLE if long else PEOPLE
    with place() as here:
        bars = _bars("SQLite", _live(here, here.sqlite("week"), people))
        with durable_postgres(here) as url:
            bars += _bars("PostgreSQL", _live(here, url, people))
    return bars


def _live(here: Place, url: str, people: int) -> Report:
    with push_service(here) as apns:
        return asyncio.run(live_through(url, here.folder, apns, people, say=_say))


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _bars(database: str, report: Report) -> list[Bar]:
    for fault in report.faults[:10]:
        print(f"  {fault}")
    lost = report.losses["request"] + report.losses["answer"]
    return [
        below(f"week, {database}: cards and statuses that are wrong in the end", len(report.faults), 1),
        at_least("  cards on phones compared with what the ledger says", report.cards_compared, 1),
        shown("  passes issued", report.people),
        shown("  processes killed", report.kills),
        shown("  requests and answers lost", lost),
        shown("  pushes", report.pushes),
        shown("  notices on lock screens", report.notices),
        shown("  the week took", report.seconds, " s"),
        shown("  from the last change until all was quiet", report.settled_seconds, " s"),
    ]
