"""Redeeming: what has to happen together, at most once, and to nobody else's cost."""

import asyncio
from collections import Counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id
from web.loyalty.balance import find_balance
from web.loyalty.booking import NotEnough, Order
from web.loyalty.code_pool import load_codes
from web.loyalty.customer import confirm_address
from web.loyalty.event import event
from web.loyalty.offer import (
    CannotRedeem,
)
from web.loyalty.points import earn
from web.loyalty.program import Program
from web.loyalty.redeeming import redeem
from web.loyalty.redemption import Redemption
from web.loyalty.reward import NewReward, add_rewards, find_reward

BACK = Order(key=None, reason="Given back", source="pos")


def offer(conn: Connection, program: Program, **fields: Any) -> str:
    given: dict[str, Any] = {"title": {"en": "Free coffee"}, "cost": 100, **fields}
    return add_rewards(conn, program.id, [NewReward(**given)])[0]


def a_member(conn: Connection, program: Program, points: int = 100) -> str:
    """Somebody with a proven address and points to spend."""
    customer_id = new_customer(conn, program)
    confirm_address(conn, program.id, customer_id, "email")
    if points:
        earn(conn, program, customer_id, points, an_order())
    return customer_id


def buy(conn: Connection, program: Program, customer_id: str, reward_id: str, **how: Any) -> Redemption:
    return redeem(conn, program, customer_id, reward_id, **{"channel": "online", "key": new_id(), **how})


def points_of(conn: Connection, program: Program, customer_id: str) -> tuple[int, int]:
    """Available and reserved."""
    held = find_balance(conn, program.id, customer_id)
    return (held.available, held.reserved) if held else (0, 0)


def stock_of(conn: Connection, program: Program, reward_id: str) -> int | None:
    found = find_reward(conn, program.id, reward_id)
    assert found is not None
    return found.stock


def events_of(conn: Connection, program: Program, customer_id: str, name: str) -> list[dict[str, Any]]:
    rows = conn.scalars(
        select(event.c.properties)
        .where(event.c.program_id == program.id, event.c.customer_id == customer_id, event.c.name == name)
        .order_by(event.c.id)
    )
    return list(rows)


async def outcomes(attempts: list[Any]) -> Counter[str]:
    """What each of many that came at once was told; anything but a refusal or a redemption is a fault."""
    ended = await asyncio.gather(*attempts, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException) and not isinstance(each, CannotRedeem | NotEnough):
            raise each
    return Counter(type(each).__name__ for each in ended)


async def test_of_a_hundred_who_want_the_last_one_exactly_one_gets_it(
    database_url: str, database: Database, program: Program
) -> None:
    """From two processes' databases at once: the rest are told that it is gone, and keep their points."""

    def prepare(conn: Connection) -> tuple[str, str, list[str]]:
        last, last_code = offer(conn, program, stock=1), offer(conn, program, code_source="pool")
        load_codes(conn, program.id, last_code, ["ONLY-ONE"])
        return last, last_code, [a_member(conn, program, 200) for _ in range(100)]

    last, last_code, people = await database.write(prepare)
    other = open_database(database_url)
    try:
        sides = (database, other)
        told = await outcomes([sides[n % 2].write(buy, program, who, last) for n, who in enumerate(people)])
        assert told == {"Redemption": 1, "OutOfStock": 99}
        told = await outcomes(
            [sides[n % 2].write(buy, program, who, last_code) for n, who in enumerate(people)]
        )
        assert told == {"Redemption": 1, "NoCodesLeft": 99}
    finally:
        await other.close()
    left = [await database.read(points_of, program, who) for who in people]
    assert sum(available for available, _ in left) == 100 * 200 - 200
    assert await database.read(stock_of, program, last) == 0
