"""One call of a phone: how it shows that it holds a pass, and how it is answered."""

import asyncio
import hmac
import re
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from web.foundation.database import Database, DatabaseUnreachable
from web.foundation.limits import PHONE_STRANGER, Rule, TooMany, network_of
from web.foundation.metrics import Metrics
from web.foundation.schema import is_id
from web.loyalty.fetches import Fetches
from web.loyalty.held_card import HeldCard, find_held_card
from web.loyalty.programs import Programs
from web.wallet.apple.wallet import AppleWallet
from web.wallet.designs import Designs

log = structlog.get_logger("passkit")

AnyRequest = Request[Any, Any, Any]
# The least that says nothing: whoever calls is a program, and Apple asks for no body.
EMPTY = [(b"content-length", b"0")]
RETRY_AFTER_FAULT = 5
# What a phone calls itself: 32 hexadecimal digits today, and anything an address takes tomorrow.
DEVICE_ID = re.compile(r"[A-Za-z0-9._~-]{1,120}")
# What is no serial at all is looked for as if it were this one, and where there is no pass a token is compared with
# this one, which is as long as a real one: so that the answer takes as long.
NOBODYS_SERIAL, NOBODYS_TOKEN = "00000000-0000-0000-0000-000000000000", "0" * 43


class Parts(Protocol):
    """What the service needs of the process that it runs in."""

    database: Database
    programs: Programs
    metrics: Metrics
    designs: Designs
    apple: AppleWallet | None
    fetches: Fetches
    work_to_do: asyncio.Event

    async def limit(self, rule: Rule, *key: str) -> None: ...


class Refused(Exception):
    """This call gets a status and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Answer:
    """A status, headers and a body, handed to the server as they are: an ASGI application that answers anybody."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
        self._status, self._headers, self._body = status, tuple(headers), body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


OK, CREATED, NO_CONTENT = Answer(200, EMPTY), Answer(201, EMPTY), Answer(204)


def parts_of(request: AnyRequest) -> Parts:
    parts: Parts = request.app.state.site
    return parts


def apple_of(parts: Parts) -> AppleWallet:
    """Raises: Refused, where there is no certificate to sign with."""
    if parts.apple is None:
        raise Refused(503)
    return parts.apple


def header(request: AnyRequest, name: bytes) -> str:
    """A header's value by its name in lower case; "" where there is none."""
    for given, value in request.scope["headers"]:
        if given == name:
            return value.decode("latin-1")
    return ""


async def holder_of(request: AnyRequest) -> HeldCard:
    """The card that a call is about, where it shows the pass's own token.

    Raises: Refused, alike for a pass that is not ours, another type, another token and none at all; TooMany.
    """
    parts, asked = parts_of(request), request.path_params
    apple = apple_of(parts)
    serial = str(asked["serial"])
    card = await find_held_card(parts.database, serial if is_id(serial) else NOBODYS_SERIAL)
    if not _shows(request, card) or asked["pass_type"] != apple.pass_type_id:
        client = request.scope.get("client")
        await parts.limit(PHONE_STRANGER, network_of(client[0] if client else ""))
        raise Refused(401)
    assert card is not None, "nobody's token opens nothing"
    return card


def _shows(request: AnyRequest, card: HeldCard | None) -> bool:
    scheme, _, given = header(request, b"authorization").partition(" ")
    is_apples = card is not None and card.held.platform == "apple"
    token = card.held.token if card is not None else NOBODYS_TOKEN
    is_same = hmac.compare_digest(token.encode(), given.strip().encode())
    return is_same and is_apples and scheme.lower() == "applepass"


def is_passkit(path: str) -> bool:
    return path.startswith("/passkit/")


def answer_error(error: Exception) -> Response[bytes]:
    """The answer for an error that a handler raised, or that no handler was found: a status, and no word."""
    headers: dict[str, str] = {}
    match error:
        case Refused():
            status = error.status
        case TooMany():
            status, headers["retry-after"] = 429, str(error.retry_after)
        case DatabaseUnreachable():
            status, headers["retry-after"] = 503, str(RETRY_AFTER_FAULT)
        case msgspec.DecodeError():
            status = 400
        case HTTPException():
            status = error.status_code
        case _:
            status = 500
    if status >= 500:
        log.error(
            "failed", status=status, kind=type(error).__name__, exc_info=error if status == 500 else None
        )
    return Response(b"", status_code=status, headers=headers, media_type="text/plain")


async def refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a call that was turned away before it reached a handler."""
    await Answer(status, EMPTY)(scope, receive, send)
