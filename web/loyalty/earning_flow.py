"""An earning flow: one way to earn, as a merchant sets it up. What it gives is decided in earning_rules.py."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty import ledger
from web.loyalty.earning_rules import (
    BIRTHDAY,
    CHECK_IN,
    FOLLOW,
    LINK_CLICK,
    PURCHASE,
    REFERRAL,
    SCAN,
    TYPE_PATTERN,
    Amount,
    Conditions,
    FlowRules,
    Recurrence,
    Scope,
)
from web.loyalty.program_settings import Localised
from web.loyalty.program_version import program_changed

earning_flow = Table(
    "earning_flow",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("type", String(24), nullable=False),
    Column("title", Json, nullable=False),
    Column("description", Json, nullable=False),
    # Given each time, or for every `per_money` minor units of money.
    Column("points", ledger.Amount, nullable=False),
    Column("per_money", ledger.Amount),
    Column("conditions", Json, nullable=False),
    Column("recurrence", String(12), nullable=False),
    Column("times", Integer, nullable=False),
    Column("per", String(12), nullable=False),
    Column("most", Integer),
    Column("starts_at", Moment),
    Column("ends_at", Moment),
    # What pages need to offer it: the addresses of networks, by their names.
    Column("links", Json, nullable=False),
    Column("active", Boolean(name="active_is_boolean"), nullable=False),
    Column("archived_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("points >= 0", name="points_not_negative"),
    CheckConstraint("per_money > 0", name="per_money_is_positive"),
    CheckConstraint("times > 0 and most > 0", name="limits_are_positive"),
    CheckConstraint(
        "recurrence in ('once', 'day', 'week', 'month', 'quarter', 'year', 'unlimited')",
        name="recurrence_is_known",
    ),
    CheckConstraint("per in ('customer', 'location', 'network', 'link')", name="per_is_known"),
)
Index("ix_earning_flow_type", earning_flow.c.program_id, earning_flow.c.type)

# What a merchant means who says nothing of limits.
_RECURRENCE: dict[str, Recurrence] = {
    PURCHASE: "unlimited",
    REFERRAL: "unlimited",
    BIRTHDAY: "year",
    CHECK_IN: "day",
    SCAN: "day",
}
_SCOPE: dict[str, Scope] = {CHECK_IN: "location", FOLLOW: "network", LINK_CLICK: "link"}


class NewEarningFlow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to earn as a merchant writes it.

    `points` in minor units: each time, or for every `per_money` minor units of the currency that are spent.
    `times` in each period of `recurrence`, for the customer or for each shop, network or link (`per`); `most` in all.
    Where `recurrence` and `per` are left out they are what the type suggests.
    """

    type: Annotated[str, Meta(pattern=TYPE_PATTERN)]
    title: Localised
    points: Amount
    description: Localised = {}
    per_money: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    conditions: Conditions = Conditions()
    recurrence: Recurrence | None = None
    times: Annotated[int, Meta(ge=1, le=1000)] = 1
    per: Scope | None = None
    most: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    links: dict[str, str] = {}
    active: bool = True


class EarningFlow(FlowRules, frozen=True, kw_only=True):
    """A way to earn as it is kept."""

    title: Localised
    description: Localised
    links: dict[str, str]
    archived_at: datetime | None = None


class InvalidFlow(Exception):
    """A flow that cannot work; `problems` says each of its faults and what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NoSuchFlow(Exception):
    """The programme has no such earning flow."""


_COLUMNS = tuple(earning_flow.c[name] for name in EarningFlow.__struct_fields__)


def add_flow(conn: Connection, program_id: str, new: NewEarningFlow) -> str:
    """Offer a way to earn; returns its id. Raises: InvalidFlow."""
    flow_id, now = new_id(), utc_now()
    row = {"program_id": program_id, "id": flow_id, "created_at": now, "updated_at": now, **_values(new)}
    conn.execute(insert(earning_flow).values(row))
    program_changed(conn, program_id)
    return flow_id


def change_flow(conn: Connection, program_id: str, flow_id: str, changed: NewEarningFlow) -> None:
    """Give a flow new rules; what was earned by the old ones stays as it was. Raises: NoSuchFlow, InvalidFlow."""
    _update(conn, program_id, flow_id, _values(changed))


def archive_flow(conn: Connection, program_id: str, flow_id: str) -> None:
    """Take a flow away for good; its history stays. Raises: NoSuchFlow."""
    _update(conn, program_id, flow_id, {"active": False, "archived_at": utc_now()})


def flows_of(conn: Connection, program_id: str, kind: str | None = None) -> list[EarningFlow]:
    """A programme's flows that were not archived, of one type or of all, the oldest first."""
    query = select(*_COLUMNS).where(
        earning_flow.c.program_id == program_id, earning_flow.c.archived_at.is_(None)
    )
    if kind is not None:
        query = query.where(earning_flow.c.type == kind)
    return [_flow(row._mapping) for row in conn.execute(query.order_by(earning_flow.c.id))]


def find_flow(conn: Connection, program_id: str, name: str) -> EarningFlow:
    """One flow by its id, or by its type where it is the only one of it ("CUSTOM_1"). Raises: NoSuchFlow."""
    found = [flow for flow in flows_of(conn, program_id) if name in (flow.id, flow.type)]
    if len(found) != 1:
        raise NoSuchFlow(name)
    return found[0]


def _flow(row: Any) -> EarningFlow:
    return EarningFlow(**{**row, "conditions": msgspec.convert(row["conditions"], Conditions)})


def _values(new: NewEarningFlow) -> dict[str, Any]:
    if problems := _problems(new):
        raise InvalidFlow(problems)
    return {
        **msgspec.structs.asdict(new),
        "conditions": msgspec.to_builtins(new.conditions),
        "recurrence": new.recurrence or _RECURRENCE.get(new.type, "once"),
        "per": new.per or _SCOPE.get(new.type, "customer"),
    }


def _problems(new: NewEarningFlow) -> list[str]:
    problems = []
    if not any(new.title.values()):
        problems.append("title: give it a text in at least one language.")
    if new.per_money is not None and new.type != PURCHASE:
        problems.append(f"per_money: only {PURCHASE} counts money; {new.type} gives the same each time.")
    if new.starts_at and new.ends_at and new.starts_at >= new.ends_at:
        problems.append("ends_at: must be later than starts_at.")
    for name in ("starts_at", "ends_at"):
        moment = getattr(new, name)
        if moment is not None and moment.tzinfo is None:
            problems.append(f"{name}: needs its offset, like 2026-11-27T00:00:00+01:00.")
    if new.recurrence == "unlimited" and new.times != 1:
        problems.append("times: means nothing where recurrence is unlimited.")
    return problems


def _update(conn: Connection, program_id: str, flow_id: str, values: dict[str, Any]) -> None:
    found = conn.execute(
        update(earning_flow)
        .where(
            earning_flow.c.program_id == program_id,
            earning_flow.c.id == flow_id,
            earning_flow.c.archived_at.is_(None),
        )
        .values(**values, updated_at=utc_now())
    ).rowcount
    if not found:
        raise NoSuchFlow(flow_id)
    program_changed(conn, program_id)
