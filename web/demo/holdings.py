"""What the demo's customers redeemed and were given: used, running and over, some of each."""

from datetime import timedelta

from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import assigning
from web.loyalty.booking import Order
from web.loyalty.points import earn
from web.loyalty.program import Program
from web.loyalty.redeeming import mark_used, redeem
from web.loyalty.redemption import Redemption, Where

COFFEE, WEB_SHOP = 100, 250
REGULAR = 20


def add_holdings(conn: Connection, demo: Program, customer_id: str, visits: int) -> None:
    """As much as somebody of so many visits would have."""
    if visits:
        _add_coupons(conn, demo, customer_id, visits)
    if visits < REGULAR:
        return
    brought = Order(
        key=f"demo:{customer_id}:paper",
        reason="Brought over from the paper card",
        source="pos",
        is_history=True,
    )
    earn(conn, demo, customer_id, 400, brought, counts=False)
    mark_used(conn, demo, _redeem(conn, demo, customer_id, COFFEE, "in_store").id)
    if visits > 2 * REGULAR:
        _redeem(conn, demo, customer_id, WEB_SHOP, "online")


def _add_coupons(conn: Connection, demo: Program, customer_id: str, visits: int) -> None:
    now = utc_now()
    assigning.assign(conn, demo, "first-order", customer_id, key="demo", now=now - timedelta(days=20))
    for days in (100, 40, 3)[-(visits // REGULAR + 1) :]:
        given_at = now - timedelta(days=days)
        given = assigning.assign(conn, demo, "second-cup", customer_id, key=f"demo:{days}", now=given_at)
        if days == 40:
            assigning.use(conn, demo, given.id, now=given_at + timedelta(days=6))
        assigning.expire(conn, demo, given.id, now)


def _redeem(conn: Connection, demo: Program, customer_id: str, cost: int, channel: Where) -> Redemption:
    chosen = next(each for each in demo.rewards if each.cost == cost)
    return redeem(conn, demo, customer_id, chosen.id, channel=channel, key=f"demo:{customer_id}:{cost}")
