"""For operators: is the process alive, can it serve, and how is it doing."""

import contextlib
import hmac

from litestar import Response, get
from sqlalchemy.engine import Connection

from web.foundation.database import DatabaseUnreachable
from web.foundation.delivery import Backlog, backlog
from web.foundation.metrics import CONTENT_TYPE
from web.foundation.schema import utc_now
from web.migrations import current_revision
from web.pages.site import Site, site_of
from web.pages.visitor import AnyRequest
from web.wallet.checks import EXPIRY_NOTICE


@get("/health/live", name="health_live")
async def live() -> Response[bytes]:
    """The process answers. No database: a supervisor that restarts on this would only make an outage worse."""
    return Response(b"alive\n", media_type="text/plain")


@get("/health/ready", name="health_ready")
async def ready(request: AnyRequest) -> Response[bytes]:
    """The database answers and its schema is the one that this program was built for."""
    site = site_of(request)
    try:
        revision, waiting = await site.database.read(_state)
    except DatabaseUnreachable:
        return Response(b"database unreachable\n", status_code=503, media_type="text/plain")
    if revision != site.head_revision:
        return Response(
            b"migrations are behind: run python -m web migrate\n", status_code=503, media_type="text/plain"
        )
    _gauge(site, waiting)
    age = int((utc_now() - waiting.oldest).total_seconds()) if waiting.oldest else 0
    text = f"ready\nwaiting {waiting.waiting}\ndead {waiting.dead}\noldest_seconds {age}\n"
    if site.apple and site.apple.ends - utc_now() < EXPIRY_NOTICE:
        # Not a reason to restart anything, so the process is ready all the same.
        text += f"warning the Apple Wallet certificates are good until {site.apple.ends:%Y-%m-%d} only\n"
    return Response(text.encode(), media_type="text/plain")


@get("/metrics", name="metrics")
async def metrics(request: AnyRequest) -> Response[bytes]:
    site = site_of(request)
    if not _may_read(request, site):
        return Response(
            b"metrics need PASITO_METRICS_TOKEN as a bearer token\n", status_code=401, media_type="text/plain"
        )
    with contextlib.suppress(DatabaseUnreachable):
        _gauge(site, await site.database.read(backlog))
    return Response(site.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _state(conn: Connection) -> tuple[str | None, Backlog]:
    return current_revision(conn), backlog(conn)


def _gauge(site: Site, waiting: Backlog) -> None:
    site.metrics.waiting.set(waiting.waiting)
    site.metrics.dead.set(waiting.dead)
    if site.apple:
        site.metrics.certificate_ends("apple", (site.apple.ends - utc_now()).total_seconds())
    site.metrics.oldest.set((utc_now() - waiting.oldest).total_seconds() if waiting.oldest else 0)


def _may_read(request: AnyRequest, site: Site) -> bool:
    token = site.settings.metrics_token
    if token:
        return hmac.compare_digest(
            request.headers.get("authorization", "").encode(), f"Bearer {token}".encode()
        )
    # Behind a proxy on this machine everybody seems to come from here.
    client = None if "x-forwarded-for" in request.headers else request.scope.get("client")
    return client is not None and client[0] in ("127.0.0.1", "::1")
