"""A reward: what points buy, who may have it, how often, and for how long its code is good."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.ledger import Amount
from web.loyalty.period import Period
from web.loyalty.program_settings import Localised
from web.loyalty.program_version import program_changed

RewardKind = Literal["fixed", "percent", "free_shipping", "free_product", "gift_card", "custom"]

Channel = Literal["both", "online", "in_store"]
CodeSource = Literal["generated", "pool"]

# So few that it is worth saying how many.
SCARCE = 5

reward = Table(
    "reward",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("title", Json, nullable=False),
    Column("description", Json, nullable=False),
    Column("cost", Amount, nullable=False),
    # What it is worth: minor units of the currency for "fixed" and "gift_card", per cent for "percent".
    Column("kind", String(16), nullable=False),
    Column("value", Amount),
    # How many are left; null for as many as are asked for.
    Column("stock", Integer),
    Column("limit_count", Integer),
    Column("limit_period", String(8), nullable=False),
    # The balances, in minor units, from and up to which it is shown and can be had.
    Column("visible_from", Amount),
    Column("visible_to", Amount),
    Column("redeemable_from", Amount),
    Column("redeemable_to", Amount),
    Column("starts_at", Moment),
    Column("ends_at", Moment),
    # The lowest tier that may have it, by level.
    Column("tier_level", Integer),
    Column("channel", String(8), nullable=False),
    Column("code_source", String(12), nullable=False),
    # How long a code is good; unused at its end, its points go back.
    Column("code_minutes", Integer),
    Column("active", Boolean(name="active_is_boolean"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("cost >= 0", name="cost_not_negative"),
    CheckConstraint("stock >= 0", name="stock_not_negative"),
    CheckConstraint("limit_count > 0", name="limit_is_positive"),
    CheckConstraint("code_minutes > 0", name="code_lives"),
    CheckConstraint(
        "kind in ('fixed', 'percent', 'free_shipping', 'free_product', 'gift_card', 'custom')",
        name="kind_is_known",
    ),
    CheckConstraint("limit_period in ('life', 'year', 'month', 'week', 'day')", name="limit_period_is_known"),
    CheckConstraint("channel in ('both', 'online', 'in_store')", name="channel_is_known"),
    CheckConstraint("code_source in ('generated', 'pool')", name="code_source_is_known"),
)
Index("ix_reward_cost", reward.c.program_id, reward.c.active, reward.c.cost)


class NewReward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward as a merchant writes it; `cost` and the ranges of balances in minor units."""

    title: Localised
    cost: Annotated[int, Meta(ge=0)]
    description: Localised = {}
    kind: RewardKind = "custom"
    value: Annotated[int, Meta(ge=0)] | None = None
    stock: Annotated[int, Meta(ge=0)] | None = None
    limit_count: Annotated[int, Meta(ge=1)] | None = None
    limit_period: Period = "life"
    visible_from: int | None = None
    visible_to: int | None = None
    redeemable_from: int | None = None
    redeemable_to: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    tier_level: int | None = None
    channel: Channel = "both"
    code_source: CodeSource = "generated"
    code_minutes: Annotated[int, Meta(ge=1, le=525_600)] | None = None
    active: bool = True


class Reward(NewReward, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward as it is kept."""

    id: str


class InvalidReward(Exception):
    """A reward that contradicts itself; `problems` says each fault and what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_COLUMNS = tuple(reward.c[name] for name in Reward.__struct_fields__)


def check_reward(new: NewReward) -> None:
    """What types alone cannot say. Raises: InvalidReward."""
    problems = []
    if not any(text.strip() for text in new.title.values()):
        problems.append("title: give it in at least one language.")
    if new.kind in ("fixed", "percent", "gift_card") and not new.value:
        problems.append(f"value: a reward of the kind {new.kind!r} needs one.")
    if new.kind == "percent" and new.value is not None and new.value > 100:
        problems.append("value: at most 100 per cent.")
    for low, high in (
        ("visible_from", "visible_to"),
        ("redeemable_from", "redeemable_to"),
        ("starts_at", "ends_at"),
    ):
        first, last = getattr(new, low), getattr(new, high)
        if first is not None and last is not None and first > last:
            problems.append(f"{high}: lies before {low}.")
    problems += [
        f"{name}: say of which time zone, like 2026-12-24T18:00:00Z."
        for name in ("starts_at", "ends_at")
        if (moment := getattr(new, name)) is not None and moment.tzinfo is None
    ]
    if problems:
        raise InvalidReward(problems)


def add_rewards(conn: Connection, program_id: str, rewards: list[NewReward]) -> list[str]:
    """Offer rewards; returns their ids. Raises: InvalidReward."""
    for new in rewards:
        check_reward(new)
    now = utc_now()
    rows = [
        {
            **msgspec.structs.asdict(new),
            "program_id": program_id,
            "id": new_id(),
            "created_at": now,
            "updated_at": now,
        }
        for new in rewards
    ]
    if rows:
        conn.execute(insert(reward), rows)
        program_changed(conn, program_id)
    return [str(row["id"]) for row in rows]


def rewards_of(conn: Connection, program_id: str) -> list[Reward]:
    """Everything a programme offers or offered, the cheapest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(reward.c.program_id == program_id).order_by(reward.c.cost, reward.c.id)
    )
    return [Reward(**row._mapping) for row in rows]


def find_reward(conn: Connection, program_id: str, reward_id: str, *, lock: bool = False) -> Reward | None:
    """One reward as it is now; with `lock`, nobody else changes it until the commit."""
    wanted = select(*_COLUMNS).where(reward.c.program_id == program_id, reward.c.id == reward_id)
    row = conn.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    return None if row is None else Reward(**row._mapping)


def change_reward(conn: Connection, program_id: str, changed: Reward) -> bool:
    """Offer a reward differently from now on; False if there is none of this id. What was redeemed stays as it was.

    Raises: InvalidReward.
    """
    check_reward(changed)
    values = msgspec.structs.asdict(changed)
    del values["id"]
    return _update(conn, program_id, changed.id, **values)


def retire_reward(conn: Connection, program_id: str, reward_id: str) -> bool:
    """Offer a reward no more; codes that were issued stay good. False if there is none of this id."""
    return _update(conn, program_id, reward_id, active=False)


def change_stock(conn: Connection, program_id: str, reward_id: str, change: int) -> None:
    """Take one out of a stock, or put one back. Where the reward has none, nothing is counted.

    Processes are told while there are only a few: more than that is shown to nobody.
    """
    left = conn.scalar(
        update(reward)
        .where(reward.c.program_id == program_id, reward.c.id == reward_id, reward.c.stock.is_not(None))
        .values(stock=reward.c.stock + change)
        .returning(reward.c.stock)
    )
    if left is not None and left <= SCARCE:
        program_changed(conn, program_id)


def _update(conn: Connection, program_id: str, reward_id: str, **values: Any) -> bool:
    found = conn.execute(
        update(reward)
        .where(reward.c.program_id == program_id, reward.c.id == reward_id)
        .values(**values, updated_at=utc_now())
    ).rowcount
    if found:
        program_changed(conn, program_id)
    return bool(found)
