"""Friends: one's own link to bring them by, who came, and what it earned."""

from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.foundation.qr import svg
from web.foundation.schema import is_id
from web.loyalty.referral import Referral, Totals, referrals_of, totals_of
from web.loyalty.referral_code import code_for, find_code
from web.pages.member import Member, member_of
from web.pages.visitor import AnyRequest

PAGE = 20

SHARED = N_("Come to %(program)s with me. Your card, and %(points)s %(points_name)s to begin with: %(url)s")
SHARED_PLAIN = N_("Come to %(program)s with me. Your card is one minute away: %(url)s")


class Friends(msgspec.Struct, frozen=True):
    code: str | None
    totals: Totals
    friends: list[Referral]


@get("/{slug:str}/referrals", name="referrals")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    rules = member.program.settings.referral
    before = request.query_params.get("before", "")
    found = await member.site.database.read(read_friends, member, before if is_id(before) else None)
    code = found.code
    if code is None and rules.active:
        code = await member.site.database.write(code_for, member.program, member.customer_id)
    amount = member.visitor.amount
    return member.page(
        "referrals/show.html",
        "loyalty/earning-flows",
        link=link_view(member, code) if code and rules.active else None,
        advocate_points=amount(rules.advocate_points) if rules.advocate_points else None,
        friend_points=amount(rules.friend_points) if rules.friend_points else None,
        both=rules.advocate_points == rules.friend_points,
        action=rules.action,
        min_amount=member.visitor.money(rules.min_amount) if rules.min_amount else None,
        joined=found.totals.joined,
        earned=amount(found.totals.points),
        friends=[friend_view(member, each) for each in found.friends[:PAGE]],
        older=found.friends[PAGE - 1].id if len(found.friends) > PAGE else None,
        is_first=not before,
        timezone=member.program.settings.timezone,
    )


def read_friends(conn: Connection, member: Member, before: str | None) -> Friends:
    program_id, customer_id = member.program.id, member.customer_id
    return Friends(
        code=find_code(conn, program_id, customer_id),
        totals=totals_of(conn, program_id, customer_id),
        friends=referrals_of(conn, program_id, customer_id, before=before, most=PAGE + 1),
    )


def link_view(member: Member, code: str) -> dict[str, Any]:
    """One's own link, and the ways in which it leaves the phone where there is no share sheet."""
    base_url, slug = member.site.settings.base_url, member.program.slug
    url = f"{base_url}/{slug}/r/{code}"
    text = _invitation(member, url)
    return {
        "url": url,
        "shown": url.partition("://")[2],
        # The path is read in capitals too, which makes a smaller code.
        "qr_svg": svg(url.upper(), "M"),
        "text": text,
        "whatsapp": f"https://wa.me/?text={quote(text)}",
        "sms": f"sms:?&body={quote(text)}",
        "email": f"mailto:?subject={quote(member.program.settings.name)}&body={quote(text)}",
    }


def friend_view(member: Member, friend: Referral) -> dict[str, Any]:
    """A friend as their advocate sees them: a first name, and how far it is. Why one does not count stays unsaid."""
    return {
        "name": friend.friend_name,
        "state": friend.state,
        "points": member.visitor.amount(friend.points) if friend.points else None,
        "at": friend.created_at,
    }


def _invitation(member: Member, url: str) -> str:
    """The words that go with the link; they may be changed before they are sent."""
    rules, settings = member.program.settings.referral, member.program.settings
    texts = settings.texts_in(member.language)
    return member.site.renderer.text(
        member.language,
        SHARED if rules.friend_points else SHARED_PLAIN,
        program=settings.name,
        points=member.visitor.amount(rules.friend_points),
        points_name=texts.points_name or member.site.renderer.text(member.language, "Points"),
        url=url,
    )
