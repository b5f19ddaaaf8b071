"""Many emulated phones, to which a stand-in for Apple's push service speaks, over a network that loses things."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.apns import ApnsServer, unregistered
from web.demo.phone import Answer, Ask, Held, NoAnswer, Phone

# As patient as a server needs that is killed and started again.
PAUSES = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 3, 3, 3)
LISTENS_EVERY = 0.01


@dataclass
class Losses:
    """How often a request, or its answer, gets lost, and how long the rest may take; nothing at first."""

    requests: float = 0.0
    answers: float = 0.0
    delay: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


def losing(ask: Ask, losses: Losses, chance: random.Random) -> Ask:
    """The same way of asking over a network that loses what `losses` says."""

    async def ask_and_lose(method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        if chance.random() < losses.requests:
            losses.counts["request"] += 1
            raise NoAnswer("the request was lost")
        if losses.delay:
            await asyncio.sleep(chance.uniform(0, losses.delay))
        answer = await ask(method, url, headers, body)
        losses.counts["asked"] += 1
        if chance.random() < losses.answers:
            losses.counts["answer"] += 1
            raise NoAnswer("the answer was lost")
        return answer

    return ask_and_lose


class Fleet:
    """Phones, and the pushes on their way to them. Used as an async context while the phones are switched on."""

    def __init__(self, ask: Ask, service: str, apns: ApnsServer) -> None:
        self.phones: list[Phone] = []
        self.ask, self.service, self._apns = ask, service, apns
        self._by_token: dict[str, Phone] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken = len(apns.pushes)

    async def __aenter__(self) -> "Fleet":
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._listening, *self._tasks, return_exceptions=True)

    def new_phone(self, **how: Any) -> Phone:
        """A phone that trusts everything, unless told otherwise (see `Phone`)."""
        given = {"roots": None, "keeps_files": False, "pauses": PAUSES, **how}
        phone = Phone(self.ask, service=self.service, **given)
        self.phones.append(phone)
        self._by_token[phone.push_token] = phone
        return phone

    async def restore(self, phone: Phone) -> None:
        """The phone's owner moves to another, by its backup; the old one is switched off for ever."""
        self._apns.always(phone.push_token, unregistered())
        self._by_token.pop(phone.push_token, None)
        moving = self.until_done(phone.restore)
        await asyncio.sleep(0)  # it has its new name now
        self._by_token[phone.push_token] = phone
        await moving

    async def change_push_token(self, phone: Phone) -> None:
        old = phone.push_token
        moving = self.until_done(phone.change_push_token)
        await asyncio.sleep(0)
        self._by_token[phone.push_token] = phone
        await moving
        self._apns.always(old, unregistered())

    def until_done(self, work: Any, *given: Any) -> asyncio.Task[None]:
        """Let a phone do something, again later where nobody answers it."""
        return self._begin(self._again_and_again(work, *given))

    @property
    def is_quiet(self) -> bool:
        return not self._tasks and self._taken == len(self._apns.pushes)

    def held(self) -> Iterator[tuple[Phone, Held]]:
        for phone in self.phones:
            for held in phone.held.values():
                yield phone, held

    async def _again_and_again(self, work: Any, *given: Any) -> None:
        try:
            await work(*given)
        except NoAnswer:
            # What it was about the phone remembers; it looks until somebody answers.
            await self._until_looked(work.__self__)

    async def _until_looked(self, phone: Phone) -> None:
        while True:
            with contextlib.suppress(NoAnswer):
                await phone.look()
                return
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        """Carry each push that Apple's stand-in took to its phone."""
        while True:
            pushes = self._apns.pushes[self._taken :]
            self._taken += len(pushes)
            for push in pushes:
                if push.answer.status == 200 and (phone := self._by_token.get(push.token)):
                    self.until_done(phone.hear)
            await asyncio.sleep(LISTENS_EVERY)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
