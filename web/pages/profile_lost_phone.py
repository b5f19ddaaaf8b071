"""A phone that is gone: the card on it is worthless, a new one is there at once. Needs a fresh proof of the inbox."""

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.loyalty.replacing import replace_card
from web.loyalty.session import end_sessions
from web.pages.member import member_of
from web.pages.visitor import AnyRequest
from web.pages.wallet_view import wallet_view


@get("/{slug:str}/profile/lost-phone", name="profile_lost_phone")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    return member.page("profile/lost_phone.html", "profile", fresh=member.is_fresh, error="")


@post("/{slug:str}/profile/lost-phone", name="profile_replace_card")
async def replace(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    if not member.is_fresh:
        return member.redirect("/profile/lost-phone")
    if "sure" not in posted:
        return member.page("profile/lost_phone.html", "profile", 422, fresh=True, error="sure")
    but = None if "stay" in posted else member.session.id
    await member.site.database.write(_replace, member.program.id, member.customer_id, but)
    member.site.work_to_do.set()
    return member.redirect("/profile/new-card")


@get("/{slug:str}/profile/new-card", name="profile_new_card")
async def show_new(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The new card, to be put into the new phone's wallet."""
    member = await member_of(request, slug)
    if not member.is_fresh:
        return member.redirect("/profile/devices")
    wallet = await wallet_view(member.visitor, customer_id=member.customer_id)
    return member.page("profile/new_card.html", "profile", wallet=wallet)


def _replace(conn: Connection, program_id: str, customer_id: str, this_session: str | None) -> None:
    """`this_session` is the only one that stays open; None leaves all of them open."""
    replace_card(conn, program_id, customer_id, keep_sessions=True)
    if this_session is not None:
        end_sessions(conn, program_id, customer_id, this_session)
