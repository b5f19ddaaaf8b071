"""What phones complain of: they tell the service why they could not do with a pass what they were to do."""

import msgspec
from litestar import post
from litestar.types import ASGIApp

from web.foundation.limits import PHONE_LOG, PHONE_LOG_ALL, network_of
from web.passkit.calls import OK, AnyRequest, parts_of
from web.wallet.apple.phone_log import keep_lines

LONGEST_LOG = 64_000


class Log(msgspec.Struct):
    logs: list[str]


_log = msgspec.json.Decoder(Log)


@post("/passkit/v1/log", name="passkit_log", status_code=200, request_max_body_size=LONGEST_LOG)
async def keep(request: AnyRequest) -> ASGIApp:
    """Anybody may write here: little of it is kept, and nothing that could name a person or open a pass."""
    parts = parts_of(request)
    client = request.scope.get("client")
    await parts.limit(PHONE_LOG, network_of(client[0] if client else ""))
    await parts.limit(PHONE_LOG_ALL)
    lines = _log.decode(await request.body()).logs
    kept = await parts.database.write(keep_lines, lines)
    parts.metrics.phone_log_lines.inc(kept)
    return OK
