"""A friend's link: the code goes into the browser's memory and out of the address, then the front door greets."""

from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.short_code import NotACodeError, normalise
from web.loyalty.referral_code import CODE_LENGTH, advocate_of
from web.loyalty.session import find_session
from web.loyalty.touch import read_arrival
from web.loyalty.visit import arrive, find_visit
from web.pages.invitation import OWN_BROWSER, greeting
from web.pages.sent import query
from web.pages.visitor import AnyRequest, Visitor


@get(["/{slug:str}/r/{code:str}", "/{slug:str}/R/{code:str}"], name="referral_link")
async def follow(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    """Remember who sent this person, for as long as the programme says. The first link counts, unless it says else.

    Nothing is written down for robots; the preview that a chat makes of the link shows the greeting all the same.
    """
    visitor = Visitor(request, slug)
    rules = visitor.program.settings.referral
    typed = _typed(code)
    if typed is None or not rules.active:
        return visitor.redirect("")
    database, program_id = visitor.site.database, visitor.program.id
    known, is_owner, has_other = await database.read(_look, program_id, typed, visitor)
    if not known:
        return visitor.redirect("")
    if visitor.device.robot:
        shown = greeting(visitor, None)
        return visitor.kept_page("front_door/show.html", ("invited",), invited=shown, noindex=True)
    if not has_other or rules.last_link_counts:
        visitor.keep_invite(typed + OWN_BROWSER * is_owner, rules.attribution_days)
    if not visitor.is_looking_ahead:
        sent = {"utm_source": "referral", "utm_medium": "link", **dict(query(request))}
        arrival = read_arrival(sent, None, "", visitor.address("/r", []))
        visitor.keep_visit(await database.write(arrive, program_id, visitor.visit_token, arrival))
    return visitor.redirect("")


def _typed(code: str) -> str | None:
    try:
        return normalise(code, CODE_LENGTH)
    except NotACodeError:
        return None


def _look(conn: Connection, program_id: str, code: str, visitor: Visitor) -> tuple[bool, bool, bool]:
    """Whether the code is somebody's, whether this is their own browser, and whether another's link came first."""
    owner_id = advocate_of(conn, program_id, code)
    if owner_id is None:
        return False, False, False
    session = find_session(conn, program_id, visitor.session_token)
    visit = find_visit(conn, program_id, visitor.visit_token)
    here = (session.customer_id if session else None, visit.customer_id if visit else None)
    before = visitor.invite.removesuffix(OWN_BROWSER)
    is_other = bool(before) and before != code and advocate_of(conn, program_id, before) is not None
    return True, owner_id in here, is_other
