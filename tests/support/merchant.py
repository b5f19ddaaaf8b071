"""A merchant's system that calls the API until it is answered, each call under a key of its own."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec

from web.demo.phone import Ask, NoAnswer

AT_ONCE = 250


class Merchant:
    """Sends what happened in the shop. What was acknowledged has happened once, whoever was killed meanwhile."""

    def __init__(self, ask: Ask, base: str, secrets: Sequence[str]) -> None:
        self._ask, self._base = ask, base
        self._secrets = itertools.cycle(secrets)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's document; asks again, with the same key, until there is one."""
        key, secret = uuid4().hex, next(self._secrets)
        headers = {"api-key": secret, "idempotency-key": key, "content-type": "application/json"}
        content = b"" if body is None else msgspec.json.encode(body)
        for _ in range(300):
            try:
                answer = await self._ask(method, f"{self._base}{path}", headers, content)
            except NoAnswer:
                await asyncio.sleep(0.1)
                continue
            if answer.status < 500 and answer.status != 429:
                return msgspec.json.decode(answer.body) if answer.body else None
            await asyncio.sleep(0.2)
        raise AssertionError(f"{method} {path} was never answered")

    async def change(self, direction: str, amounts: dict[str, int], reason: str) -> None:
        """Give or take points, many customers in a call; who has too little keeps it."""
        changes = [
            {"customerId": customer, "amount": amount, "reason": reason, "idempotencyKey": uuid4().hex}
            for customer, amount in amounts.items()
        ]
        for at in range(0, len(changes), AT_ONCE):
            await self.call("POST", f"/balance/{direction}", changes[at : at + AT_ONCE])
