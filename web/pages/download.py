"""A link to the card. Looking at it changes nothing; the tap on a wallet's button uses it (rulings 1 and 2).

The token leaves the address bar by a redirect and stays in this browser's cookie. An app's own browser is the
exception: there "open in browser" hands on the address that is shown, so it must still carry the link.
"""

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.limits import LINK_USE
from web.foundation.schema import utc_now
from web.loyalty.card_request import Asked, request_pass
from web.loyalty.link import Link, Purpose, find_link, line_up, revoke_siblings, use_link
from web.loyalty.program import Program
from web.loyalty.visit import Visit, begin_visit, find_visit, grant
from web.loyalty.wallet_pass import Platform
from web.pages.card_view import bare_card_view
from web.pages.front_door import record_arrival
from web.pages.register import sent_view
from web.pages.visitor import AnyRequest, NoSuchProgram, Visitor
from web.pages.wallet_pass import hand_over
from web.pages.wallet_view import PLATFORMS, wallet_view

OPENS_CARD: tuple[Purpose, ...] = ("download", "handoff")


@get("/{slug:str}/download", name="download")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    await record_arrival(visitor, "/download")
    token = request.query_params.get("token")
    code = visitor.code_in(token, "download") if token else visitor.link_code
    return await _show(visitor, code, arrived=token is not None)


@get(["/{slug:str}/l/{code:str}", "/{slug:str}/L/{code:str}"], name="short_link")
async def show_short(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    """The same link in few letters: for an SMS, and for the code that a phone scans from a computer's screen."""
    visitor = Visitor(request, slug)
    await record_arrival(visitor, "/l")
    return await _show(visitor, code.upper(), arrived=True)


@get(["/{slug:str}/l/{code:str}/taken"], name="handoff_taken")
async def taken(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    """Asked by the computer every few seconds: has the phone taken over? 204 means not yet."""
    visitor = Visitor(request, slug)
    link = await visitor.site.database.read(_find, visitor.program.id, code.upper())
    if link is not None and link.is_good(utc_now()):
        return Response(b"", status_code=204)
    state = "taken" if link is not None and link.used_at else "expired"
    return visitor.page("_handoff.html", handoff={"state": state}, referrer="no-referrer")


@post("/{slug:str}/download/{platform:str}", name="download_use")
async def use(request: AnyRequest, slug: FromPath[str], platform: FromPath[str]) -> Response[bytes]:
    """The tap: uses the link up, grants this browser 15 minutes, and hands the card over."""
    visitor = Visitor(request, slug)
    await visitor.form()
    wallet: Platform = "apple" if platform == "apple" else "google"
    if platform != wallet or getattr(visitor.site, wallet) is None:
        raise NoSuchProgram(platform)
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    code = visitor.link_code or ""
    used = await visitor.site.database.write(_use, visitor.program, code, visitor.visit_token)
    if used is None:
        return await _show(visitor, code, arrived=False)
    customer_id, token, touch_id = used
    visitor.keep_visit(token)
    return await hand_over(visitor, customer_id, wallet, touch_id)


@post("/{slug:str}/download/again", name="download_again")
async def send_again(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """ "Send a new one": to the owner of the dead link, whose address is neither asked for nor shown."""
    visitor = Visitor(request, slug)
    await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    code = visitor.link_code or ""
    await visitor.site.database.write(
        _request_for_owner, visitor.program, code, visitor.asked, visitor.site.settings.base_url
    )
    visitor.site.work_to_do.set()
    return visitor.page("card/sent.html", sent=sent_view(visitor, ""))


async def _show(visitor: Visitor, code: str | None, *, arrived: bool) -> Response[bytes]:
    in_app = visitor.device.in_app is not None
    if arrived:
        visitor.keep_link(code)
        code = visitor.link_code
        if not in_app:
            platform = visitor.request.query_params.get("platform", "").lower()
            return visitor.redirect("/download" + (f"?platform={platform}" if platform in PLATFORMS else ""))
    link, visit = await visitor.site.database.read(_look, visitor.program.id, code, visitor.visit_token)
    granted = visit.granted_customer() if visit else None
    if link is not None and link.is_good(utc_now()):
        wallet = await wallet_view(visitor, link_code=code)
    elif link is not None and granted == link.customer_id:
        wallet = await wallet_view(visitor, customer_id=granted)
    else:
        return visitor.page(
            "download/dead.html",
            410,
            referrer="no-referrer",
            action_url=f"/{visitor.program.slug}/download/again",
        )
    return visitor.page(
        "download/show.html", referrer="no-referrer", card=bare_card_view(visitor), wallet=wallet
    )


def _find(conn: Connection, program_id: str, code: str) -> Link | None:
    return next(
        (link for purpose in OPENS_CARD if (link := find_link(conn, program_id, code, purpose))), None
    )


def _look(
    conn: Connection, program_id: str, code: str | None, visit_token: str | None
) -> tuple[Link | None, Visit | None]:
    return _find(conn, program_id, code) if code else None, find_visit(conn, program_id, visit_token)


def _use(
    conn: Connection, program: Program, code: str, visit_token: str | None
) -> tuple[str, str, str | None] | None:
    """The link's customer, the visit's token and the touch that a new pass is credited to; None for a dead link."""
    line_up(conn, program.id, code)
    customer_id = next(
        (found for purpose in OPENS_CARD if (found := use_link(conn, program.id, code, purpose))), None
    )
    if customer_id is None:
        return None
    revoke_siblings(conn, program.id, customer_id, code)
    visit, token = find_visit(conn, program.id, visit_token), visit_token
    if visit is None or token is None:
        visit_id, token = begin_visit(conn, program.id)
    else:
        visit_id = visit.id
    grant(conn, program.id, visit_id, customer_id)
    return customer_id, token, visit.last_touch_id if visit else None


def _request_for_owner(conn: Connection, program: Program, code: str, asked: Asked, base_url: str) -> None:
    link = _find(conn, program.id, code)
    if link is not None:
        request_pass(conn, program, link.customer_id, "dead_link", asked, base_url)
