"""A tier: a standing that is reached by earning."""

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, UniqueConstraint, insert, select
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
    Column("benefits", Json, nullable=False),
    Column("level", Integer, nullable=False),
    # Points, or the currency's minor units where the programme's tiers count money.
    Column("required_points", Amount, nullable=False),
    # Per cent of what is earned: 150 makes three points of two.
    Column("multiplier", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("program_id", "level"),
    CheckConstraint("required_points >= 0", name="required_points_not_negative"),
    CheckConstraint("multiplier between 1 and 10000", name="multiplier_is_sane"),
)
Index("ix_tier_required_points", tier.c.program_id, tier.c.required_points, unique=True)


class NewTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier as a merchant writes it. `required_points` are minor units, `multiplier` is per cent of what is earned."""

    name: Localised
    required_points: Annotated[int, Meta(ge=0)]
    benefits: Localised = {}
    multiplier: Annotated[int, Meta(ge=1, le=10000)] = 100


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A tier as it is kept; `level` counts up from 0, the lowest."""

    id: str
    name: Localised
    benefits: Localised
    level: int
    required_points: int
    multiplier: int


_COLUMNS = tuple(tier.c[name] for name in Tier.__struct_fields__)


def add_tiers(conn: Connection, program_id: str, tiers: list[NewTier]) -> None:
    """Add a programme's first tiers."""
    now = utc_now()
    for level, new in enumerate(sorted(tiers, key=lambda each: each.required_points)):
        conn.execute(
            insert(tier).values(
                program_id=program_id,
                id=new_id(),
                level=level,
                created_at=now,
                updated_at=now,
                **msgspec.structs.asdict(new),
            )
        )


def tiers_of(conn: Connection, program_id: str) -> list[Tier]:
    """A programme's tiers, the lowest first."""
    rows = conn.execute(
        select(*_COLUMNS).where(tier.c.program_id == program_id).order_by(tier.c.required_points)
    )
    return [Tier(**row._mapping) for row in rows]
