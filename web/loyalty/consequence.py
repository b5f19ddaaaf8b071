"""What follows within the trade from what happened: ways to earn and referrals look at each event.

That is rules deciding about points, so it is a delivery like any other: of each customer one after the other, each in
a transaction of its own, tried again, and put aside for a person to look at. A rule that fails holds up nobody else.
"""

from typing import Any

from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, TryLater, enqueue
from web.loyalty import earning_occasions, referral_reward
from web.loyalty.earning_rules import PROFILE
from web.loyalty.event import CUSTOMER_CREATED, Event, find_event
from web.loyalty.program import Program
from web.loyalty.programs import Programs

CONSEQUENCE = "consequence"
LOOKED_AT = frozenset((*earning_occasions.OCCASIONS, *referral_reward.ACTIONS))


def follow_up(conn: Connection, program: Program, happened: Event) -> None:
    """Write down that the trade's rules have to look at an event. Most events are none of their business."""
    if happened.customer_id is None or happened.name not in LOOKED_AT:
        return
    if happened.name == CUSTOMER_CREATED and not _is_looked_at(program, happened.properties):
        return
    lane = f"{CONSEQUENCE}:{happened.customer_id}"
    enqueue(conn, program.id, CONSEQUENCE, lane, {"customer_id": happened.customer_id}, happened.id)


def _is_looked_at(program: Program, told: dict[str, Any]) -> bool:
    """A registration matters to whoever sent the friend, and where a complete profile earns something."""
    return "referralCode" in told or any(flow.type == PROFILE for flow in program.flows)


class Consequences:
    """Lets the rules look, when an event's turn comes."""

    def __init__(self, database: Database, programs: Programs) -> None:
        self._database = database
        self._programs = programs

    async def draw(self, delivery: Delivery) -> None:
        """Book what follows from one event; repeats change nothing. Raises: Drop, TryLater."""
        program = self._programs.by_id(delivery.program_id)
        if program is None:
            raise TryLater("the programme is not loaded yet")
        await self._database.write(_draw, program, delivery.event_id)


def _draw(conn: Connection, program: Program, event_id: str | None) -> None:
    happened = find_event(conn, program.id, event_id) if event_id else None
    if happened is None:
        raise Drop("the event is gone")
    earning_occasions.on_event(conn, program, happened)
    referral_reward.on_event(conn, program, happened)
