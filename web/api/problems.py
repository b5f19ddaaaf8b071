"""Problem documents (RFC 9457): every failure of the API, in words that say what to change. Never how it came about."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from web.foundation.database import DatabaseUnreachable
from web.foundation.limits import TooMany

log = structlog.get_logger("api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_FAULT = 5
# Headers that an answer carries even where it is a failure: the limits, once it is known whose they are.
HEADERS = "api_headers"


class Kind(msgspec.Struct, frozen=True):
    """One kind of failure: what programs can go by."""

    status: int
    title: str
    meaning: str


KINDS = {
    "bad-request": Kind(400, "The request cannot be read", "Its syntax is wrong; the detail says where."),
    "unauthenticated": Kind(
        401,
        "A good key is missing",
        "No key came along, or one that is unknown, revoked or over. Send `api-key: …` or `Authorization: Bearer …`.",
    ),
    "forbidden": Kind(
        403, "This key may not do that", "It lacks the scope that the call needs, or is another programme's."
    ),
    "not-found": Kind(404, "There is no such thing", "The address, or what it names, does not exist here."),
    "method-not-allowed": Kind(405, "Not by this method", "The `Allow` header lists the methods."),
    "conflict": Kind(409, "That does not go together", "What is there already stands against it."),
    "refused": Kind(
        409, "This cannot be had now", "`errors` names the rule that stands against it. Nothing was changed."
    ),
    "not-enough": Kind(409, "Not enough points", "More was asked than can be spent. Nothing was booked."),
    "key-reused": Kind(
        409,
        "This Idempotency-Key was used before",
        "It came with another request. Nothing was done: make a new key for a new request.",
    ),
    "gone": Kind(
        410,
        "It was done, and its answer is gone",
        "It named a person who was erased since, or a secret whose key was taken away.",
    ),
    "too-large": Kind(413, "That is too much at once", "Send less in one request."),
    "media-type": Kind(415, "Only JSON is read here", "Send `Content-Type: application/json`, uncompressed."),
    "misdirected": Kind(421, "This server does not answer to that name", "Call the host of this document."),
    "invalid": Kind(422, "A value does not fit", "`errors` names each value and says what would fit."),
    "too-many": Kind(429, "A little too fast", "`Retry-After` says when to try again, in seconds."),
    "failed": Kind(500, "Something went wrong on our side", "Try again; give us `instance` if it stays so."),
    "unavailable": Kind(
        503, "Back in a moment", "Try again after `Retry-After` seconds, with the same Idempotency-Key."
    ),
}
BY_STATUS = {kind.status: code for code, kind in reversed(KINDS.items())}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value that does not fit: by JSON Pointer where it is in the body, by name where it is a parameter.

    `code` is the name of a rule that programs can go by.
    """

    detail: str
    code: str | None = None
    pointer: str | None = None
    parameter: str | None = None


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure (RFC 9457). `type` tells the kinds apart, `instance` this one failure in our log."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[Fault, ...] = ()


class Problem(Exception):
    """A failure that is answered with a document of one of the `KINDS`."""

    def __init__(
        self, kind: str, detail: str = "", *faults: Fault, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail or KINDS[kind].meaning
        self.faults = faults
        self.headers = dict(headers or {})


def invalid(pointer: str, detail: str) -> Problem:
    """A value of the body does not fit; `pointer` is its JSON Pointer, like /amount."""
    return Problem("invalid", detail, Fault(pointer=pointer, detail=detail))


def invalid_parameter(name: str, detail: str) -> Problem:
    return Problem("invalid", detail, Fault(parameter=name, detail=detail))


def is_api(path: str) -> bool:
    return path.removeprefix("/api").startswith("/v1/") or path in ("/v1", "/api/v1")


def problem_of(error: Exception) -> Problem:
    """The problem that an error of any layer is to a caller."""
    match error:
        case Problem():
            return error
        case TooMany():
            return Problem("too-many", headers={"retry-after": str(error.retry_after)})
        case DatabaseUnreachable():
            return Problem("unavailable", headers={"retry-after": str(RETRY_AFTER_FAULT)})
        case HTTPException() if error.status_code in BY_STATUS:
            allowed = {
                name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"
            }
            return Problem(BY_STATUS[error.status_code], headers=allowed)
        case HTTPException() if error.status_code < 500:
            return Problem("bad-request")
        case _:
            return Problem("failed")


def answer_problem(request: Request[Any, Any, Any], error: Exception, base_url: str) -> Response[bytes]:
    """The document for an error that a handler raised, or that no handler was found."""
    problem = problem_of(error)
    kind = KINDS[problem.kind]
    if kind.status >= 500:
        log.error(
            "failed",
            status=kind.status,
            kind=type(error).__name__,
            exc_info=error if kind.status == 500 else None,
        )
    document = ProblemDocument(
        type=f"{base_url}/schema#problem-{problem.kind}",
        title=kind.title,
        status=kind.status,
        detail=problem.detail,
        instance=f"urn:uuid:{request.scope.get('request_id', '')}",
        errors=problem.faults,
    )
    return Response(
        msgspec.json.encode(document),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers={**request.scope.get(HEADERS, {}), **problem.headers},  # type: ignore[dict-item]
    )


async def refuse(base_url: str, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that was turned away before it reached a handler."""
    request: Request[Any, Any, Any] = Request(scope)
    response = answer_problem(request, Problem(BY_STATUS.get(status, "bad-request")), base_url)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)
