"""Somebody else's limit is kept by waiting: evenly in a process, and together where processes count together."""

import asyncio
import time

from tests.support.valkey import valkey_server
from web.foundation.limits import Limits, Rule
from web.foundation.pace import Pace


async def turns(pace: Pace, count: int) -> list[float]:
    """When each of so many turns came, all of them waited for at once; in seconds from now."""
    began = time.monotonic()

    async def one() -> float:
        await pace.turn()
        return time.monotonic() - began

    return sorted(await asyncio.gather(*(one() for _ in range(count))))


async def test_turns_come_evenly_and_none_fails() -> None:
    came = await turns(Pace(Limits(), Rule("even", "50/second")), 11)
    assert len(came) == 11
    assert came[-1] >= 0.2
    assert all(came[number] >= number / 50 - 0.005 for number in range(11))


async def test_after_a_rest_the_first_does_not_wait() -> None:
    pace = Pace(Limits(), Rule("rest", "2/second"))
    assert (await turns(pace, 1))[0] < 0.3
    assert 0 < pace.wait <= 0.5


async def test_who_is_asked_for_quiet_keeps_quiet() -> None:
    pace = Pace(Limits(), Rule("quiet", "100/second"))
    pace.hold(0.2)
    assert (await turns(pace, 1))[0] >= 0.19


async def test_processes_keep_one_pace_together_where_they_share_a_store() -> None:
    with valkey_server() as url:
        rule = Rule(f"shared-{time.time()}", "20/second")
        one, other = Pace(Limits(url), rule), Pace(Limits(url), rule)
        both = await asyncio.gather(turns(one, 15), turns(other, 15))
        assert max(came[-1] for came in both) >= 0.9, "alone each has its fifteen within 0.7 seconds"
