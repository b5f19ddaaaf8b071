"""What happens anyway earns by itself: a visit, a proven address, an installed card, a birthday, a complete profile."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from tests.loyalty.people import new_customer
from tests.support.ledger import an_order, put_away_flows
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.loyalty import event
from web.loyalty.balance import find_balance
from web.loyalty.check_in import check_in_at
from web.loyalty.customer import change_details, customer, find_details
from web.loyalty.earning_flow import NewEarningFlow, add_flow
from web.loyalty.earning_occasions import OCCASIONS, on_event, profile_changed
from web.loyalty.event_catalogue import check_properties
from web.loyalty.ledger import LARGEST
from web.loyalty.location import UnknownLocation, shops_of
from web.loyalty.points import set_balance
from web.loyalty.program import Program

AT = datetime(2026, 3, 21, 12, tzinfo=UTC)


@pytest.fixture
async def program(database: Database, program: Program) -> Program:
    """The demo programme without the ways to earn of its own."""
    await database.write(put_away_flows, program.id)
    return msgspec.structs.replace(program, flows=())


def an_event(program: Program, name: str, who: str | None, **properties: Any) -> event.Event:
    return event.Event(
        program_id=program.id, id=new_id(), name=name, customer_id=who, at=AT, properties=properties
    )


async def offer(database: Database, program: Program, kind: str, points: int = 10, **changes: Any) -> str:
    new = NewEarningFlow(type=kind, title={"en": "A way to earn"}, points=points, **changes)
    return await database.write(add_flow, program.id, new)


async def available(database: Database, program: Program, who: str) -> int:
    found = await database.read(find_balance, program.id, who)
    return found.available if found else 0


async def test_each_occasion_earns_once_however_often_the_worker_tells_of_it(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    told = []
    for name, kind in OCCASIONS.items():
        await offer(database, program, kind)
        told.append(
            an_event(
                program, name, ana, locationId=new_id(), linkKey="menu", role="advocate", referralId=new_id()
            )
        )
    for happened in [*told, *told, an_event(program, event.CARD_OPENED, ana)]:
        await database.write(on_event, program, happened)
    assert await available(database, program, ana) == 10 * len(OCCASIONS)
    friend = await database.write(new_customer, program)
    await database.write(
        on_event, program, an_event(program, event.REFERRAL_COMPLETED, friend, role="friend")
    )
    assert await available(database, program, friend) == 0
    # Nobody is there any more, or nobody was meant: nothing is made of it.
    stranger = new_id()
    for who in (stranger, None):
        await database.write(on_event, program, an_event(program, event.ACCOUNT_VERIFIED, who))
    assert await database.read(find_balance, program.id, stranger) is None
    # Whose account takes no more does not stop the others' events.
    full = await database.write(new_customer, program)
    await database.write(set_balance, program, full, LARGEST, an_order())
    await database.write(on_event, program, an_event(program, event.ACCOUNT_VERIFIED, full))
    assert await available(database, program, full) == LARGEST


async def test_a_profile_earns_when_every_question_has_an_answer(
    database: Database, program: Program
) -> None:
    await offer(database, program, "COMPLETE_USER_PROFILE")
    ana = await database.write(new_customer, program)
    await database.write(on_event, program, an_event(program, event.CUSTOMER_CREATED, ana))
    assert await available(database, program, ana) == 0
    details = await database.read(find_details, program.id, ana)
    birthday = msgspec.structs.replace(details, birthday="--03-21")
    both = msgspec.structs.replace(birthday, extra={"favourite": "tea"})
    for told, expected in ((birthday, 0), (both, 10), (birthday, 10), (both, 10)):
        await database.write(change_details, program.id, ana, told)
        await database.write(profile_changed, program, ana)
        assert await available(database, program, ana) == expected
    ben = await database.write(new_customer, program)
    await database.write(change_details, program.id, ben, both)
    await database.write(on_event, program, an_event(program, event.CUSTOMER_CREATED, ben))
    assert await available(database, program, ben) == 10
    await database.write(
        lambda conn: conn.execute(update(customer).where(customer.c.id == ben).values(name=None))
    )
    await database.write(profile_changed, program, ben)


async def test_a_check_in_is_told_of_once_and_earns_by_its_flows_at_each_shop(
    database: Database, program: Program
) -> None:
    ana = await database.write(new_customer, program)
    one, other = (await database.read(shops_of, program.id))[:2]
    bare = await database.write(check_in_at, program, ana, one.id, key="0", at=AT)
    assert (bare.points, bare.is_first_visit, bare.location_name) == (0, True, one.name)
    await offer(database, program, "CHECK_IN", 5, recurrence="week")
    outcomes = []
    for shop, key in ((one, "1"), (one, "1"), (one, "2"), (other, "3")):
        outcome = await database.write(check_in_at, program, ana, shop.id, key=key, at=AT)
        outcomes.append((outcome.points, outcome.is_first_visit, outcome.is_repeat))
    assert outcomes == [(5, False, False), (5, False, True), (0, False, False), (5, True, False)]
    assert await available(database, program, ana) == 10
    told = await database.read(
        lambda conn: conn.scalars(
            select(event.event.c.properties)
            .where(event.event.c.customer_id == ana, event.event.c.name == event.CHECK_IN)
            .order_by(event.event.c.id)
        ).all()
    )
    assert [(each["points"], each["firstVisit"]) for each in told] == [
        (0, True),
        (5, False),
        (0, False),
        (5, True),
    ]
    for properties in told:
        check_properties(event.CHECK_IN, properties)
    with pytest.raises(UnknownLocation):
        await database.write(check_in_at, program, ana, new_id(), key="4")
