"""Noticing that a programme's cards look different from now on, and taking that to the phones at a pace."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import structlog

from web.foundation.database import Database, DatabaseUnreachable
from web.foundation.delivery import Delivery, Drop, Wait, enqueue_merged
from web.loyalty.card_design import newest_design, roll_out, settle_design
from web.loyalty.installation import forget_push_token, phones_with
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import update_row
from web.wallet.apple.push import Pusher
from web.wallet.design_parts import parts_of
from web.wallet.designs import Designs

log = structlog.get_logger("designs")

BATCH = 500
# Shorter than a delivery's lease, so that no second worker thinks this one dead.
TURN_SECONDS = 20.0


@dataclass
class DesignWatch:
    """Compares each programme that a process has loaded anew with the last version of its design.

    Whatever changed it, a command, the API or a new release of this program, leads here.
    """

    database: Database
    programs: Programs
    designs: Designs
    work_to_do: asyncio.Event
    _seen: dict[str, int] = field(default_factory=dict)

    async def look(self) -> None:
        """Raises: DatabaseUnreachable. A programme whose design cannot be made is looked at again next time."""
        for program in self.programs.all():
            if self._seen.get(program.id) == program.version:
                continue
            try:
                await self._settle(program)
            except DatabaseUnreachable:
                raise
            except Exception as error:  # the cards of all other programmes must not stay as they are for it
                log.error("a design cannot be made", program=program.slug, kind=type(error).__name__)
            else:
                self._seen[program.id] = program.version

    async def _settle(self, program: Program) -> None:
        parts = parts_of(program, await self.designs.of(program))
        last = await self.database.read(newest_design, program.id)
        if last is None or last.parts != parts:
            await self.database.write(settle_design, program.id, parts)
            self.work_to_do.set()


@dataclass(frozen=True)
class AppleBatches:
    """Pushes to the phones of a whole batch of passes. Without a pusher there is nobody to tell."""

    database: Database
    pusher: Pusher | None

    async def tell(self, delivery: Delivery) -> None:
        """One push to each phone. Those that Apple could not take now become deliveries of their own, with their own
        patience; the batch itself is never repeated for the sake of a few."""
        if self.pusher is None:
            raise Drop("no phone trusts this installation's passes")
        program_id = delivery.program_id
        phones = await self.database.read(phones_with, program_id, delivery.payload["pass_ids"])
        outcomes = await self.pusher.push(list(phones))
        again: set[str] = set()
        for (token, pass_ids), outcome in zip(phones.items(), outcomes, strict=True):
            if outcome.verdict == "gone":
                await self.database.write(forget_push_token, token, outcome.since)
            elif outcome.verdict != "pushed":
                again.update(pass_ids)
        if again:
            rows = [update_row(program_id, pass_id, "apple") for pass_id in sorted(again)]
            await self.database.write(enqueue_merged, rows)


@dataclass(frozen=True)
class Rollouts:
    """Rolls designs out, `pace` passes a second: each of their phones comes to fetch its card, all at once if it
    could."""

    database: Database
    work_to_do: asyncio.Event
    pace: int

    async def roll(self, delivery: Delivery) -> None:
        """Batch after batch; between two turns, and after any interruption, it goes on where it was."""
        until = monotonic() + TURN_SECONDS
        most = min(BATCH, self.pace)
        while monotonic() < until:
            began = monotonic()
            moved = await self.database.write(roll_out, delivery.program_id, most)
            self.work_to_do.set()
            if not moved:
                return
            await asyncio.sleep(max(0.0, moved / self.pace - (monotonic() - began)))
        raise Wait("there is more to do", timedelta())
