"""The sign in the shop: the QR code as SVG and PNG, and a poster for the counter or the window.

The code holds the sign's short address in capitals, which keeps it small enough to read across a room. Anybody may
have it: it says no more than the sign on the wall.
"""

from litestar import Response, get
from litestar.params import FromPath

from web.foundation.limits import SIGNAGE
from web.foundation.qr import png, svg
from web.loyalty.location import UnknownLocation
from web.loyalty.sign import Sign, sign_for
from web.loyalty.touch import read_arrival
from web.pages.sent import query
from web.pages.visitor import AnyRequest, NoSuchProgram, Visitor

PRINT_PIXELS = 1200
LEVEL = "Q"


@get("/{slug:str}/qr.svg", name="qr_svg")
async def qr_svg(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    sign = await _sign(visitor)
    picture = svg(_address(visitor, sign).upper(), LEVEL)
    return _picture(picture.encode(), "image/svg+xml", f"{visitor.program.slug}-qr.svg")


@get("/{slug:str}/qr.png", name="qr_png")
async def qr_png(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    sign = await _sign(visitor)
    return _picture(
        png(_address(visitor, sign).upper(), LEVEL, PRINT_PIXELS),
        "image/png",
        f"{visitor.program.slug}-qr.png",
    )


@get("/{slug:str}/poster", name="poster")
async def poster(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """A page made to be printed; the browser's own print makes the PDF."""
    visitor = Visitor(request, slug)
    sign = await _sign(visitor)
    address = _address(visitor, sign)
    others = [(name, value) for name, value in query(request) if name != "size"]
    size = "a5" if request.query_params.get("size", "").lower() == "a5" else "a4"
    return visitor.page(
        "poster/show.html",
        size=size,
        other_size_url=visitor.address("/poster", [*others, ("size", "a4" if size == "a5" else "a5")]),
        sign={
            "qr_svg": svg(address.upper(), LEVEL),
            "short_url_text": address.partition("://")[2],
            "location_name": sign.location_name,
        },
    )


async def _sign(visitor: Visitor) -> Sign:
    """The sign for the shop and campaign in the address; its code is made the first time it is asked for."""
    await visitor.site.limit(SIGNAGE, visitor.program.id, visitor.network)
    asked = dict(query(visitor.request))
    campaign = read_arrival(asked, None, "", "")
    try:
        return await visitor.site.database.write(
            sign_for,
            visitor.program.id,
            visitor.program.slug,
            location_slug=asked.get("location", "").replace("\0", " ") or None,
            source=campaign.source or "store",
            medium=campaign.medium or "qr",
            campaign=campaign.campaign or "",
        )
    except UnknownLocation as error:
        raise NoSuchProgram(str(error)) from error


def _address(visitor: Visitor, sign: Sign) -> str:
    return f"{visitor.site.settings.base_url}/s/{sign.code}"


def _picture(content: bytes, media_type: str, name: str) -> Response[bytes]:
    return Response(
        content,
        media_type=media_type,
        headers={
            "cache-control": "public, max-age=3600",
            "content-disposition": f'inline; filename="{name}"',
        },
    )
