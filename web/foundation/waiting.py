"""Units of work that wait for the same commit, and how they are run together."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

Item = TypeVar("Item")
T = TypeVar("T")
Units = Callable[[Connection, list[Item]], list[T]]


class Waiting:
    """One item of `units` on its way, and the future that hears how it ended."""

    __slots__ = ("future", "item", "loop", "units")

    def __init__(self, units: Units[Any, Any], item: Any) -> None:
        self.units = units
        self.item = item
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def settle(self, value: Any, error: BaseException | None) -> None:
        # The caller may have gone away (a closed connection cancels its future); the commit stands all the same.
        if not self.future.done():
            if error is None:
                self.future.set_result(value)
            else:
                self.future.set_exception(error)


def run_batch(conn: Connection, batch: list[Waiting]) -> list[Any]:
    """What each of a batch returns, in its place; those of the same `units` are one call of it."""
    places: dict[Units[Any, Any], list[int]] = {}
    for place, waiting in enumerate(batch):
        places.setdefault(waiting.units, []).append(place)
    values: list[Any] = [None] * len(batch)
    for units, own in places.items():
        found = units(conn, [batch[place].item for place in own])
        for place, value in zip(own, found, strict=True):
            values[place] = value
    return values
