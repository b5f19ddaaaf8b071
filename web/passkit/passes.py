"""The card itself, as it is now: built and signed for each phone that asks, never kept."""

from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from litestar import get
from litestar.types import ASGIApp

from web.foundation.limits import PHONE_FETCH
from web.passkit.calls import Answer, AnyRequest, Refused, apple_of, header, holder_of, parts_of
from web.wallet.apple.wallet import MEDIA_TYPE
from web.wallet.issue import card_of


@get("/passkit/v1/passes/{pass_type:str}/{serial:str}", name="passkit_pass")
async def send_current(request: AnyRequest) -> ASGIApp:
    """The pass with its version as `Last-Modified`; 304 to a phone that has this version or a later one."""
    parts = parts_of(request)
    card = await holder_of(request)
    held = card.held
    modified = (b"last-modified", _written(held.version))
    if held.version <= _read(header(request, b"if-modified-since")):
        parts.fetches.note(card)
        parts.metrics.phone_fetches.labels("unchanged").inc()
        return Answer(304, [modified])
    await parts.limit(PHONE_FETCH, held.id)
    program = await parts.programs.current(card.program_id, card.program_version)
    if program is None:
        raise Refused(503)
    apple = apple_of(parts)
    package = await apple.ready(await parts.designs.of(program))
    body = await apple.build(package, card_of(program, card))
    parts.fetches.note(card)
    parts.metrics.phone_fetches.labels("sent").inc()
    return Answer(
        200,
        [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            modified,
            (b"cache-control", b"no-store"),
        ],
        body,
    )


@lru_cache(4096)
def _written(version: int) -> bytes:
    return formatdate(version, usegmt=True).encode()


@lru_cache(4096)
def _read(date: str) -> int:
    """Seconds since 1970; -1 for what is no date, which is older than every version."""
    try:
        return int(parsedate_to_datetime(date[:40]).timestamp()) if date else -1
    except (ValueError, TypeError, IndexError, OverflowError):
        return -1
