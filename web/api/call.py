"""One call of the API: who calls, for which programme, and how it reads and writes."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec
from litestar import Request
from sqlalchemy.engine import Connection

from web.api.problems import Fault, Problem
from web.foundation.database import Database
from web.foundation.idempotency import AnswerForgotten, Done, KeyReused, Reservation, do_once
from web.foundation.limits import Limits
from web.foundation.metrics import Metrics
from web.foundation.rendering import Renderer
from web.foundation.sealing import CannotOpen, Sealer
from web.loyalty.api_key import ApiKey
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

AnyRequest = Request[Any, Any, Any]
# The IETF's draft writes the key as a quoted string (draft-ietf-httpapi-idempotency-key-header); most callers do not.
_KEY = re.compile(r'"?(?P<key>[!#-~]{1,255})"?')


class Parts(Protocol):
    """What the API needs of the process that it runs in."""

    settings: Settings
    database: Database
    programs: Programs
    renderer: Renderer
    limits: Limits
    metrics: Metrics
    sealer: Sealer
    work_to_do: asyncio.Event


def parts_of(request: AnyRequest) -> Parts:
    parts: Parts = request.app.state.site
    return parts


def encode(answer: Any) -> bytes:
    """An answer, as it is sent and kept."""
    return msgspec.json.encode(answer)


@dataclass
class Call:
    """A call whose caller is known: a merchant's system by its `key`, or one customer by their own token.

    `path` holds the address's parameters. `answer` is what is sent, once a write has made it.
    """

    request: AnyRequest
    parts: Parts
    program: Program
    key: ApiKey | None
    customer_id: str | None
    route: str
    status: int
    path: Mapping[str, str]
    secret: bool = False
    body: bytes = b""
    answer: Done | None = field(default=None, init=False)

    @property
    def actor(self) -> str:
        """Who does it, as the books name them."""
        return f"api:{self.key.prefix}" if self.key else "customer"

    @property
    def has_idempotency_key(self) -> bool:
        """Whether the caller names their own repetitions."""
        return "idempotency-key" in self.request.headers

    async def read(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `unit(conn, …)` reads."""
        return await self.parts.database.read(unit, *args, **kwargs)

    async def write(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `unit(conn, …)` in one transaction, and once for each Idempotency-Key.

        What `unit` returns is the answer, and the handler returns it as it is: it is kept beside the effect, and told
        again byte for byte to whoever asks with the same key. What it raises leaves nothing behind.

        Raises: Problem; Replayed, which a handler lets pass.
        """
        key = self._idempotency_key()

        def work(conn: Connection) -> tuple[Done, list[T]]:
            results: list[T] = []

            def effect(conn: Connection) -> tuple[int, bytes]:
                results.append(unit(conn, *args, **kwargs))
                return self.status, encode(results[0])

            if key is None:
                return Done(*effect(conn), replayed=False), results
            return do_once(conn, self._reservation(key), effect, *self._safe()), results

        try:
            done, results = await self.parts.database.write(work)
        except KeyReused:
            raise Problem("key-reused") from None
        except (AnswerForgotten, CannotOpen):
            raise Problem("gone") from None
        self.answer = done
        if done.replayed:
            raise Replayed
        self.parts.work_to_do.set()
        return results[0]

    def _safe(self) -> tuple[Callable[[bytes], str], Callable[[str], bytes]] | tuple[()]:
        """How an answer that holds a secret is kept: sealed."""
        if not self.secret:
            return ()
        context, sealer = f"idempotency/{self.program.id}/{self.route}", self.parts.sealer
        return lambda body: sealer.seal(body, context), lambda kept: sealer.open(kept, context)

    def _idempotency_key(self) -> str | None:
        given = self.request.headers.get("idempotency-key")
        if given is None:
            return None
        matched = _KEY.fullmatch(given.strip())
        if matched is None:
            detail = "Use 1 to 255 visible ASCII characters, without quotes inside."
            raise Problem("bad-request", detail, Fault(parameter="Idempotency-Key", detail=detail))
        return matched["key"]

    def _reservation(self, key: str) -> Reservation:
        asked = hashlib.sha256(self.request.scope["raw_path"])
        asked.update(b"\0" + self.request.scope["query_string"] + b"\0" + self.body)
        return Reservation(
            program_id=self.program.id,
            # Two customers may think of the same key; the systems of one merchant share theirs.
            scope=f"{self.route} {self.customer_id}" if self.customer_id else self.route,
            key=key,
            request_hash=asked.hexdigest(),
        )


class Replayed(Exception):
    """This was done before; the call's `answer` is the one it got then."""
