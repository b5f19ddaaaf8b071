"""A reward: what points buy."""

import msgspec
from sqlalchemy import Boolean, CheckConstraint, Column, Index, Table, insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import Localised

reward = Table(
    "reward",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("title", Json, nullable=False),
    Column("description", Json, nullable=False),
    Column("cost", Amount, nullable=False),
    Column("active", Boolean(name="active_is_boolean"), nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("cost >= 0", name="cost_not_negative"),
)
Index("ix_reward_cost", reward.c.program_id, reward.c.active, reward.c.cost)


class Reward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward as a merchant writes it; `cost` in minor units."""

    title: Localised
    cost: int
    description: Localised = {}


def add_rewards(conn: Connection, program_id: str, rewards: list[Reward]) -> None:
    now = utc_now()
    for new in rewards:
        conn.execute(
            insert(reward).values(
                program_id=program_id,
                id=new_id(),
                title=new.title,
                description=new.description,
                cost=new.cost,
                active=True,
                created_at=now,
            )
        )
