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
from web.foundation.tokens import BadToken, from_url, read
from web.loyalty.link import Link, find_link
from web.loyalty.session import Session, end_session, end_sessions, find_session, open_session
from web.pages.member import LoggedOut, member_of
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
    code = _code_in(visitor, token)
    destination = destination_of(request.query_params.get("redirectTo", ""))
    link, session = await visitor.site.database.read(_look, visitor.program.id, code, visitor.session_token)
    if link is None or not link.is_good(utc_now()):
        return visitor.page("session/dead.html", 410)
    if session is not None and session.customer_id == link.customer_id:
        return visitor.redirect(f"/{destination}")
    visitor.keep_enter_link(code or "")
    if session is not None or visitor.is_looking_ahead:
        return visitor.redirect("/session?" + urlencode({"redirectTo": destination}))
    return await _open(visitor, link, destination)


@get("/{slug:str}/session", name="session_ask")
async def ask(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Ask before switching to another person: "you are somebody else here". Without a link there is nothing to ask."""
    visitor = Visitor(request, slug)
    link, session = await visitor.site.database.read(
        _look, visitor.program.id, visitor.enter_code, visitor.session_token
    )
    if link is None or not link.is_good(utc_now()):
        return visitor.page("session/dead.html", 410)
    destination = destination_of(request.query_params.get("redirectTo", ""))
    return visitor.page("session/ask.html", destination=destination, switching=session is not None)


@post("/{slug:str}/session", name="session_open")
async def switch(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The person said yes: the other session ends here, this one begins."""
    visitor = Visitor(request, slug)
    posted = await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    link, session = await visitor.site.database.read(
        _look, visitor.program.id, visitor.enter_code, visitor.session_token
    )
    if link is None or not link.is_good(utc_now()):
        return visitor.page("session/dead.html", 410)
    if session is not None:
        await visitor.site.database.write(end_session, visitor.program.id, session.customer_id, session.id)
    return await _open(visitor, link, destination_of(posted.get("redirectTo", [""])[-1]))


@post("/{slug:str}/session/end", name="session_end")
async def leave(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Log out here, in one other browser, or everywhere."""
    try:
        member = await member_of(request, slug)
    except LoggedOut as error:
        return error.visitor.redirect("/card")
    posted = await member.visitor.form()
    which = posted.get("session", [member.session.id])[-1]
    if which == "all":
        await member.site.database.write(end_sessions, member.program.id, member.customer_id)
    else:
        await member.site.database.write(end_session, member.program.id, member.customer_id, which)
    if which not in ("all", member.session.id):
        return member.redirect("/profile/devices")
    member.visitor.end_session()
    answer = member.redirect("/card")
    # The card that was kept for times without network goes too.
    answer.headers["clear-site-data"] = '"cache", "storage"'
    return answer


def destination_of(path: str) -> str:
    """One of the six sections; anything else is the profile (ruling 7)."""
    path = path.strip("/")
    return path if path in DESTINATIONS else "profile"


async def _open(visitor: Visitor, link: Link, destination: str) -> Response[bytes]:
    asked = visitor.asked
    token = await visitor.site.database.write(
        open_session, visitor.program.id, link.customer_id, asked.browser, asked.device
    )
    visitor.keep_session(token)
    return visitor.redirect(f"/{destination}")


def _code_in(visitor: Visitor, token: str) -> str | None:
    try:
        program = visitor.program
        return read(from_url(token), program.keys, kind="auth", audience=program.id).jti
    except BadToken:
        return None


def _look(
    conn: Connection, program_id: str, code: str | None, session_token: str | None
) -> tuple[Link | None, Session | None]:
    link = find_link(conn, program_id, code, "auth") if code else None
    return link, find_session(conn, program_id, session_token)
