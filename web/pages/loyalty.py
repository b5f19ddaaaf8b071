"""Rewards, ways to earn, friends and coupons: what there is of each, and what would fill it."""

from litestar import Response, get
from litestar.params import FromPath

from web.pages.member import member_of
from web.pages.visitor import AnyRequest


@get("/{slug:str}/loyalty/earning-flows", name="earning_flows")
async def earning_flows(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    texts = member.program.settings.texts_in(member.language)
    return member.page("earning/list.html", "loyalty/earning-flows", gains=texts.gains)


@get("/{slug:str}/referrals", name="referrals")
async def referrals(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    return member.page("referrals/list.html", "loyalty/earning-flows")


@get("/{slug:str}/coupons", name="coupons")
async def coupons(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    return member.page("coupons/list.html", "coupons")
