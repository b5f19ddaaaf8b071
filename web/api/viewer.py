"""The document for programs, and a page of it for people: both from this server alone, and without a script."""

from functools import cache

import msgspec
from litestar import Response, get

from web.api.call import AnyRequest, Parts, parts_of
from web.api.document import make_document
from web.api.index import OPERATIONS
from web.api.reference import make_reference
from web.foundation.compression import BEST, Coding, compress, negotiate

VERSION = "1.0"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# Long enough to read on without asking again, short enough to see a release.
KEPT_FOR = "public, max-age=300"


@get("/schema/openapi.json", name="openapi")
async def openapi(request: AnyRequest) -> Response[bytes]:
    return _answer(request, _document(parts_of(request).settings.base_url), "application/json")


@get("/schema", name="schema")
async def show(request: AnyRequest) -> Response[bytes]:
    return _answer(request, _page(parts_of(request)), "text/html; charset=utf-8", POLICY)


def _answer(request: AnyRequest, body: bytes, media_type: str, policy: str | None = None) -> Response[bytes]:
    coding = negotiate(request.headers.get("accept-encoding", ""))
    headers = {"cache-control": KEPT_FOR, "vary": "accept-encoding"}
    if coding:
        headers["content-encoding"] = coding
    if policy:
        headers["content-security-policy"] = policy
    return Response(_compressed(body, coding), media_type=media_type, headers=headers)


@cache
def _document(base_url: str) -> bytes:
    made = make_document(OPERATIONS, base_url, VERSION)
    return msgspec.json.format(msgspec.json.encode(made), indent=1)


def _page(parts: Parts) -> bytes:
    base_url = parts.settings.base_url
    if base_url not in _pages:
        reference = make_reference(make_document(OPERATIONS, base_url, VERSION))
        _pages[base_url] = parts.renderer.render("schema/show.html", "en", **reference).encode()
    return _pages[base_url]


_pages: dict[str, bytes] = {}


@cache
def _compressed(body: bytes, coding: Coding) -> bytes:
    return compress(body, coding, 9 if coding == "br" else BEST.get(coding, 0))


ROUTES = (openapi, show)
