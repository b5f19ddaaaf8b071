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
        self._kept: dict[str, tuple[int, Design]] = {}

    async def of(self, program: Program) -> Design:
        """The programme's look as of its version."""
        version, design = self._kept.get(program.id, (0, None))
        if design is None or version != program.version:
            design = await self._database.read(design_of, program, self._base_url, self._translate)
            self._kept[program.id] = (program.version, design)
        return design
