"""Addresses outside any programme: the bare domain, and what browsers and robots ask for by themselves."""

from litestar import Response, get
from litestar.params import FromPath

from web.pages.errors import error_page
from web.pages.site import site_of
from web.pages.visitor import AnyRequest, Visitor


@get("/", name="root")
async def show(request: AnyRequest) -> Response[bytes]:
    """With one programme its front door is meant; with several, nobody's list is anybody's business."""
    site = site_of(request)
    programs = site.programs.all()
    if len(programs) != 1:
        return error_page(site, request, 404, None)
    return Response(b"", status_code=302, headers={"location": f"/{programs[0].slug}"})


@get("/favicon.ico", name="favicon")
async def favicon(request: AnyRequest) -> Response[bytes]:
    return Response(b"", status_code=302, headers={"location": site_of(request).assets.url("img/icon.svg")})


@get("/robots.txt", name="robots")
async def robots() -> Response[bytes]:
    """Front doors may be found; links, cards and forms are nobody's search result."""
    return Response(b"User-agent: *\nDisallow: /*/\n", media_type="text/plain")


@get("/{slug:str}/sw.js", name="service_worker")
async def service_worker(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Below the programme's address, because a service worker sees only what lies below its own."""
    visitor = Visitor(request, slug)
    return Response(
        visitor.site.assets.bytes("js/sw.js"),
        media_type="text/javascript",
        # A worker lives under the policy of its own file: it may ask this site, and nothing else.
        headers={
            "cache-control": "no-cache",
            "content-security-policy": "default-src 'none'; connect-src 'self'",
        },
    )
