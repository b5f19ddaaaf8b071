"""The courier: carries one letter to its endpoint, and knows which endpoints do not answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, time

import msgspec
import structlog
from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, TryLater, Wait
from web.foundation.outgoing import OVERALL_SECONDS, Answer, BadTarget, NoAnswer, Outgoing
from web.foundation.sealing import CannotOpen, Sealer
from web.integrations.webhooks.endpoint import (
    LOOKED_AT_WHILE_PAUSED,
    Endpoint,
    NoSuchEndpoint,
    find_endpoint,
)
from web.integrations.webhooks.envelope import WEBHOOK
from web.integrations.webhooks.health import is_news, leave_in_peace, note_failure, note_success
from web.integrations.webhooks.secret import secrets_of
from web.integrations.webhooks.signing import headers_for

log = structlog.get_logger("webhooks")

GONE = 410
# An endpoint that let so many letters wait in vain is asked by one at a time, less and less often: a receiver that
# hangs would otherwise hold up everybody else's.
PATIENCE = 3
SHORTEST_REST, LONGEST_REST = 15.0, 300.0


@dataclass
class _Silence:
    """How often in a row an endpoint gave no answer, and until when it is not asked."""

    times: int = 0
    until: float = 0.0


@dataclass
class Courier:
    """Delivers signed letters. One for each process that works."""

    database: Database
    sealer: Sealer
    outgoing: Outgoing
    _silent: dict[str, _Silence] = field(default_factory=dict)

    def handlers(self) -> dict[str, Callable[[Delivery], Awaitable[None]]]:
        return {WEBHOOK: self.carry}

    async def carry(self, delivery: Delivery) -> None:
        """One try. Every answer but 2xx is tried again: receivers are broken for an hour more often than for ever."""
        endpoint_id = delivery.payload["endpoint"]
        try:
            endpoint, secrets = await self.database.read(_read, delivery.program_id, endpoint_id, self.sealer)
        except NoSuchEndpoint:
            raise Drop("the endpoint was removed") from None
        except CannotOpen:
            raise Wait("no key in PASITO_SECRET_KEYS opens its secret", LOOKED_AT_WHILE_PAUSED) from None
        if endpoint.paused_at is not None:
            raise Wait("the endpoint is paused", LOOKED_AT_WHILE_PAUSED)
        self._mind_silence(endpoint_id)
        try:
            answer = await send(self.outgoing, endpoint.url, delivery, secrets)
        except (NoAnswer, BadTarget) as error:
            self._note_silence(endpoint_id)
            await self._failed(delivery, endpoint_id, str(error), is_silent=True)
            raise TryLater(str(error)) from error
        self._silent.pop(endpoint_id, None)
        await self._answered(delivery, endpoint, answer)

    async def _answered(self, delivery: Delivery, endpoint: Endpoint, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            if is_news(endpoint):
                await self.database.write(note_success, delivery.program_id, endpoint.id)
            return
        reason = f"it answered {answer.status}"
        if answer.status == GONE:
            await self.database.write(leave_in_peace, delivery.program_id, endpoint.id, reason)
            log.error("a webhook endpoint was paused", endpoint=endpoint.id, reason=reason)
            raise Wait(reason, LOOKED_AT_WHILE_PAUSED)
        await self._failed(delivery, endpoint.id, reason, is_silent=False)
        raise TryLater(reason, answer.retry_after)

    async def _failed(self, delivery: Delivery, endpoint_id: str, reason: str, *, is_silent: bool) -> None:
        is_paused = await self.database.write(
            note_failure,
            delivery.program_id,
            endpoint_id,
            reason,
            is_dead=delivery.is_last_try,
            is_silent=is_silent,
        )
        if is_paused:
            log.error("a webhook endpoint was paused", endpoint=endpoint_id, reason=reason)

    def _mind_silence(self, endpoint_id: str) -> None:
        """Raises: Wait, while an endpoint rests; the first letter after that asks for all."""
        silence, now = self._silent.get(endpoint_id), monotonic()
        if silence is None or silence.times < PATIENCE:
            return
        if now < silence.until:
            raise Wait("the endpoint does not answer", timedelta(seconds=silence.until - now + 1))
        silence.until = now + OVERALL_SECONDS

    def _note_silence(self, endpoint_id: str) -> None:
        silence = self._silent.setdefault(endpoint_id, _Silence())
        silence.times += 1
        rest = min(SHORTEST_REST * 2 ** max(silence.times - PATIENCE, 0), LONGEST_REST)
        silence.until = monotonic() + rest


async def send(outgoing: Outgoing, url: str, letter: Delivery, secrets: list[bytes]) -> Answer:
    """POST one letter, signed now. Raises: BadTarget, NoAnswer."""
    body = msgspec.json.encode(letter.payload["envelope"])
    headers = headers_for(letter.payload["name"], letter.id, body, secrets, int(time()))
    return await outgoing.post(url, body, headers)


def _read(
    conn: Connection, program_id: str, endpoint_id: str, sealer: Sealer
) -> tuple[Endpoint, list[bytes]]:
    return (
        find_endpoint(conn, program_id, endpoint_id),
        secrets_of(conn, program_id, endpoint_id, sealer),
    )
