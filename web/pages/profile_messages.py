"""What one wants to be told, and what one agreed to: each box one decision, taken back as easily as given."""

from datetime import time

import msgspec
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
from web.loyalty.push_message import asks_for_consent
from web.pages.member import Member, member_of
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
    asked = asks_for_consent(member.program)
    granted = {purpose for purpose, known in standpoints.items() if known.decision == "granted"}
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
            if key in _offered(member.program)
        ],
        needs_consent=bool(asked) and granted.isdisjoint(asked),
        quiet_hours=_quiet_hours(member),
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
    chosen = {key: key in ticked for key in LABELS if key in _offered(member.program)}
    await member.site.database.write(
        _change, member.program, member.customer_id, chosen, set(posted.get("consents", [])), member.language
    )
    return member.redirect("/profile?saved=1")


def _offered(program: Program) -> set[str]:
    """The switches that switch something: what the programme itself tells, and what its people may write."""
    notices = program.settings.notices
    told = {
        "balance": notices.balance,
        "tier": notices.tier and any(each.active for each in program.tiers),
        "reward": notices.reward or notices.referral,
        "location": bool(program.shops) or bool(program.settings.card.beacons),
        "marketing": True,
    }
    return {key for key, is_told in told.items() if is_told}


def _quiet_hours(member: Member) -> tuple[str, str] | None:
    """From when to when nothing rings, as the reader writes times."""
    hours = member.program.settings.notices.quiet_hours
    if not hours:
        return None
    formats = member.site.renderer.catalogues.find(member.language).formats
    begin, end = (formats.time(time.fromisoformat(each)) for each in hours.split("-"))
    return begin, end


def _read(conn: Connection, program_id: str, customer_id: str) -> tuple[Notifications, dict[str, Standpoint]]:
    return notifications_of(conn, program_id, customer_id), standpoints_of(conn, program_id, customer_id)


def _change(
    conn: Connection,
    program: Program,
    customer_id: str,
    chosen: dict[str, bool],
    granted: set[str],
    locale: str,
) -> None:
    # What the programme does not tell was not asked, and stays as it was.
    before = notifications_of(conn, program.id, customer_id)
    set_notifications(conn, program.id, customer_id, msgspec.structs.replace(before, **chosen))
    decide(conn, program, customer_id, granted, locale)
