"""The tier that a customer holds: kept in the row of their balance, with a history that is only added to.

What is gathered and taken back comes through `follow`, the passing of time through `close_due`, a merchant's own
decision through `grant_tier`. Each is part of its caller's transaction, under the lock of the balance.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, String, Table, insert, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, new_id, utc_now
from web.loyalty.balance import Balance, balance, lock_balance, save_balance
from web.loyalty.booking import Order
from web.loyalty.customer import customer
from web.loyalty.event import TIER_DOWNGRADED, TIER_UPGRADED, record
from web.loyalty.identity import names_of
from web.loyalty.program import Program
from web.loyalty.standing import Standing
from web.loyalty.tier import Tier
from web.loyalty.tier_count import counted_since
from web.loyalty.tiering import Outcome, Rung, Tiering, TierProgress, TierState
from web.loyalty.wallet_pass import SILENT, TIER

tier_change = Table(
    "tier_change",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("previous_id", Id),
    Column("current_id", Id),
    Column("cause", String(8), nullable=False),
    # From when it holds; `recorded_at` is when it was noticed.
    Column("at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    CheckConstraint("cause in ('cycle', 'refund', 'manual', 'earned')", name="cause_is_known"),
)
Index(
    "ix_tier_change_customer",
    tier_change.c.program_id,
    tier_change.c.customer_id,
    tier_change.c.at,
    tier_change.c.id,
)


class TierChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a customer's history of tiers."""

    previous_id: str | None
    current_id: str | None
    cause: str
    at: datetime


def tiering_of(program: Program) -> Tiering:
    """The rules by which a programme's tiers are reached and lost."""
    ladder = tuple(
        Rung(id=each.id, level=each.level, required=each.required_points, open=each.active)
        for each in program.tiers
    )
    return Tiering(program.settings.tiers, ladder, ZoneInfo(program.settings.timezone))


def follow(conn: Connection, program: Program, held: Balance, points: int, money: int, order: Order) -> None:
    """Count what was gathered, or below zero what was taken back, and let the tier follow.

    `held` is locked, and the caller saves it. What is told late counts in the cycle that runs now, whether the clock
    has ended the one before or not.
    """
    tiering = tiering_of(program)
    state, now = _state_of(conn, tiering, held), utc_now()
    if state.due_at is not None and state.due_at <= now:
        _close(conn, program, tiering, held, now, is_history=order.is_history)
        state = _state_of(conn, tiering, held)
    moment = min(now, max(order.at or now, state.entered_at, state.cycle_start))
    counts_points = tiering.rules.balance == "points"
    outcome = tiering.gather(state, points if counts_points else money, moment)
    _keep(conn, program, tiering, held, state, outcome, is_history=order.is_history)
    if counts_points:
        held.tier_money += money
    else:
        held.tier_points += points


def take_over(conn: Connection, program: Program, held: Balance, gone: Balance, order: Order) -> None:
    """Count what another customer gathered, who turned out to be this one, as if it had been theirs.

    Both are locked; the caller saves `held`. What was carried over from the last cycle adds up, too.
    """
    tiering, now = tiering_of(program), utc_now()
    _close(conn, program, tiering, held, now, is_history=order.is_history)
    began = held.cycle_started_at
    assert began is not None, "it was written a moment ago"
    if held.cycle_ends_at is None:
        held.cycle_started_at = began = min(began, gone.cycle_started_at or began)
    if gone.cycle_ends_at is None or gone.cycle_ends_at > now:
        held.tier_carry += gone.tier_carry
    names = [
        name for each in (held.customer_id, gone.customer_id) for name in names_of(conn, program.id, each)
    ]
    counted = counted_since(conn, program.id, names, began)
    follow(conn, program, held, counted.points - held.tier_points, counted.money - held.tier_money, order)


def close_due(conn: Connection, program: Program, customer_id: str, now: datetime) -> bool:
    """Let one customer's cycles, grace and grants end whose time has come; True if the tier changed by it."""
    held = lock_balance(conn, program.id, customer_id)
    is_other = _close(conn, program, tiering_of(program), held, now)
    save_balance(conn, held)
    return is_other


def due_tiers(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """Programme and customer of those whose tier the clock has to look at, the longest waiting first."""
    rows = conn.execute(
        select(balance.c.program_id, balance.c.customer_id)
        .where(balance.c.tier_due_at <= now)
        .order_by(balance.c.tier_due_at)
        .limit(most)
    )
    return [(row.program_id, row.customer_id) for row in rows]


def grant_tier(
    conn: Connection, program: Program, customer_id: str, tier_id: str | None, until: datetime | None = None
) -> str | None:
    """Let a customer hold at least this tier until then (None: for good), or with None end such a grant.

    Returns the tier they hold now. Raises: ValueError for a tier that the programme does not have.
    """
    held = lock_balance(conn, program.id, customer_id)
    tiering = tiering_of(program)
    state = _state_of(conn, tiering, held)
    outcome = tiering.grant(state, tier_id, until, max(utc_now(), state.entered_at))
    _keep(conn, program, tiering, held, state, outcome)
    save_balance(conn, held)
    return held.tier_id


def progress_of(program: Program, standing: Standing) -> TierProgress:
    """What is missing for the next tier, and for keeping this one after its cycle. Minor units, of points or money."""
    counts_points = program.settings.tiers.balance == "points"
    counted = standing.tier_carry + (standing.tier_points if counts_points else standing.tier_money)
    ends = standing.cycle_ends_at is not None
    return tiering_of(program).progress(standing.tier_id, counted, ends=ends)


def tier_named(program: Program, tier_id: str | None) -> Tier | None:
    return next((each for each in program.tiers if each.id == tier_id), None)


def tier_at(conn: Connection, program: Program, customer_id: str, moment: datetime) -> str | None:
    """The tier that a customer held at `moment` (C8); what nobody had to reach where nothing is written."""
    mine = (tier_change.c.program_id == program.id) & (tier_change.c.customer_id == customer_id)
    ids = (tier_change.c.at, tier_change.c.id)
    before = conn.execute(
        select(tier_change.c.current_id)
        .where(mine, tier_change.c.at <= moment)
        .order_by(*(each.desc() for each in ids))
        .limit(1)
    ).one_or_none()
    if before is not None:
        return str(before.current_id) if before.current_id else None
    after = conn.execute(select(tier_change.c.previous_id).where(mine).order_by(*ids).limit(1)).one_or_none()
    if after is not None:
        return str(after.previous_id) if after.previous_id else None
    now = conn.scalar(
        select(balance.c.tier_id).where(
            balance.c.program_id == program.id, balance.c.customer_id == customer_id
        )
    )
    return now or next((each.id for each in program.tiers if each.active and not each.required_points), None)


def history_of(conn: Connection, program_id: str, customer_id: str) -> list[TierChanged]:
    """Every change of a customer's tier, in order."""
    rows = conn.execute(
        select(tier_change.c.previous_id, tier_change.c.current_id, tier_change.c.cause, tier_change.c.at)
        .where(tier_change.c.program_id == program_id, tier_change.c.customer_id == customer_id)
        .order_by(tier_change.c.at, tier_change.c.id)
    )
    return [TierChanged(**row._mapping) for row in rows]


def _close(
    conn: Connection,
    program: Program,
    tiering: Tiering,
    held: Balance,
    now: datetime,
    *,
    is_history: bool = False,
) -> bool:
    """Let everything end whose time has come; True if the tier changed by it."""
    state = _state_of(conn, tiering, held)
    outcome = tiering.close_cycle(state, max(now, state.entered_at))
    _keep(conn, program, tiering, held, state, outcome, is_history=is_history)
    return bool(outcome[1])


def _state_of(conn: Connection, tiering: Tiering, held: Balance) -> TierState:
    counted = held.tier_points if tiering.rules.balance == "points" else held.tier_money
    if held.enrolled_at is None or held.cycle_started_at is None or held.tier_entered_at is None:
        enrolled_at = conn.scalar(
            select(customer.c.created_at).where(
                customer.c.program_id == held.program_id, customer.c.id == held.customer_id
            )
        )
        now = utc_now()
        return tiering.start(min(enrolled_at or now, now), now, counted)
    return TierState(
        enrolled_at=held.enrolled_at,
        tier_id=held.tier_id,
        entered_at=held.tier_entered_at,
        current=counted,
        carry=held.tier_carry,
        cycle_start=held.cycle_started_at,
        cycle_ends_at=held.cycle_ends_at,
        secured_id=held.tier_secured_id,
        won_id=held.tier_won_id,
        grace_id=held.tier_grace_id,
        grace_until=held.tier_grace_until,
        granted_id=held.tier_granted_id,
        granted_until=held.tier_granted_until,
    )


def _keep(
    conn: Connection,
    program: Program,
    tiering: Tiering,
    held: Balance,
    before: TierState,
    outcome: Outcome,
    *,
    is_history: bool = False,
) -> None:
    state, _ = outcome
    if before.cycle_ends_at is not None and state.cycle_start >= before.cycle_ends_at:
        # What is not counted by these rules begins anew with the cycle all the same.
        held.tier_points = held.tier_money = 0
    if tiering.rules.balance == "points":
        held.tier_points = state.current
    else:
        held.tier_money = state.current
    held.tier_carry = state.carry
    held.tier_id = state.tier_id
    held.tier_entered_at = state.entered_at
    held.tier_kept_until = tiering.kept_until(state)
    held.tier_secured_id = state.secured_id
    held.tier_won_id = state.won_id
    held.tier_grace_id, held.tier_grace_until = state.grace_id, state.grace_until
    held.tier_granted_id, held.tier_granted_until = state.granted_id, state.granted_until
    held.enrolled_at = state.enrolled_at
    held.cycle_started_at, held.cycle_ends_at = state.cycle_start, state.cycle_ends_at
    held.tier_due_at = state.due_at
    _write_history(conn, held, outcome)
    if is_history:
        held.speaks = SILENT
    else:
        _tell(conn, program, held, outcome)


def _write_history(conn: Connection, held: Balance, outcome: Outcome) -> None:
    rows = [
        {
            "program_id": held.program_id,
            "id": new_id(),
            "customer_id": held.customer_id,
            "previous_id": change.previous_id,
            "current_id": change.current_id,
            "cause": change.cause,
            "at": change.at,
            "recorded_at": utc_now(),
        }
        for change in outcome[1]
    ]
    if rows:
        conn.execute(insert(tier_change), rows)


def _tell(conn: Connection, program: Program, held: Balance, outcome: Outcome) -> None:
    """Say what happened (events-links-consent 5.1, numbers 7 and 8)."""
    state, changes = outcome
    if changes:
        held.speaks = TIER
    for change in changes:
        properties = {
            "previous": _named(program, change.previous_id),
            "current": _named(program, change.current_id),
            "tierPoints": state.points,
            "enteredAt": change.at.isoformat(),
            "expiresAt": held.tier_kept_until.isoformat() if held.tier_kept_until else None,
        }
        if not change.is_upgrade:
            properties["cause"] = change.cause
        name = TIER_UPGRADED if change.is_upgrade else TIER_DOWNGRADED
        record(conn, program.id, name, held.customer_id, properties)


def _named(program: Program, tier_id: str | None) -> dict[str, object] | None:
    found = tier_named(program, tier_id)
    if found is None:
        return None
    return {"name": program.settings.say(found.name, program.settings.default_language), "level": found.level}
