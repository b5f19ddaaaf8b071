"""Friends: the link that a customer shares, and who came by it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customer_shown import link_by
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.paging import Page, PageQuery, cursor_at
from web.api.referrals import A_REFERRAL, TAG, State, page_before
from web.api.shapes import A_MOMENT, Id, Output, PointsShown, shown
from web.loyalty.referral import Referral, Totals, referrals_of, totals_of
from web.loyalty.referral_code import code_for


class ReferralLink(Output):
    """A customer's own code and the link to share."""

    code: Annotated[str, Meta(examples=["7K3M9QXA"])]
    link: str


class FriendShown(Output):
    """A friend, as the customer who brought them sees it: by first name alone."""

    id: Id
    friend_name: str | None
    state: State | Literal["held"]
    points: PointsShown
    created_at: datetime
    rewarded_at: datetime | None


class Friends(Page[FriendShown], frozen=True, kw_only=True, rename="camel"):
    """One page of friends, the latest first, and what all of them came to."""

    joined: int
    rewarded: int
    points: PointsShown


EXAMPLE_FRIENDS = Friends(
    items=[
        FriendShown(
            id=A_REFERRAL,
            friend_name="Ben",
            state="rewarded",
            points=50,
            created_at=A_MOMENT,
            rewarded_at=A_MOMENT,
        )
    ],
    next_cursor=None,
    joined=1,
    rewarded=1,
    points=50,
)


@operation(
    "GET",
    "/v1/programs/{program}/customers/{customer}/referrals",
    "/v1/me/referrals",
    scope="read",
    tag=TAG,
    answer=EXAMPLE_FRIENDS,
    customers=True,
)
async def list_friends(call: Call, query: PageQuery) -> Friends:
    """List the friends whom a customer brought."""
    found, totals = await call.read(_friends, call, page_before(query), query.limit + 1)
    page, scale = found[: query.limit], call.program.settings.scale
    return Friends(
        items=[_friend(each, scale) for each in page],
        next_cursor=cursor_at(page[-1].id) if len(found) > query.limit else None,
        joined=totals.joined,
        rewarded=totals.rewarded,
        points=shown(totals.points, scale),
    )


@operation(
    "POST",
    "/v1/programs/{program}/customers/{customer}/referral-link",
    "/v1/me/referral-link",
    scope="write",
    tag=TAG,
    answer=ReferralLink(code="7K3M9QXA", link="https://cards.example/brewbar/r/7K3M9QXA"),
    customers=True,
)
async def make_referral_link(call: Call) -> ReferralLink:
    """Get a customer's referral code and link.

    Made the first time it is asked for; from then on it stays the same.
    """
    return await call.write(_link, call)


def _friends(conn: Connection, call: Call, before: str | None, most: int) -> tuple[list[Referral], Totals]:
    customer_id = _whose(conn, call)
    found = referrals_of(conn, call.program.id, customer_id, before=before, most=most)
    return found, totals_of(conn, call.program.id, customer_id)


def _link(conn: Connection, call: Call) -> ReferralLink:
    code = code_for(conn, call.program, _whose(conn, call))
    return ReferralLink(code=code, link=link_by(code, call))


def _whose(conn: Connection, call: Call) -> str:
    return require_customer(conn, call, call.path.get("customer") or call.customer_id or "")


def _friend(each: Referral, scale: int) -> FriendShown:
    state: Any = each.state
    return FriendShown(
        id=each.id,
        friend_name=each.friend_name,
        state=state,
        points=shown(each.points, scale),
        created_at=each.created_at,
        rewarded_at=each.rewarded_at,
    )


ROUTES = (list_friends, make_referral_link)
