"""The document for programs, and a page of it for people: both from this server alone."""

from functools import cache

import msgspec
from litestar import Response, get

from web.api.call import AnyRequest, parts_of
from web.api.document import make_document
from web.api.index import OPERATIONS


@get("/schema/openapi.json", name="openapi")
async def openapi(request: AnyRequest) -> Response[bytes]:
    return Response(
        _document(parts_of(request).settings.base_url),
        media_type="application/json",
        headers={"cache-control": "public, max-age=300"},
    )


@cache
def _document(base_url: str) -> bytes:
    return msgspec.json.format(msgspec.json.encode(make_document(OPERATIONS, base_url, "1.0")), indent=1)


ROUTES = (openapi,)
