"""Telling the phones that hold a pass of its change: a delivery like any other, so that nobody waits for Apple."""

import asyncio
from dataclasses import dataclass, field

from web.foundation.database import Database
from web.foundation.delivery import Away, Delivery, Drop
from web.loyalty.installation import forget_push_token, phones_of
from web.wallet.apple.push import Pusher

# A push costs next to nothing but the commits around it, which many share.
MOST_AT_ONCE = 256


class PushRefused(Exception):
    """Apple takes no push of ours until something is mended here: the certificate, or the pass type."""


@dataclass
class AppleCards:
    """Pushes to the phones of passes that changed. Without a pusher there is nobody to tell."""

    database: Database
    pusher: Pusher | None
    _asked: dict[tuple[str, str], asyncio.Future[list[str]]] = field(default_factory=dict)
    _reading: set[asyncio.Task[None]] = field(default_factory=set)

    async def tell(self, delivery: Delivery) -> None:
        """Push to each phone of the pass; phones that are gone are forgotten.

        Raises: Drop, Away, PushRefused. After either of the last two every phone is pushed to again, which costs
        one that was reached before no more than a question.
        """
        if self.pusher is None:
            raise Drop("no phone trusts this installation's passes")
        tokens = await self._phones(delivery.program_id, delivery.payload["pass_id"])
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
            raise Away(f"Apple: {later[0].reason}", max(waits, default=None))

    async def _phones(self, program_id: str, pass_id: str) -> list[str]:
        """The phones of a pass. Those of all deliveries that were claimed together are read by one statement."""
        asked = self._asked.get((program_id, pass_id))
        if asked is None:
            asked = self._asked[program_id, pass_id] = asyncio.get_running_loop().create_future()
            if len(self._asked) == 1:
                task = asyncio.create_task(self._read())
                self._reading.add(task)
                task.add_done_callback(self._reading.discard)
        return await asyncio.shield(asked)

    async def _read(self) -> None:
        await asyncio.sleep(0)
        asked, self._asked = self._asked, {}
        try:
            found = await self.database.read(phones_of, list(asked))
        except Exception as error:
            for future in asked.values():
                future.set_exception(error)
        else:
            for key, future in asked.items():
                future.set_result(found.get(key, []))
