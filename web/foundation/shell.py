"""The outermost wrapper: what must hold for every answer, whichever room made it.

Litestar's own middleware does not run for 404 and 405, and its parts for hosts, CSRF and logs cost more than the
database work of a page. This one wrapper checks the host and where a form came from, finds the client's
address, answers HEAD, adds the security headers, and writes the access line and the timing.
"""

import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from web.foundation.metrics import Metrics
from web.foundation.schema import new_id

log = structlog.get_logger("access")

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
# Calls by machines, which bring keys or signatures of their own and no cookies.
MACHINES = re.compile(r"/(?:v1|api|passkit|webhooks|flow)/")

# The scope's mark of a HEAD request, which the pages see as a GET.
HEAD = "is_head"

Refuse = Callable[[int, Scope, Receive, Send], Awaitable[None]]

# A page that has scripts and styles states its own policy; all else may do nothing at all.
CLOSED_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# ASGI has header names in lower case.
WHERE_MISSING = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", CLOSED_POLICY),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"cache-control", b"no-store"),
)
PORT = re.compile(r":\d+$")


class Shell:
    """Wraps an ASGI application.

    `refuse(status, scope, receive, send)` answers in the look of the product where a request is turned away here.
    """

    def __init__(
        self,
        app: ASGIApp,
        refuse: Refuse,
        metrics: Metrics,
        *,
        origin: str,
        hosts: frozenset[str],
        trusted_proxies: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._metrics = metrics
        self._hosts = hosts
        self._origin = origin
        self._proxies = tuple(ipaddress.ip_network(network) for network in trusted_proxies)
        self._always = [
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
        ]
        if origin.startswith("https://"):
            self._always.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        await self._answer(cast(HTTPScope, scope), receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = new_id()
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        if self._proxies:
            self._believe_proxy(scope, headers)
        head = scope["method"] == "HEAD"
        if head:
            # A copy, for the server must go on to see a HEAD: else it waits for the body that the length promises.
            scope = cast(HTTPScope, {**scope, "method": "GET", HEAD: True})
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._with_headers(message["headers"], request_id)
            elif head and message["type"] == "http.response.body":
                message = {
                    "type": "http.response.body",
                    "body": b"",
                    "more_body": message.get("more_body", False),
                }
            await send(message)

        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            if (turned_away := self._fault(scope, headers)) is not None:
                await self._refuse(turned_away, scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - started
            route = _route_of(scope)
            self._metrics.requests.labels(route, status).observe(seconds)
            if status >= 500 or seconds > 1:
                log.warning("answered", route=route, status=status, ms=round(seconds * 1000, 1))
            structlog.contextvars.clear_contextvars()

    def _fault(self, scope: HTTPScope, headers: dict[bytes, bytes]) -> int | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        # Those who watch over the process ask by its address.
        watched = scope["path"].startswith("/health/") or scope["path"] == "/metrics"
        if PORT.sub("", host) not in self._hosts and not watched:
            return 421
        if scope["method"] in SAFE_METHODS or MACHINES.match(scope["path"]):
            return None
        return None if self._is_from_us(headers, host) else 403

    def _is_from_us(self, headers: dict[bytes, bytes], host: str) -> bool:
        """Whether a form may come from our own page: by Fetch Metadata, else by Origin.

        Where neither says it the page behind decides, by the form's token: an old browser or a program sends
        neither, and a page that keeps its referrer to itself makes browsers write `Origin: null`, which over plain
        HTTP (a phone in the office) comes without Fetch Metadata (Fetch standard, "append a request Origin header").
        """
        site = headers.get(b"sec-fetch-site")
        if site is not None:
            return site in (b"same-origin", b"none")
        origin = headers.get(b"origin", b"null").decode("latin-1").lower()
        return origin in ("null", self._origin, f"{self._origin.partition(':')[0]}://{host}")

    def _believe_proxy(self, scope: HTTPScope, headers: dict[bytes, bytes]) -> None:
        """Take the client's address from X-Forwarded-For, walking back over our own proxies only."""
        client = scope.get("client")
        if client is None or not self._is_proxy(client[0]):
            return
        hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
        for hop in reversed(hops):
            if hop and not self._is_proxy(hop):
                scope["client"] = (hop, 0)
                return

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)

    def _with_headers(self, headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
        names = {name for name, _ in headers}
        return [
            *headers,
            *self._always,
            *(header for header in WHERE_MISSING if header[0] not in names),
            (b"x-request-id", request_id.encode()),
        ]


def _route_of(scope: HTTPScope) -> str:
    """The route's template, so that no slug, code or token becomes a label."""
    return str(scope.get("path_template") or "none")
