"""The designs of programmes, read and laid out once for each version."""

from collections.abc import Callable

from web.foundation.database import Database
from web.loyalty.program import Program
from web.wallet.card import Design
from web.wallet.issue import design_of


class Designs:
    """What a process keeps of programmes' looks. `translate(locale, source)` is the catalogue's."""

    def __init__(self, database: Database, base_url: str, translate: Callable[[str, str], str]) -> None:
        self._database, self._base_url, self._translate = database, base_url, translate
        self._kept: dict[str, Design] = {}

    async def of(self, program: Program) -> Design:
        """The programme's look as of its version."""
        kept = self._kept.get(program.id)
        if kept is None or kept.version != program.version:
            kept = await self._database.read(design_of, program, self._base_url, self._translate)
            self._kept[program.id] = kept
        return kept
