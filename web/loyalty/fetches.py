"""Which versions of cards phones have fetched, written down some at a time and after the answers.

A design that rolls out is fetched by thousands of phones a second; a write for each would cost as much as its
signature. A process that is killed forgets at most the last moment's: a card is then fetched and not known to be.
"""

import asyncio
import contextlib

from web.foundation.database import Database, DatabaseUnreachable
from web.loyalty.held_card import HeldCard
from web.loyalty.installation import Fetched, mark_fetched

COLLECT_SECONDS = 0.3
# As many share a statement; what is fetched meanwhile waits for the next.
MOST = 1000
# A database that is away for long is not waited for by what we remember.
MOST_KEPT = 200_000


class Fetches:
    """Remembers what phones fetched, and writes it down while there is something."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, Fetched] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, card: HeldCard) -> None:
        """A phone holds a card in its present version. Costs nothing where that is known."""
        held = card.held
        if held.fetched_version is not None and held.fetched_version >= held.version:
            return
        if len(self._seen) < MOST_KEPT:
            self._seen[held.id] = Fetched(
                program_id=card.program_id,
                pass_id=held.id,
                version=held.version,
                is_nobodys=card.standing is None,
            )
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_for_a_while())

    async def close(self) -> None:
        """Write down what is left."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
        await self._write_all()

    async def _write_for_a_while(self) -> None:
        while self._seen and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), COLLECT_SECONDS)
            await self._write_all()

    async def _write_all(self) -> None:
        while self._seen:
            some = [self._seen[name] for name in list(self._seen)[:MOST]]
            try:
                await self._database.write(mark_fetched, some)
            except DatabaseUnreachable:
                return
            for each in some:
                if self._seen.get(each.pass_id) is each:
                    del self._seen[each.pass_id]
