"""Earning: what flows give to whom, and why.

Everything of one customer happens under the lock of their balance. What a flow found is kept with its trace, also
where it gave nothing.
"""

import contextlib
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import points
from web.loyalty.balance import Balance, find_balance, lock_balance
from web.loyalty.booking import Order
from web.loyalty.customer import customer
from web.loyalty.earning_flow import EarningFlow, find_flow, flows_of
from web.loyalty.earning_record import carried, earning, keep_carried, keep_earning
from web.loyalty.earning_rules import (
    PURCHASE,
    Earner,
    Evaluation,
    Factor,
    Happening,
    Recurrence,
    Taken,
    Trace,
    evaluate,
    place_of,
)
from web.loyalty.held_tier import tier_named
from web.loyalty.multiplier import factor_at, multipliers_of
from web.loyalty.program import Program


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one flow. `remaining` is how often more it may be had now; None without limit."""

    flow_id: str
    points: int
    remaining: int | None
    recurrence: Recurrence
    trace: Trace
    entry_id: str | None = None
    is_repeat: bool = False


class NotEarned(Exception):
    """A flow's conditions do not hold; `trace` says which."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(", ".join(check.rule for check in trace.failed))
        self.trace = trace


class LimitReached(NotEarned):
    """Everything would be well, but the customer had it as often as it may be had."""


def run_flow(
    conn: Connection,
    program: Program,
    customer_id: str,
    flow_name: str,
    happened: Happening,
    *,
    key: str,
    source: str = "rule",
    actor: str | None = None,
) -> Execution:
    """Let a customer have one flow, by its id or by its type ("CUSTOM_1"). The same key gives the same once.

    Raises: NoSuchFlow, NotEarned, LimitReached, and what `points.earn` raises; then nothing is kept.
    """
    flow = find_flow(conn, program.id, flow_name)
    held = lock_balance(conn, program.id, customer_id)
    if known := _known(conn, program.id, flow, key):
        return known
    judged = judge(conn, program, flow, held, happened)
    if not judged.is_granted:
        raise (LimitReached if judged.is_over_limit else NotEarned)(judged.trace)
    return _give(conn, program, flow, held.customer_id, happened, judged, key, source, actor)


def happened_to(
    conn: Connection,
    program: Program,
    customer_id: str,
    kind: str,
    happened: Happening,
    *,
    key: str,
    source: str = "rule",
) -> list[Execution]:
    """Let every flow of one type judge what happened; those that give nothing keep why, and nothing is raised.

    In a programme that mirrors another system's points there is nothing to give.
    """
    flows = [flow for flow in flows_of(conn, program.id, kind) if flow.active]
    if not flows or program.settings.points.mirror:
        return []
    held = lock_balance(conn, program.id, customer_id)
    executions = []
    for flow in flows:
        known = _known(conn, program.id, flow, key)
        executions.append(
            known
            or _give(
                conn,
                program,
                flow,
                held.customer_id,
                happened,
                judge(conn, program, flow, held, happened),
                key,
                source,
                None,
            )
        )
    return executions


def take_back(conn: Connection, program: Program, customer_id: str, key: str, order: Order) -> None:
    """What happened under this key counts no more: take back what flows gave for it, as far as nobody did before.

    `order` says why; each flow's reversal has a key of its own. A place under a flow's limits stays taken.
    """
    # A worker that gives for it at this very moment is waited for.
    lock_balance(conn, program.id, customer_id)
    mine = (earning.c.program_id == program.id, earning.c.key == key, earning.c.entry_id.is_not(None))
    rows = conn.execute(select(earning.c.id, earning.c.flow_id, earning.c.entry_id).where(*mine)).all()
    for row in rows:
        with contextlib.suppress(points.NotReversible):
            of_flow = msgspec.structs.replace(order, key=f"flow:{row.flow_id}:{key}:taken back")
            points.reverse(conn, program, row.entry_id, of_flow)
        conn.execute(
            update(earning)
            .where(earning.c.program_id == program.id, earning.c.id == row.id)
            .values(taken_back=earning.c.points)
        )


def dry_run(
    conn: Connection, program: Program, customer_id: str, kind: str, happened: Happening
) -> list[Evaluation]:
    """What every flow of one type would give for this, and why; nothing is booked or kept."""
    held = find_balance(conn, program.id, customer_id)
    if held is None:
        held = Balance(program_id=program.id, customer_id=customer_id, updated_at=utc_now())
    return [judge(conn, program, flow, held, happened) for flow in flows_of(conn, program.id, kind)]


def judge(
    conn: Connection, program: Program, flow: EarningFlow, held: Balance, happened: Happening
) -> Evaluation:
    """One flow's verdict for the customer whose balance this is."""
    zone = ZoneInfo(program.settings.timezone)
    return evaluate(
        flow,
        happened,
        _earner(conn, program, flow, held, happened),
        _taken(conn, flow, held, place_of(flow, happened, zone)),
        carried(conn, program.id, held.customer_id, flow.id),
        zone,
    )


def _give(
    conn: Connection,
    program: Program,
    flow: EarningFlow,
    customer_id: str,
    happened: Happening,
    judged: Evaluation,
    key: str,
    source: str,
    actor: str | None,
) -> Execution:
    entry_id = None
    if judged.points:
        order = Order(
            key=f"flow:{flow.id}:{key}",
            reason=_title(conn, program, flow, customer_id),
            source=source,
            source_ref=flow.type,
            actor=actor,
            at=happened.at,
            detail={"flow": flow.id},
        )
        entry_id = points.earn(conn, program, customer_id, judged.points, order).entry_id
    if judged.is_granted:
        keep_carried(conn, program.id, customer_id, flow.id, judged.left)
    keep_earning(conn, program.id, customer_id, key, happened, judged, entry_id=entry_id)
    return Execution(
        flow_id=flow.id,
        points=judged.points,
        remaining=judged.remaining,
        recurrence=flow.recurrence,
        trace=judged.trace,
        entry_id=entry_id,
    )


def _known(conn: Connection, program_id: str, flow: EarningFlow, key: str) -> Execution | None:
    row = conn.execute(
        select(earning.c.points, earning.c.trace, earning.c.entry_id).where(
            earning.c.program_id == program_id, earning.c.key == key, earning.c.flow_id == flow.id
        )
    ).one_or_none()
    if row is None:
        return None
    trace = msgspec.convert(row.trace, Trace)
    return Execution(
        flow_id=flow.id,
        points=row.points,
        remaining=trace.remaining,
        recurrence=flow.recurrence,
        trace=trace,
        entry_id=row.entry_id,
        is_repeat=True,
    )


def _earner(
    conn: Connection, program: Program, flow: EarningFlow, held: Balance, happened: Happening
) -> Earner:
    tier = tier_named(program, held.tier_id) or next(
        (each for each in program.tiers if each.active and not each.required_points), None
    )
    level = tier.level if tier else -1
    if flow.type != PURCHASE:
        return Earner(tier_level=level)
    factors: list[Factor] = []
    if tier and tier.multiplier != 100:
        factors.append(Factor(kind="tier", name=tier.name, percent=tier.multiplier))
    zone = ZoneInfo(program.settings.timezone)
    if campaign := factor_at(multipliers_of(conn, program.id), happened.at, zone):
        factors.append(campaign)
    return Earner(tier_level=level, factors=tuple(factors))


def _taken(conn: Connection, flow: EarningFlow, held: Balance, place: str) -> Taken:
    mine = (
        (earning.c.program_id == held.program_id)
        & (earning.c.flow_id == flow.id)
        & (earning.c.customer_id == held.customer_id)
    )
    in_period, in_all = list[int](), list[int]()
    if flow.recurrence != "unlimited":
        slots = select(earning.c.slot).where(mine, earning.c.slot.startswith(f"{place}|", autoescape=True))
        in_period = [int(slot.rpartition("|")[2]) for slot in conn.scalars(slots)]
    if flow.most is not None:
        in_all = list(conn.scalars(select(earning.c.turn).where(mine, earning.c.turn.is_not(None))))
    return Taken(in_period=frozenset(in_period), in_all=frozenset(in_all))


def _title(conn: Connection, program: Program, flow: EarningFlow, customer_id: str) -> str:
    """The flow's title in the customer's own language, as their history will show it."""
    locale = conn.scalar(
        select(customer.c.locale).where(customer.c.program_id == program.id, customer.c.id == customer_id)
    )
    return program.settings.say(flow.title, locale or program.settings.default_language)[:120]
