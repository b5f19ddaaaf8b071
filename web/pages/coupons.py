"""Coupons: what a merchant gave away, with the code that the till or the checkout takes."""

from datetime import datetime, timedelta
from typing import Any, Literal

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from web.foundation.languages import N_
from web.foundation.schema import is_id, utc_now
from web.loyalty.coupon_code import Assigned, coupons_of, find_assigned
from web.pages.code_view import code_view
from web.pages.member import Member, member_of
from web.pages.visitor import AnyRequest
from web.pages.worth import worth_of

PAGE = 20
# So near its end a coupon says so.
SOON = timedelta(days=3)

State = Literal["active", "used", "expired"]
NAMES: dict[State, str] = {"active": N_("To use"), "used": N_("Used"), "expired": N_("Over")}


@get("/{slug:str}/coupons", name="coupons")
async def show_all(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    asked, before = request.query_params.get("show", ""), request.query_params.get("before", "")
    shown: State = "used" if asked == "used" else "expired" if asked == "expired" else "active"
    found = await member.site.database.read(
        coupons_of,
        member.program.id,
        member.customer_id,
        state=shown,
        before=before if is_id(before) else None,
        most=PAGE + 1,
    )
    now = utc_now()
    return member.page(
        "coupons/list.html",
        "coupons",
        shown=shown,
        views=[
            {"key": key, "name": member.site.renderer.text(member.language, name), "current": key == shown}
            for key, name in NAMES.items()
        ],
        coupons=[coupon_view(member, each, now) for each in found[:PAGE]],
        older=found[PAGE - 1].id if len(found) > PAGE else None,
        is_first=not before,
        timezone=member.program.settings.timezone,
    )


@get("/{slug:str}/coupons/{assigned_id:str}", name="coupon")
async def show(request: AnyRequest, slug: FromPath[str], assigned_id: FromPath[str]) -> Response[bytes]:
    """One coupon, as text, barcode and QR."""
    member = await member_of(request, slug)
    found = None
    if is_id(assigned_id):
        found = await member.site.database.read(
            find_assigned, member.program.id, assigned_id, member.customer_id
        )
    # One that was taken back is not shown as if it were there.
    if found is None or found.state == "revoked":
        raise NotFoundException
    now = utc_now()
    return member.page(
        "coupons/show.html",
        "coupons",
        coupon=coupon_view(member, found, now),
        code=code_view(found.code, is_ours=False) if found.is_good(now) else None,
        timezone=member.program.settings.timezone,
    )


def coupon_view(member: Member, found: Assigned, now: datetime) -> dict[str, Any]:
    settings = member.program.settings
    ends = found.expires_at
    return {
        "id": found.id,
        "name": settings.say(found.name, member.language),
        "description": settings.say(found.description, member.language),
        "worth": worth_of(member, found.kind, found.value),
        "kind": found.kind,
        "code": found.code,
        "state": "active" if found.is_good(now) else "used" if found.state == "used" else "expired",
        "ends": ends,
        # The moment is the first at which it is over; people count the days on which it is good.
        "last_day": ends - timedelta(seconds=1) if ends else None,
        "is_soon": ends is not None and now < ends <= now + SOON,
        "used_at": found.used_at,
        "ended_at": found.ended_at or ends,
    }
