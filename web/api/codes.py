"""Codes at a till: whose it is and what it buys, whether it came from a reward or a coupon; and used, once."""

from typing import Literal

from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.caller import count
from web.api.coupons import AssignedShown, show_assigned
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.problems import Problem
from web.api.redemptions import (
    EXAMPLE,
    RedemptionShown,
    Use,
    place_id,
    refusals_shown,
    show_redemption,
    use_of,
)
from web.api.shapes import A_CUSTOMER, Id, Output
from web.foundation.limits import API_CODE
from web.foundation.schema import utc_now
from web.loyalty import assigning
from web.loyalty.coupon_code import Assigned, find_assigned
from web.loyalty.redemption import Redemption, find_by_code

TAG = "Codes"


class CodeShown(Output):
    """What a code stands for. `isGood`: it may be used now."""

    code: str
    type: Literal["reward", "coupon"]
    is_good: bool
    customer_id: Id
    redemption: RedemptionShown | None
    coupon: AssignedShown | None


EXAMPLE_CODE = CodeShown(
    code="7K3M9QXA2",
    type="reward",
    is_good=True,
    customer_id=A_CUSTOMER,
    redemption=EXAMPLE,
    coupon=None,
)


@operation("GET", "/v1/programs/{program}/codes/{code}", scope="read", tag=TAG, answer=EXAMPLE_CODE)
async def look_up_code(call: Call) -> CodeShown:
    """Look up a code.

    As it was typed or scanned, of a reward or a coupon. Look-ups are limited more than other calls.
    """
    await count(call.request, call.parts, API_CODE, call.program.id)
    return await call.read(_look_up, call, call.path["code"])


@operation(
    "POST",
    "/v1/programs/{program}/codes/{code}/use",
    scope="write",
    tag=TAG,
    example=Use(order_id="1001", location="malasana", staff="Ana", device="till 2"),
    answer=EXAMPLE_CODE,
    failures=("conflict", "refused"),
)
async def use_code(call: Call, data: Use) -> CodeShown:
    """Use a code.

    Once: the same order may say so again, anything else is refused.
    """
    await count(call.request, call.parts, API_CODE, call.program.id)
    return await call.write(_use, call, call.path["code"], data)


def _look_up(conn: Connection, call: Call, code: str) -> CodeShown:
    redeemed = find_by_code(conn, call.program.id, code)
    if redeemed is not None:
        return _of_reward(conn, call, redeemed)
    held = find_assigned(conn, call.program.id, code)
    if held is None:
        raise Problem("not-found", "There is no such code in this programme.")
    return _of_coupon(held)


def _use(conn: Connection, call: Call, code: str, data: Use) -> CodeShown:
    with refusals_shown(call):
        if find_by_code(conn, call.program.id, code) is not None:
            return _of_reward(conn, call, use_of(conn, call, code, data))
        return _of_coupon(
            assigning.use(
                conn,
                call.program,
                code,
                customer_id=require_customer(conn, call, data.customer) if data.customer else None,
                location_id=place_id(conn, call.program, data.location),
                order_ref=data.order_id,
                actor=data.staff or call.actor,
            )
        )


def _of_reward(conn: Connection, call: Call, its: Redemption) -> CodeShown:
    return CodeShown(
        code=its.code or "",
        type="reward",
        is_good=its.state == "issued" and (its.expires_at is None or utc_now() < its.expires_at),
        customer_id=its.customer_id,
        redemption=show_redemption(conn, call.program, its),
        coupon=None,
    )


def _of_coupon(its: Assigned) -> CodeShown:
    return CodeShown(
        code=its.code,
        type="coupon",
        is_good=its.is_good(utc_now()),
        customer_id=its.customer_id,
        redemption=None,
        coupon=show_assigned(its),
    )


ROUTES = (look_up_code, use_code)
