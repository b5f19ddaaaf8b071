"""What one wants to be told, and what one agreed to: each box one decision, taken back as easily as given."""

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.loyalty.preferences import (
    Notifications,
    Standpoint,
    decide,
    notifications_of,
    set_notifications,
    standpoints_of,
)
from web.loyalty.program import Program
from web.pages.member import member_of
from web.pages.visitor import AnyRequest

LABELS = {
    "balance": N_("When my points change"),
    "tier": N_("When I reach another tier"),
    "reward": N_("When a reward is ready for me"),
    "location": N_("When I am near a shop"),
    "marketing": N_("News and offers on my card"),
}


@get("/{slug:str}/profile/messages", name="profile_messages")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    wanted, standpoints = await member.site.database.read(_read, member.program.id, member.customer_id)
    settings = member.program.settings
    return member.page(
        "profile/messages.html",
        "profile",
        action=f"/{member.program.slug}/profile/messages",
        notifications=[
            {
                "key": key,
                "label": member.site.renderer.text(member.language, label),
                "checked": getattr(wanted, key),
            }
            for key, label in LABELS.items()
        ],
        consents=[
            {
                "key": consent.purpose,
                "label": settings.say(consent.wording, member.language),
                "more": settings.say(consent.more, member.language),
                "checked": consent.purpose in standpoints
                and standpoints[consent.purpose].decision == "granted",
                "decided_at": standpoints[consent.purpose].decided_at
                if consent.purpose in standpoints
                else None,
            }
            for consent in settings.consents
        ],
        timezone=settings.timezone,
    )


@post("/{slug:str}/profile/messages", name="profile_messages_change")
async def change(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    ticked = set(posted.get("notifications", []))
    wanted = Notifications(**{key: key in ticked for key in LABELS})
    await member.site.database.write(
        _change, member.program, member.customer_id, wanted, set(posted.get("consents", [])), member.language
    )
    return member.redirect("/profile?saved=1")


def _read(conn: Connection, program_id: str, customer_id: str) -> tuple[Notifications, dict[str, Standpoint]]:
    return notifications_of(conn, program_id, customer_id), standpoints_of(conn, program_id, customer_id)


def _change(
    conn: Connection,
    program: Program,
    customer_id: str,
    wanted: Notifications,
    granted: set[str],
    locale: str,
) -> None:
    set_notifications(conn, program.id, customer_id, wanted)
    decide(conn, program, customer_id, granted, locale)
