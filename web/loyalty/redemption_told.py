"""What merchants and customers are told of a redemption: its two events, and its name."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.loyalty.balance import find_balance
from web.loyalty.event import REWARD_REDEEMED_IN_STORE, REWARD_REDEEMED_ONLINE, record
from web.loyalty.location import location
from web.loyalty.program import Program
from web.loyalty.redemption import Redemption
from web.loyalty.reward import Reward


def tell_of(
    conn: Connection, program: Program, made: Redemption, bought: Reward, device_id: str | None = None
) -> None:
    """Record the redemption. One for the shop is told of once it is known which: at the till, or when it is used."""
    at_the_till = made.location_id is not None or made.state == "used"
    if made.channel == "in_store" and not at_the_till:
        return
    left = find_balance(conn, program.id, made.customer_id)
    properties: dict[str, Any] = {
        "redemptionId": made.id,
        "rewardId": bought.id,
        "rewardTitle": title_of(program, bought),
        "cost": made.cost,
        "balance": left.available if left else 0,
        "code": made.code,
        "discountType": bought.kind,
        "value": bought.value,
        **({"orderId": made.order_ref} if made.order_ref else {}),
    }
    if made.channel == "in_store":
        properties |= {
            "locationId": made.location_id,
            "locationName": _location_name(conn, program, made.location_id),
            "staffId": made.actor,
            "deviceId": device_id,
        }
    name = REWARD_REDEEMED_ONLINE if made.channel == "online" else REWARD_REDEEMED_IN_STORE
    record(conn, program.id, name, made.customer_id, properties)


def _location_name(conn: Connection, program: Program, location_id: str | None) -> str | None:
    name: str | None = conn.scalar(
        select(location.c.name).where(location.c.program_id == program.id, location.c.id == location_id)
    )
    return name


def title_of(program: Program, bought: Reward, language: str | None = None) -> str:
    settings = program.settings
    return settings.say(bought.title, language or settings.default_language)[:120]
