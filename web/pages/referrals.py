"""Friends: one's own link to bring them by, who came, and what it earned."""

from litestar import Response, get
from litestar.params import FromPath

from web.pages.member import member_of
from web.pages.visitor import AnyRequest


@get("/{slug:str}/referrals", name="referrals")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    return member.page("referrals/show.html", "loyalty/earning-flows")
