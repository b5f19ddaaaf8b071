"""A reward: what points buy, who may have it, how often, and for how long its code is good."""

from datetime import datetime
from typing import Annotated, Literal

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
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import Localised

RewardKind = Literal["fixed", "percent", "free_shipping", "free_product", "gift_card", "custom"]
Period = Literal["life", "year", "month", "week", "day"]
Channel = Literal["both", "online", "in_store"]
CodeSource = Literal["generated", "pool"]

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


_COLUMNS = tuple(reward.c[name] for name in Reward.__struct_fields__)


def add_rewards(conn: Connection, program_id: str, rewards: list[NewReward]) -> list[str]:
    """Offer rewards; returns their ids."""
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
    return [str(row["id"]) for row in rows]


def rewards_of(conn: Connection, program_id: str) -> list[Reward]:
    """Everything a programme offers or offered, the cheapest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(reward.c.program_id == program_id).order_by(reward.c.cost, reward.c.id)
    )
    return [Reward(**row._mapping) for row in rows]
