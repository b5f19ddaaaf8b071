"""A thousand taps at one link, over real processes: one of them gets the card, and everybody else a kind page."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Fresh
from tests.pages.steps import Made, link_for, registered
from tests.support.crowd import Guest, Heard
from tests.support.rows import rows_of
from tests.support.serving import IPHONE, PIXEL, Server, serving
from web.foundation.sealing import digest

TAPS = {"sqlite": 500, "postgresql": 1000}
# More at once than four processes have hands, so that taps meet in the database and not in a queue before it.
AT_ONCE = 64
PASS = "application/vnd.apple.pkpass"


@pytest.fixture(scope="module", params=TAPS)
def crowded(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[tuple[Server, int]]:
    """PostgreSQL with four web processes, and SQLite with its one; how many tap there."""
    command = ("serve", "--workers", "4") if request.param == "postgresql" else ("serve",)
    with ExitStack() as stack:
        url = Fresh(request, stack)(request.param)
        yield stack.enter_context(serving(url, data_dir, command=command)), TAPS[request.param]


async def tap_at_once(server: Server, wallet: str, codes: list[str], phone: str = IPHONE) -> list[Heard]:
    """Everybody opens a link in a browser of their own; once all have, all tap."""
    hands = asyncio.Semaphore(AT_ONCE)
    guests = [Guest(server, number, phone) for number in range(len(codes))]

    async def opens(guest: Guest, code: str) -> None:
        async with hands:
            assert (await guest.get(f"/brewbar/l/{code}")).status == 303

    async def taps(guest: Guest) -> Heard:
        async with hands:
            return await guest.post(f"/brewbar/download/{wallet}")

    await asyncio.gather(*map(opens, guests, codes))
    return await asyncio.gather(*map(taps, guests))


@pytest.mark.parametrize("wallet", ["apple", "google"])
async def test_one_link_gives_one_grant_however_many_tap(crowded: tuple[Server, int], wallet: str) -> None:
    server, taps = crowded
    if wallet == "google":
        taps //= 5
    owner = registered(server)
    url = server.environment["DATABASE_URL"]
    link = link_for(server, owner["id"])
    before = len(rows_of(url, "visit", customer_id=owner["id"]))
    answers = await tap_at_once(server, wallet, [link.code] * taps, PIXEL if wallet == "google" else IPHONE)
    told = Counter(answer.status for answer in answers)
    print(f"\n{server.environment['DATABASE_URL'].partition(':')[0]}, {wallet}: {taps} taps: {dict(told)}")
    good = 200 if wallet == "apple" else 303
    assert told == {good: 1, 410: taps - 1}
    [given] = [answer for answer in answers if answer.status == good]
    if wallet == "apple":
        assert given.headers["content-type"] == PASS
    else:
        assert given.headers["location"].startswith("https://pay.google.com/gp/v/save/")
    assert all(b"Send me a new one" in answer.body for answer in answers if answer.status == 410)
    assert use_of(server, link) == 1
    granted = rows_of(url, "visit", customer_id=owner["id"])
    assert len(granted) - before == 1, "one browser more may fetch the card"
    held = [row for row in rows_of(url, "wallet_pass", customer_id=owner["id"]) if row["platform"] == wallet]
    assert len(held) == 1


async def test_of_many_links_tapped_at_once_the_first_ends_the_others(crowded: tuple[Server, int]) -> None:
    """Each tap ends the others' links: transactions that wait for each other crosswise."""
    server, _ = crowded
    owner = registered(server)
    links = [link_for(server, owner["id"]) for _ in range(12)]
    answers = await tap_at_once(server, "apple", [link.code for link in links])
    assert Counter(answer.status for answer in answers) == {200: 1, 410: 11}
    assert sum(use_of(server, link) for link in links) == 1


def use_of(server: Server, link: Made) -> int:
    [row] = rows_of(server.environment["DATABASE_URL"], "one_time_link", jti_hash=digest(link.code))
    return int(row["uses"])
