"""Telling Google of a card: a delivery like any other, so that no customer waits for it."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from web.foundation.database import Database
from web.foundation.delivery import Away, Delivery, Drop, GiveUp, TryLater, Wait
from web.loyalty.held_card import HeldCard, find_held_card
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import mark_stored
from web.wallet.card import Card, Design
from web.wallet.designs import Designs
from web.wallet.google.client import (
    GoogleClient,
    GoogleError,
    NotFoundError,
    TooManyRequestsError,
)
from web.wallet.google.telling import OutdatedError, Teller
from web.wallet.google.told import forget_told
from web.wallet.google.wallet import GoogleWallet
from web.wallet.issue import card_of

# The card itself gets better by none of these; the service account's rights (401, 403) are the operator's to mend.
PASSING = {401, 403, 408, 429}
# Programme, kind and headline: cards that agree in these are of one class.
Like = tuple[str, str, str | None]
NOTHING_THERE = "Google knows nothing of this installation"


@dataclass(frozen=True)
class GoogleCards:
    """Keeps cards and their programmes' classes at Google as they are here. Without a client nothing is stored."""

    database: Database
    programs: Programs
    wallet: GoogleWallet | None
    client: GoogleClient | None
    designs: Designs
    # By what the cards of a class have in common: the versions of programme and design that Google knows it in.
    _classes: dict[Like, tuple[int, int]] = field(default_factory=dict)
    _locks: defaultdict[Like, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def store(self, delivery: Delivery) -> None:
        """The handler of `google_card`. Raises what a delivery's end is called: Drop, Wait, TryLater, GiveUp."""
        await self.keep(delivery.program_id, delivery.payload["pass_id"], again=delivery.tries > 1)

    async def keep(self, program_id: str, pass_id: str, *, again: bool = False) -> None:
        """Make Google hold a pass as it is now. Raises: the same.

        `again`: an earlier try may have arrived there without our knowing.
        """
        try:
            await self._keep(program_id, pass_id, again)
        except OutdatedError as error:
            raise Wait("Google was told something newer meanwhile", timedelta(seconds=1)) from error
        except GoogleError as error:
            raise ending(error) from error

    async def _keep(self, program_id: str, pass_id: str, again: bool) -> None:
        wallet, teller = self._at_work()
        program, shown = await self._read(program_id, pass_id)
        held = shown.held
        if shown.standing is None:
            await teller.blank(program.id, *wallet.name_of(held.kind, held.id), held.version)
            return
        if held.voided_at is not None and held.stored_at is None and held.handed_version is None:
            raise Drop("the card was void before Google could hear of it")
        design = await self.designs.of(program)
        card = card_of(program, shown)
        await self._keep_class(wallet, teller, program, design, card)
        part = wallet.object_of(design, card)
        try:
            await teller.tell(program.id, part.resource, part.content, held.version, again=again)
        except NotFoundError as error:
            self._classes.pop((program.id, card.kind, card.headline), None)
            await self.database.write(forget_told, program.id, part.content["classId"])
            raise TryLater("Google does not have the class any more") from error
        if held.stored_at is None:
            await self.database.write(mark_stored, program.id, held.id, held.version)

    async def place(self, program: Program, shown: HeldCard) -> None:
        """Make sure that Google holds a pass, so that a link need only name it; a newer content is left alone.

        Raises: Drop where Google knows nothing of us, OutdatedError, GoogleError.
        """
        wallet, teller = self._at_work()
        design, card = await self.designs.of(program), card_of(program, shown)
        await self._keep_class(wallet, teller, program, design, card)
        part = wallet.object_of(design, card)
        await teller.place(program.id, part.resource, part.content, shown.held.version)
        await self.database.write(mark_stored, program.id, shown.held.id, shown.held.version)

    def _at_work(self) -> tuple[GoogleWallet, Teller]:
        if self.wallet is None or self.client is None:
            raise Drop(NOTHING_THERE)
        return self.wallet, Teller(self.database, self.client)

    async def _read(self, program_id: str, pass_id: str) -> tuple[Program, HeldCard]:
        shown = await find_held_card(self.database, pass_id)
        if shown is None:
            raise Drop("the pass is gone")
        program = self.programs.by_id(program_id)
        if program is None or program.version < shown.program_version:
            await self.programs.refresh()  # another process made or changed it
            program = self.programs.by_id(program_id)
        if program is None:
            raise TryLater("the programme is not loaded yet")
        return program, shown

    async def _keep_class(
        self, wallet: GoogleWallet, teller: Teller, program: Program, design: Design, card: Card
    ) -> None:
        like = (program.id, card.kind, card.headline)
        state = (program.version, design.version)
        async with self._locks[like]:  # of many cards the first tells of their class
            if self._classes.get(like) == state:
                return
            part = wallet.class_of(design, card)
            await teller.tell(program.id, part.resource, part.content, program.version)
            self._classes[like] = state


def ending(error: GoogleError) -> Exception:
    """How a delivery ends that Google said no to."""
    after = None if error.retry_after is None else timedelta(seconds=error.retry_after)
    if isinstance(error, TooManyRequestsError):
        return Wait("Google asked for quiet", after or timedelta(seconds=5))
    if error.status is None or error.status >= 500 or error.status in PASSING:
        return Away(f"Google answered {error.status}", after)
    return GiveUp(f"Google answered {error.status}")
