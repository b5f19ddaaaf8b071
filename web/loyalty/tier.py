"""A tier: a standing that is reached by gathering. Who holds which is said in held_tier.py."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.loyalty.balance import balance
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import Localised
from web.loyalty.program_version import program_changed

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
    # One that was put away is kept by its holders and reached by nobody.
    Column("active", Boolean(name="active_is_boolean"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("program_id", "level"),
    CheckConstraint("required_points >= 0", name="required_points_not_negative"),
    CheckConstraint("multiplier between 1 and 10000", name="multiplier_is_sane"),
)
_ACTIVE = tier.c.active.is_(True)
Index(
    "ix_tier_required_points",
    tier.c.program_id,
    tier.c.required_points,
    unique=True,
    sqlite_where=_ACTIVE,
    postgresql_where=_ACTIVE,
)


class NewTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier as a merchant writes it. `required_points` are minor units, `multiplier` is per cent of what is earned."""

    name: Localised
    required_points: Annotated[int, Meta(ge=0, le=10**15)]
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
    active: bool = True


class InvalidTier(Exception):
    """A tier that a programme cannot have; the text says why."""


class NoSuchTier(Exception):
    """The programme has no tier of this id."""


_COLUMNS = tuple(tier.c[name] for name in Tier.__struct_fields__)


def add_tiers(conn: Connection, program_id: str, tiers: list[NewTier]) -> list[str]:
    """Add tiers to a programme; returns their ids. Who has gathered enough already gets there within minutes.

    Raises: InvalidTier.
    """
    ids = []
    for new in tiers:
        _check(conn, program_id, new)
        ids.append(new_id())
        # Above all others until the ladder is put in order.
        level = len(tiers_of(conn, program_id))
        row = {
            "program_id": program_id,
            "id": ids[-1],
            "level": level,
            "active": True,
            "created_at": utc_now(),
        }
        conn.execute(insert(tier).values(**row, updated_at=utc_now(), **msgspec.structs.asdict(new)))
    _put_in_order(conn, program_id)
    return ids


def change_tier(conn: Connection, program_id: str, tier_id: str, changed: NewTier) -> None:
    """Give a tier new values. Nobody loses it by that before their cycle ends. Raises: NoSuchTier, InvalidTier."""
    _check(conn, program_id, changed, but=tier_id)
    _update(conn, program_id, tier_id, msgspec.structs.asdict(changed))


def archive_tier(conn: Connection, program_id: str, tier_id: str) -> None:
    """Put a tier away: its holders keep it until their cycle ends, and nobody reaches it. Raises: NoSuchTier."""
    _update(conn, program_id, tier_id, {"active": False})


def tiers_of(conn: Connection, program_id: str) -> list[Tier]:
    """A programme's tiers, the lowest first, with those that were put away."""
    rows = conn.execute(select(*_COLUMNS).where(tier.c.program_id == program_id).order_by(tier.c.level))
    return [Tier(**row._mapping) for row in rows]


def _update(conn: Connection, program_id: str, tier_id: str, values: dict[str, Any]) -> None:
    found = conn.execute(
        update(tier)
        .where(tier.c.program_id == program_id, tier.c.id == tier_id)
        .values(**values, updated_at=utc_now())
    ).rowcount
    if not found:
        raise NoSuchTier(tier_id)
    _put_in_order(conn, program_id)


def _check(conn: Connection, program_id: str, new: NewTier, but: str | None = None) -> None:
    if not any(new.name.values()):
        raise InvalidTier("name: give it a text in at least one language.")
    others = [each for each in tiers_of(conn, program_id) if each.active and each.id != but]
    if any(each.required_points == new.required_points for each in others):
        raise InvalidTier(f"required_points: another tier requires {new.required_points} already.")


def _put_in_order(conn: Connection, program_id: str) -> None:
    """Levels follow what is required; everybody's tier is looked at again by the clock."""
    mine = tier.c.program_id == program_id
    conn.execute(update(tier).where(mine).values(level=-1 - tier.c.level))
    ordered = select(tier.c.id).where(mine).order_by(tier.c.required_points, tier.c.active, tier.c.id)
    for level, tier_id in enumerate(conn.scalars(ordered).all()):
        conn.execute(update(tier).where(mine, tier.c.id == tier_id).values(level=level))
    look_at_everybody(conn, program_id)
    program_changed(conn, program_id)


def look_at_everybody(conn: Connection, program_id: str) -> None:
    """Let the clock see which tier each customer holds under rules that were changed."""
    conn.execute(update(balance).where(balance.c.program_id == program_id).values(tier_due_at=utc_now()))
