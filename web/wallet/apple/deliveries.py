"""Telling the phones that hold a pass of its change: a delivery like any other, so that nobody waits for Apple."""

from dataclasses import dataclass

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, TryLater
from web.loyalty.installation import forget_push_token, push_tokens_of
from web.wallet.apple.push import Pusher


class PushRefused(Exception):
    """Apple takes no push of ours until something is mended here: the certificate, or the pass type."""


@dataclass(frozen=True)
class AppleCards:
    """Pushes to the phones of passes that changed. Without a pusher there is nobody to tell."""

    database: Database
    pusher: Pusher | None

    async def tell(self, delivery: Delivery) -> None:
        """Push to each phone of the pass; phones that are gone are forgotten.

        Raises: Drop, TryLater, PushRefused. After either of the last two every phone is pushed to again, which costs
        one that was reached before no more than a question.
        """
        if self.pusher is None:
            raise Drop("no phone trusts this installation's passes")
        tokens = await self.database.read(push_tokens_of, delivery.program_id, delivery.payload["pass_id"])
        if not tokens:
            raise Drop("the pass is on no phone")
        outcomes = await self.pusher.push(tokens)
        for token, outcome in zip(tokens, outcomes, strict=True):
            if outcome.verdict == "gone":
                await self.database.write(forget_push_token, token, outcome.since)
        if refused := [outcome for outcome in outcomes if outcome.verdict == "refused"]:
            raise PushRefused(f"Apple refuses our pushes: {refused[0].reason}")
        if later := [outcome for outcome in outcomes if outcome.verdict == "later"]:
            waits = [outcome.after for outcome in later if outcome.after is not None]
            raise TryLater(f"Apple: {later[0].reason}", max(waits, default=None))
