"""The programmes, held in memory by each process and renewed when one of them changes."""

import asyncio

from web.foundation.database import Database
from web.foundation.sealing import Sealer
from web.loyalty.program import Program, load_program, versions


class Programs:
    """All programmes by slug. `get` is a dictionary look-up; `refresh` asks which versions have moved on."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._by_slug: dict[str, Program] = {}
        self._by_id: dict[str, Program] = {}
        self.are_loaded = False
        self._refreshing = asyncio.Lock()

    def get(self, slug: str) -> Program | None:
        return self._by_slug.get(slug)

    def by_id(self, program_id: str) -> Program | None:
        return self._by_id.get(program_id)

    def all(self) -> list[Program]:
        return list(self._by_slug.values())

    async def current(self, program_id: str, version: int) -> Program | None:
        """The programme as of `version` or later: read now where another process has changed or made it since."""
        known = self._by_id.get(program_id)
        if known is not None and known.version >= version:
            return known
        async with self._refreshing:
            known = self._by_id.get(program_id)
            if known is None or known.version < version:
                await self.refresh()
        return self._by_id.get(program_id)

    async def refresh(self) -> None:
        """Load what is new or changed since the last call; costs one small query when nothing is."""
        current = await self._database.read(versions)
        for slug, version in current.items():
            known = self._by_slug.get(slug)
            if known is None or known.version != version:
                loaded = await self._database.read(load_program, slug, self._sealer)
                if loaded is not None:
                    self._by_slug[slug] = loaded
                    self._by_id[loaded.id] = loaded
        for slug in self._by_slug.keys() - current.keys():
            self._by_id.pop(self._by_slug.pop(slug).id, None)
        self.are_loaded = True
