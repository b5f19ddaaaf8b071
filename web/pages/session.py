"""Opening and ending a session.

A session link opens one and goes to its section. Where somebody else's session is open in this browser, or where a
robot looks ahead, a page asks first: nobody is moved into another person's account without saying so.
"""

from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.limits import LINK_USE
from web.foundation.schema import utc_now
from web.loyalty.card_request import Asked, request_pass
from web.loyalty.link import Link, find_link, use_link
from web.loyalty.program import Program
from web.loyalty.session import Session, end_session, end_sessions, find_session, open_session
from web.pages.member import member_of
from web.pages.register import sent_view
from web.pages.visitor import AnyRequest, NoSuchProgram, Visitor

DESTINATIONS = (
    "profile",
    "loyalty/rewards",
    "loyalty/earning-flows",
    "referrals",
    "coupons",
    "transactions",
)
# Anything shorter in this place is a misspelt page, not a token.
SHORTEST_TOKEN = 60


@get("/{slug:str}/{token:str}", name="session_link")
async def enter(request: AnyRequest, slug: FromPath[str], token: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    if len(token) < SHORTEST_TOKEN:
        raise NoSuchProgram(slug)
    code = visitor.code_in(token, "auth")
    destination = destination_of(request.query_params.get("redirectTo", ""))
    link, session = await visitor.site.database.read(_look, visitor.program.id, code, visitor.session_token)
    if link is not None and link.is_good(utc_now()):
        is_theirs = session is not None and session.customer_id == link.customer_id
        if session is not None and is_theirs and (session.is_fresh(utc_now()) or visitor.is_looking_ahead):
            return visitor.redirect(f"/{destination}")
        # Their own, but old: the link proves the inbox anew, which taking or erasing one's data asks for.
        if (session is None or is_theirs) and not visitor.is_looking_ahead:
            return await _open(visitor, code or "", destination)
    # Kept for the yes, or so that a dead link's owner can be sent a new one.
    visitor.keep_enter_link(code)
    return visitor.redirect("/session?" + urlencode({"redirectTo": destination}))


@get("/{slug:str}/session", name="session_ask")
async def ask(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Ask before switching to another person: "you are somebody else here". Without a link there is nothing to ask."""
    visitor = Visitor(request, slug)
    link, session = await visitor.site.database.read(
        _look, visitor.program.id, visitor.enter_code, visitor.session_token
    )
    if link is None or not link.is_good(utc_now()):
        return _dead(visitor)
    destination = destination_of(request.query_params.get("redirectTo", ""))
    if session is not None and session.customer_id == link.customer_id:
        return visitor.redirect(f"/{destination}")
    return visitor.page("session/ask.html", destination=destination, switching=session is not None)


@post("/{slug:str}/session", name="session_open")
async def switch(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The person said yes: the other session ends here, this one begins."""
    visitor = Visitor(request, slug)
    posted = await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    return await _open(visitor, visitor.enter_code or "", destination_of(posted.get("redirectTo", [""])[-1]))


@post("/{slug:str}/session/again", name="session_again")
async def send_again(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """A new link to the owner of a dead one, whose address is neither asked for nor shown (ruling 2)."""
    visitor = Visitor(request, slug)
    await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    await visitor.site.database.write(
        _request_for_owner,
        visitor.program,
        visitor.enter_code or "",
        visitor.asked,
        visitor.site.settings.base_url,
    )
    visitor.site.work_to_do.set()
    return visitor.page("card/sent.html", sent=sent_view(visitor, ""))


@post("/{slug:str}/session/end", name="session_end")
async def leave(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Log out here, in one other browser, or everywhere."""
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    which = posted.get("session", [member.session.id])[-1]
    if which == "all":
        await member.site.database.write(end_sessions, member.program.id, member.customer_id)
    else:
        await member.site.database.write(end_session, member.program.id, member.customer_id, which)
    if which not in ("all", member.session.id):
        return member.redirect("/profile/devices")
    member.visitor.log_out()
    return member.visitor.without_copies(member.redirect("/card"))


def destination_of(path: str) -> str:
    """One of the six sections; anything else is the profile (ruling 7)."""
    path = path.strip("/")
    return path if path in DESTINATIONS else "profile"


async def _open(visitor: Visitor, code: str, destination: str) -> Response[bytes]:
    token = await visitor.site.database.write(
        _use, visitor.program.id, code, visitor.session_token, visitor.asked, destination
    )
    if token is None:
        return _dead(visitor)
    visitor.keep_session(token)
    return visitor.redirect(f"/{destination}")


def _dead(visitor: Visitor) -> Response[bytes]:
    return visitor.page(
        "session/dead.html",
        410,
        referrer="no-referrer",
        action_url=f"/{visitor.program.slug}/session/again",
    )


def _look(
    conn: Connection, program_id: str, code: str | None, session_token: str | None
) -> tuple[Link | None, Session | None]:
    link = find_link(conn, program_id, code, "auth") if code else None
    return link, find_session(conn, program_id, session_token)


def _use(
    conn: Connection, program_id: str, code: str, session_token: str | None, asked: Asked, destination: str
) -> str | None:
    """Open a session by a link, in the place of one that is open here; None where the link is dead.

    The link is used in the same transaction, so that a change of address cannot slip in between.
    """
    customer_id = use_link(conn, program_id, code, "auth")
    if customer_id is None:
        return None
    if before := find_session(conn, program_id, session_token):
        end_session(conn, program_id, before.customer_id, before.id)
    return open_session(conn, program_id, customer_id, asked.browser, asked.device, destination)


def _request_for_owner(conn: Connection, program: Program, code: str, asked: Asked, base_url: str) -> None:
    link = find_link(conn, program.id, code, "auth")
    if link is not None:
        request_pass(conn, program, link.customer_id, "dead_link", asked, base_url)
