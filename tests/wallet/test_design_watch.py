"""A programme whose cards changed is noticed, whatever is wrong with another one."""

import asyncio

from web.foundation.database import Database
from web.foundation.sealing import Sealer
from web.loyalty.card_design import newest_design
from web.loyalty.program import Program, create_program
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.programs import Programs
from web.wallet.card import Design
from web.wallet.design_rollout import DesignWatch
from web.wallet.designs import Designs


class OneIsBroken(Designs):
    broken = ""

    async def of(self, program: Program) -> Design:
        if program.slug == self.broken:
            raise ValueError("its logo cannot be read")
        return await super().of(program)


async def test_a_design_that_cannot_be_made_holds_up_no_other(
    database: Database, program: Program, sealer: Sealer
) -> None:
    await database.write(create_program, "another", ProgramSettings(name="Another"), sealer)
    programs = Programs(database, sealer)
    await programs.refresh()
    designs = OneIsBroken(database, "https://cards.example", lambda _, text: text)
    first, second = programs.all()
    designs.broken = first.slug
    watch = DesignWatch(database, programs, designs, asyncio.Event())
    await watch.look()
    assert await database.read(newest_design, first.id) is None
    assert await database.read(newest_design, second.id) is not None
    designs.broken = ""
    await watch.look()
    assert await database.read(newest_design, first.id) is not None
