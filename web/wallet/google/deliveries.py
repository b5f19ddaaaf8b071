"""Telling Google of a card: a delivery like any other, so that no customer waits for it."""

from dataclasses import dataclass
from datetime import timedelta

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, GiveUp, TryLater
from web.loyalty.held_card import find_held_card
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import mark_stored
from web.wallet.designs import Designs
from web.wallet.google.client import GoogleClient, GoogleError
from web.wallet.google.wallet import GoogleWallet
from web.wallet.issue import card_of

# Google asks for another try with these; everything else will not get better by itself.
PASSING = {401, 408, 429}


@dataclass(frozen=True)
class GoogleCards:
    """Stores cards and their programme's class at Google. Without a client nothing is stored."""

    database: Database
    programs: Programs
    wallet: GoogleWallet | None
    client: GoogleClient | None
    designs: Designs

    async def store(self, delivery: Delivery) -> None:
        if self.wallet is None or self.client is None:
            raise Drop("Google knows nothing of this installation")
        program = self.programs.by_id(delivery.program_id)
        if program is None:
            raise TryLater("the programme is not loaded yet")
        shown = await find_held_card(self.database, delivery.payload["pass_id"])
        if shown is None or shown.standing is None:
            raise Drop("the card is gone")
        design = await self.designs.of(program)
        try:
            await self.wallet.store(self.client, design, card_of(program, shown))
        except GoogleError as error:
            status = error.status
            if status is None or status >= 500 or status in PASSING:
                wait = error.retry_after
                raise TryLater(
                    f"Google answered {status}", timedelta(seconds=wait) if wait else None
                ) from error
            raise GiveUp(f"Google answered {status}") from error
        await self.database.write(mark_stored, program.id, shown.held.id)
