"""The development mailbox: keeps each message instead of sending it."""

from collections.abc import Awaitable, Callable

import msgspec

from web.messages.envelope import Message
from web.messages.sending import Outcome, Sent


class MailboxSender(msgspec.Struct, frozen=True):
    """Hands each message, mail or SMS, to `keep`. An error of `keep` is the caller's to see."""

    keep: Callable[[Message], Awaitable[None]]

    async def send(self, message: Message) -> Outcome:
        await self.keep(message)
        return Sent()

    async def close(self) -> None:
        """Nothing is held open."""
