"""Where the card is, and where one is let in."""

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.loyalty.card_request import request_pass
from web.loyalty.session import Session, sessions_of
from web.loyalty.wallet_pass import Pass, passes_of
from web.pages.member import member_of
from web.pages.visitor import AnyRequest

NAMES = {"apple": "Apple Wallet", "google": "Google Wallet"}


@get("/{slug:str}/profile/devices", name="profile_devices")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    passes, sessions = await member.site.database.read(_read, member.program.id, member.customer_id)
    return member.page(
        "profile/devices.html",
        "profile",
        passes=[
            {"wallet": NAMES[held.platform], "status": held.status, "created_at": held.created_at}
            for held in passes
        ],
        sessions=[
            {
                "id": session.id,
                "browser": session.browser,
                "device": session.device,
                "seen_at": session.seen_at,
                "current": session.id == member.session.id,
            }
            for session in sessions
        ],
        timezone=member.program.settings.timezone,
    )


@post("/{slug:str}/profile/card", name="profile_card")
async def send_card(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The card once more, by a fresh link to one's own inbox."""
    member = await member_of(request, slug)
    await member.visitor.form()
    await member.site.database.write(
        request_pass,
        member.program,
        member.customer_id,
        "asked",
        member.visitor.asked,
        member.site.settings.base_url,
    )
    member.site.work_to_do.set()
    return member.redirect("/profile?sent=1")


def _read(conn: Connection, program_id: str, customer_id: str) -> tuple[list[Pass], list[Session]]:
    return passes_of(conn, program_id, customer_id), sessions_of(conn, program_id, customer_id)
