"""What every sender promises: one try, and an outcome that says whether to try again."""

from typing import Protocol

import msgspec

from web.messages.envelope import Message


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """The next server has taken charge of the message."""


class TryLater(msgspec.Struct, frozen=True, tag="try-later"):
    """Nothing is decided. `reason` holds no personal data; `after` is the wait asked for, in seconds.

    The message may have arrived nevertheless (a connection lost after its last byte): the next try
    carries the same id, by which the receiver can tell.
    """

    reason: str
    after: float | None = None


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Another try would end the same way. `reason` holds no personal data."""

    reason: str


Outcome = Sent | TryLater | Refused


class Sender(Protocol):
    """Sends messages of one channel. Never raises for anything that a server or the network does."""

    async def send(self, message: Message) -> Outcome: ...

    async def close(self) -> None: ...


class NoSender:
    """A channel that this installation has not set up: what should go out by it is put aside, not lost."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def send(self, message: Message) -> Outcome:
        return Refused(self._reason)

    async def close(self) -> None:
        """Nothing is held open."""
