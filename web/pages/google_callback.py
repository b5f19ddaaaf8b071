"""Where Google tells that a card was saved to a wallet or deleted from it."""

import structlog
from litestar import Response, post

from web.foundation.limits import GOOGLE_CALLBACK, network_of
from web.pages.site import site_of
from web.pages.visitor import AnyRequest
from web.wallet.google.callback_keys import KeysUnavailableError
from web.wallet.google.callback_proof import LONGEST_BODY, MalformedError, UnbelievableError

log = structlog.get_logger("google")


@post("/webhooks/google-wallet", name="google_callback", request_max_body_size=LONGEST_BODY)
async def take(request: AnyRequest) -> Response[bytes]:
    """200 for whatever Google signed for us, known or not, or it would repeat it for days."""
    site = site_of(request)
    client = request.scope.get("client")
    await site.limit(GOOGLE_CALLBACK, network_of(client[0]) if client else "unknown")
    if site.google_callbacks is None:
        return _answer(503, "not yet")
    try:
        outcome: str = await site.google_callbacks.take(await request.body())
    except KeysUnavailableError:
        status, outcome = 503, "no_keys"
        log.warning("Google's keys cannot be had", url=site.settings.google_keys_url)
    except MalformedError:
        status, outcome = 400, "malformed"
    except UnbelievableError:
        status, outcome = 403, "forged"
    else:
        status = 200
    site.metrics.google_callbacks.labels(outcome).inc()
    site.work_to_do.set()
    return _answer(status, outcome)


def _answer(status: int, text: str) -> Response[bytes]:
    return Response(f"{text}\n".encode(), status_code=status, media_type="text/plain")
