"""The front door: brand, what the card gives, and the way in. An arrival with a campaign is recorded here."""

from litestar import Response, get
from litestar.params import FromPath

from web.foundation.short_code import NotACodeError, normalise
from web.loyalty.program import image_of
from web.loyalty.sign import CODE_LENGTH, find_sign
from web.loyalty.touch import read_arrival
from web.loyalty.visit import arrive
from web.pages.invitation import greeting_for
from web.pages.sent import header, query
from web.pages.site import site_of
from web.pages.visitor import AnyRequest, NoSuchProgram, Visitor
from web.wallet.mark import draw_mark


@get("/{slug:str}", name="front_door")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    await record_arrival(visitor, "")
    greeting = await greeting_for(visitor)
    if greeting is None:
        return visitor.kept_page("front_door/show.html", invited=None)
    return visitor.page("front_door/show.html", invited=greeting, noindex=False)


@get(["/s/{code:str}", "/S/{code:str}"], name="sign")
async def from_sign(request: AnyRequest, code: FromPath[str]) -> Response[bytes]:
    """A scanned sign: on to the front door with the sign's campaign. Not permanent: a sign may be given a new use."""
    site = site_of(request)
    try:
        sign = await site.database.read(find_sign, normalise(code, CODE_LENGTH))
    except NotACodeError:
        sign = None
    if sign is None or site.programs.get(sign.program_slug) is None:
        raise NoSuchProgram(code)
    visitor = Visitor(request, sign.program_slug)
    if not visitor.is_looking_ahead:
        arrival = read_arrival(
            {"utm_source": sign.source, "utm_medium": sign.medium, "utm_campaign": sign.campaign},
            None,
            "",
            f"/{sign.program_slug}",
            sign.location_id,
        )
        token = await site.database.write(arrive, visitor.program.id, visitor.visit_token, arrival)
        visitor.keep_visit(token)
    return visitor.redirect("")


@get("/{slug:str}/logo.png", name="logo")
async def logo(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The logo at full size, for mails and for Google."""
    return await _picture(request, slug, "logo")


@get("/{slug:str}/mark.png", name="mark")
async def mark(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The logo at the size of our own pages."""
    return await _picture(request, slug, "mark")


@get("/{slug:str}/hero.png", name="hero")
async def hero(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The wide picture of a card, for Google."""
    return await _picture(request, slug, "hero")


async def _picture(request: AnyRequest, slug: str, kind: str) -> Response[bytes]:
    visitor = Visitor(request, slug)
    content = await visitor.site.database.read(image_of, visitor.program.id, kind)
    if content is None and kind == "logo":
        # Google refuses a programme without a logo, so that one is drawn.
        content = draw_mark(visitor.program.settings.name, visitor.program.settings.brand.colour)
    if content is None:
        raise NoSuchProgram(slug)
    # Its address changes with the picture.
    return Response(
        content, media_type="image/png", headers={"cache-control": "public, max-age=31536000, immutable"}
    )


async def record_arrival(visitor: Visitor, landing: str) -> None:
    """Keep the touch of an arrival that names a campaign or a referrer; a plain one costs no row.

    `landing` is the page below the programme's address, without what may be secret in it.
    """
    request = visitor.request
    given, referrer = query(request), header(request, b"referer")
    if not (given or referrer) or visitor.is_looking_ahead or visitor.is_partial:
        return
    arrival = read_arrival(dict(given), referrer, request.url.hostname or "", visitor.address(landing, []))
    if arrival.is_worth_keeping:
        token = await visitor.site.database.write(arrive, visitor.program.id, visitor.visit_token, arrival)
        visitor.keep_visit(token)
