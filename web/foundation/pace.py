"""Keeping to somebody else's limit: requests leave evenly, one after the other, and wait for their turn."""

import asyncio
import random
from time import monotonic

from limits import parse

from web.foundation.limits import Limits, Rule


class Pace:
    """Turns at a rule's rate. Processes share it where `limits` are counted in a store that all of them use.

    Without such a store each process keeps the pace by itself, and the other side's own limit tells the rest.
    """

    def __init__(self, limits: Limits, rule: Rule) -> None:
        item = parse(rule.quota)
        self._limits, self._rule = limits, rule
        self._gap = item.get_expiry() / item.amount
        self._next = 0.0

    @property
    def wait(self) -> float:
        """Seconds until the next turn of this process."""
        return max(0.0, self._next - monotonic())

    def hold(self, seconds: float) -> None:
        """No more turns for so long: the other side asked for quiet."""
        self._next = max(self._next, monotonic() + seconds)

    async def turn(self) -> None:
        """Return when it is our turn. Who waits first goes first."""
        begins = max(monotonic(), self._next)
        self._next = begins + self._gap
        await asyncio.sleep(begins - monotonic())
        while self._limits.are_shared:
            if not (await self._limits.count(self._rule)).refused:
                return
            await asyncio.sleep(self._gap * random.uniform(1, 3))  # noqa: S311 - so that processes do not march in step
