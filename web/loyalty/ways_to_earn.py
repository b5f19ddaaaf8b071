"""The ways to earn as one customer has them now: what is open, what was had, how often more, and what stands before."""

from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import case, func, or_, select
from sqlalchemy.engine import Connection

from web.loyalty.earning_flow import EarningFlow
from web.loyalty.earning_record import earning
from web.loyalty.earning_rules import (
    NOTHING,
    Earner,
    Happening,
    Taken,
    Trace,
    evaluate,
    period_of,
)
from web.loyalty.held_tier import tier_named
from web.loyalty.program import Program

# What can be said before anything happens; where, how and for how much is seen then.
_SEEN_BEFORE = frozenset(("begun", "not_over", "weekday", "tier", "period", "most"))


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One flow, and where a customer stands with it.

    `had` is how often it gave them something, `places` the shops, networks or links where it did in this period.
    `trace.failed` is what stands before it now (`earning_why.why` puts it in words); with nothing there it is open.
    `remaining` counts this period, or all where only that is limited; None without limit, or with one for each place.
    """

    flow: EarningFlow
    had: int
    places: frozenset[str]
    remaining: int | None
    trace: Trace

    @property
    def is_open(self) -> bool:
        return not self.trace.failed


def ways_to_earn(
    conn: Connection, program: Program, customer_id: str, tier_id: str | None, now: datetime
) -> list[Way]:
    """Every active flow of the programme, for this customer, in two queries. `tier_id` is the tier they hold."""
    zone = ZoneInfo(program.settings.timezone)
    flows = [flow for flow in program.flows if flow.active]
    if not flows:
        return []
    had, turns = _had(conn, program.id, customer_id)
    places = _places(
        conn, program.id, customer_id, {flow.id: period_of(flow.recurrence, now, zone) for flow in flows}
    )
    tier = tier_named(program, tier_id)
    earner = Earner(tier_level=tier.level if tier else -1)
    return [_way(flow, had[flow.id], turns[flow.id], places[flow.id], earner, now, zone) for flow in flows]


def _way(
    flow: EarningFlow,
    had: int,
    turns: int,
    places: dict[str, int],
    earner: Earner,
    now: datetime,
    zone: ZoneInfo,
) -> Way:
    # A flow with a limit of its own at each place is open as long as there are other places.
    in_period = places[""] if flow.per == "customer" else 0
    taken = Taken(in_period=frozenset(range(in_period)), in_all=frozenset(range(turns)))
    trace = evaluate(flow, Happening(at=now), earner, taken, NOTHING, zone).trace
    left = []
    if flow.recurrence != "unlimited" and flow.per == "customer":
        left.append(flow.times - in_period)
    if flow.most is not None:
        left.append(flow.most - turns)
    return Way(
        flow=flow,
        had=had,
        places=frozenset(place for place in places if place),
        remaining=max(0, min(left)) if left else None,
        trace=msgspec.structs.replace(
            trace, checks=tuple(check for check in trace.checks if check.rule in _SEEN_BEFORE)
        ),
    )


def _had(
    conn: Connection, program_id: str, customer_id: str
) -> tuple[defaultdict[str, int], defaultdict[str, int]]:
    """How often each flow gave something, and how many turns of it are taken."""
    had, turns = defaultdict[str, int](int), defaultdict[str, int](int)
    rows = conn.execute(
        select(
            earning.c.flow_id,
            func.count(case((earning.c.points > 0, earning.c.id))),
            func.count(earning.c.turn),
        )
        .where(earning.c.program_id == program_id, earning.c.customer_id == customer_id)
        .group_by(earning.c.flow_id)
    )
    for flow_id, times, taken in rows:
        had[flow_id], turns[flow_id] = times, taken
    return had, turns


def _places(
    conn: Connection, program_id: str, customer_id: str, periods: dict[str, str]
) -> defaultdict[str, defaultdict[str, int]]:
    """How often each flow was had in its present period, by shop, network or link ("" for none of them)."""
    found = defaultdict[str, defaultdict[str, int]](lambda: defaultdict(int))
    in_its_period = [
        (earning.c.flow_id == flow_id) & earning.c.slot.startswith(f"{period}|", autoescape=True)
        for flow_id, period in periods.items()
    ]
    rows = conn.execute(
        select(earning.c.flow_id, earning.c.slot).where(
            earning.c.program_id == program_id, earning.c.customer_id == customer_id, or_(*in_its_period)
        )
    )
    for flow_id, slot in rows:
        found[flow_id][slot.split("|")[1]] += 1
    return found
