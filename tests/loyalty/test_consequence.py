"""What follows within the trade from an event: each event by itself, tried again when a rule fails."""

from typing import Any

import msgspec
import pytest
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from web.foundation.database import Database
from web.foundation.delivery import claim
from web.loyalty import consequence, earning_occasions
from web.loyalty.balance import find_balance
from web.loyalty.consequence import CONSEQUENCE, Consequences, follow_up
from web.loyalty.customer import confirm_address
from web.loyalty.earning_flow import NewEarningFlow, add_flow
from web.loyalty.event import take_waiting
from web.loyalty.program import Program
from web.loyalty.programs import Programs


class Held(Programs):
    """One programme, as a process holds it."""

    def __init__(self, program: Program) -> None:
        self._only = program

    def by_id(self, program_id: str) -> Program | None:
        return self._only


async def follow_all(database: Database, program: Program) -> list[Any]:
    """What the worker does first: events become deliveries; returns those that the rules have to look at."""

    def follow(conn: Connection) -> int:
        return len([follow_up(conn, program, each) for each in take_waiting(conn, 50)])

    while await database.write(follow):
        pass
    return await database.write(claim, {CONSEQUENCE: 50})


async def test_a_rule_that_fails_holds_up_nobody_and_earns_once_when_it_works_again(
    database: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = msgspec.structs.replace(program, flows=())
    flow = NewEarningFlow(type="VERIFY_ACCOUNT", title={"en": "Confirmed"}, points=7)
    await database.write(add_flow, program.id, flow)
    await follow_all(database, program)
    ana, ben = [await database.write(new_customer, program) for _ in range(2)]
    for who in (ana, ben):
        await database.write(confirm_address, program.id, who, "email")
    waiting = await follow_all(database, program)
    assert len(waiting) == 2, "one for each, and none for what earns nothing"
    rules = Consequences(database, Held(program))
    judge = earning_occasions.on_event

    def fails_for_ana(conn: Any, of: Program, happened: Any) -> None:
        if happened.customer_id == ana:
            raise RuntimeError("a rule of the merchant's that nobody thought of")
        judge(conn, of, happened)

    monkeypatch.setattr(earning_occasions, "on_event", fails_for_ana)
    assert consequence.earning_occasions.on_event is fails_for_ana
    failed = 0
    for each in waiting:
        try:
            await rules.draw(each)
        except RuntimeError:
            failed += 1
    assert failed == 1
    assert await database.read(find_balance, program.id, ana) is None
    ben_has = await database.read(find_balance, program.id, ben)
    assert ben_has is not None
    assert ben_has.available >= 7
    monkeypatch.setattr(earning_occasions, "on_event", judge)
    for each in waiting * 2:
        await rules.draw(each)
    ana_has = await database.read(find_balance, program.id, ana)
    assert ana_has is not None
    assert ana_has.available == ben_has.available, "tried again and repeated, it is earned once"
