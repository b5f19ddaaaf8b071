"""A tier: a standing that is reached by earning."""

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, UniqueConstraint, insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import Localised

tier = Table(
    "tier",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("name", Json, nullable=False),
    Column("level", Integer, nullable=False),
    Column("required_points", Amount, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "level"),
    CheckConstraint("required_points >= 0", name="required_points_not_negative"),
)
Index("ix_tier_required_points", tier.c.program_id, tier.c.required_points)


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier as a merchant writes it. `required_points` are minor units, earned in all."""

    name: Localised
    required_points: int


def add_tiers(conn: Connection, program_id: str, tiers: list[Tier]) -> None:
    """Add tiers, lowest first."""
    now = utc_now()
    for level, new in enumerate(sorted(tiers, key=lambda each: each.required_points)):
        conn.execute(
            insert(tier).values(
                program_id=program_id,
                id=new_id(),
                name=new.name,
                level=level,
                required_points=new.required_points,
                created_at=now,
            )
        )
