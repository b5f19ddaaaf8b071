"""Codes: what was redeemed, to be shown at the counter or typed at a checkout, and what became of each."""

from datetime import datetime
from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from web.foundation.schema import is_id, utc_now
from web.foundation.short_code import grouped
from web.loyalty.redemption import Redemption, find_redemption, redemptions_of
from web.pages.code_view import code_view
from web.pages.member import Member, member_of
from web.pages.visitor import AnyRequest

PAGE = 20


@get("/{slug:str}/loyalty/rewards/codes", name="codes")
async def show_all(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    before, now = request.query_params.get("before", ""), utc_now()
    found = await member.site.database.read(
        redemptions_of,
        member.program.id,
        member.customer_id,
        before=before if is_id(before) else None,
        most=PAGE + 1,
    )
    codes = [redemption_view(member, each, now) for each in found[:PAGE]]
    return member.page(
        "redemption/list.html",
        "loyalty/rewards",
        open=[each for each in codes if each["state"] == "issued"],
        closed=[each for each in codes if each["state"] != "issued"],
        older=found[PAGE - 1].id if len(found) > PAGE else None,
        is_first=not before,
        timezone=member.program.settings.timezone,
    )


@get("/{slug:str}/loyalty/rewards/codes/{redemption_id:str}", name="code")
async def show(request: AnyRequest, slug: FromPath[str], redemption_id: FromPath[str]) -> Response[bytes]:
    """One code, as text, barcode and QR, with its remaining time."""
    member = await member_of(request, slug)
    found = None
    if is_id(redemption_id):
        found = await member.site.database.read(
            find_redemption, member.program.id, redemption_id, member.customer_id
        )
    if found is None:
        raise NotFoundException
    now = utc_now()
    made = redemption_view(member, found, now)
    if request.query_params.get("while") == made["state"]:
        # The open page asks whether the till has taken the code; until then there is nothing new to show.
        return Response(b"", status_code=204, headers={"cache-control": "no-store"})
    return member.page(
        "redemption/show.html",
        "loyalty/rewards",
        made=made,
        code=code_view(found.code or "", is_ours=made["is_ours"]) if made["state"] == "issued" else None,
        points=member.visitor.amount(member.standing.points),
        timezone=member.program.settings.timezone,
    )


def redemption_view(member: Member, made: Redemption, now: datetime) -> dict[str, Any]:
    """A redemption in a list or on its own page. `seconds` are left of `of_seconds`; None without an end."""
    reward = next((each for each in member.program.rewards if each.id == made.reward_id), None)
    is_ours = reward is None or reward.code_source == "generated"
    is_over = made.expires_at is not None and made.expires_at <= now
    began = made.issued_at or made.created_at
    return {
        "id": made.id,
        "title": member.program.settings.say(reward.title, member.language) if reward else made.code,
        # The clock gives points back within a minute; the page need not wait for it to say that it is over.
        "state": "expired" if made.state == "issued" and is_over else made.state,
        "points_are_back": made.state in ("expired", "returned"),
        "channel": made.channel,
        "cost": member.visitor.amount(made.cost) if made.cost else None,
        "code": grouped(made.code, 3) if made.code and is_ours else made.code,
        "is_ours": is_ours,
        "at": made.created_at,
        "used_at": made.used_at,
        "ended_at": made.ended_at or made.expires_at,
        "expires_at": made.expires_at,
        "until": int(made.expires_at.timestamp()) if made.expires_at else None,
        "seconds": max(0, int((made.expires_at - now).total_seconds())) if made.expires_at else None,
        "of_seconds": max(1, int((made.expires_at - began).total_seconds())) if made.expires_at else None,
    }
