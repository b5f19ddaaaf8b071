"""A page that is the same for everybody, kept ready to be sent in each coding."""

from collections.abc import Sequence
from typing import Any

from litestar import Response
from litestar.datastructures import Cookie
from litestar.response.base import ASGIResponse

from web.foundation.compression import Coding, compress

CODINGS: tuple[Coding, ...] = ("", "br", "gzip")
# A level below the best: brotli 11 takes milliseconds, which the first visitor would wait for.
LEVEL = 9


class _Ready(Response[bytes]):
    """An answer whose bytes and headers are made already. It holds nothing of a request, so all may share it."""

    def __init__(self, made: ASGIResponse) -> None:
        super().__init__(made.body)
        self._made = made

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return self._made


class KeptPage:
    """One page in every coding, as `Response`s: making one anew costs as much as the rest of its request."""

    def __init__(self, html: bytes, policy: str) -> None:
        self._bodies = {coding: compress(html, coding, LEVEL) for coding in CODINGS}
        self._policy = policy
        self._ready = {coding: _Ready(self._make(coding)) for coding in CODINGS}

    def answer(self, coding: Coding, cookies: Sequence[Cookie]) -> Response[bytes]:
        """The page in `coding`; shared with others unless it brings cookies."""
        return _Ready(self._make(coding, cookies)) if cookies else self._ready[coding]

    def _make(self, coding: Coding, cookies: Sequence[Cookie] = ()) -> ASGIResponse:
        headers = {
            "cache-control": "no-cache",
            "vary": "accept-encoding, accept-language, cookie, hx-request",
            "content-security-policy": self._policy,
        }
        if coding:
            headers["content-encoding"] = coding
        return ASGIResponse(
            body=self._bodies[coding], headers=headers, media_type="text/html", cookies=cookies
        )
