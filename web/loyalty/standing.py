"""A customer's standing: what the card shows of the ledger, tiers and rewards, in one round trip."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, FromClause, Join, and_, bindparam, func, select
from sqlalchemy.engine import Connection

from web.loyalty.balance import balance
from web.loyalty.customer import customer
from web.loyalty.program_settings import Localised
from web.loyalty.reward import reward
from web.loyalty.tier import tier


class Standing(msgspec.Struct, frozen=True):
    """Where a customer stands. Points are minor units; `version` grows with each change of the balance."""

    customer_id: str
    name: str | None
    locale: str
    card_number: str
    points: int
    version: int
    tier: Localised | None
    next_reward: Localised | None
    next_reward_cost: int | None
    # What counts towards the tier in this cycle, by either measure, and until when the tier is certain.
    tier_id: str | None
    tier_points: int
    tier_money: int
    tier_carry: int
    tier_kept_until: datetime | None
    cycle_ends_at: datetime | None
    # Since when they have been a customer.
    since: datetime

    @property
    def missing(self) -> int:
        """Points still needed for the next reward."""
        return max(0, (self.next_reward_cost or 0) - self.points)


_points = func.coalesce(balance.c.available, 0)
# Who was never booked anything holds what nothing is required for.
_base = (
    select(tier.c.id)
    .where(tier.c.program_id == customer.c.program_id, tier.c.active.is_(True), tier.c.required_points == 0)
    .correlate(customer)
    .scalar_subquery()
)
_held = func.coalesce(balance.c.tier_id, _base)
_offered = select(reward.c.id).where(
    reward.c.program_id == customer.c.program_id,
    reward.c.active.is_(True),
    # Nobody is led towards what is gone.
    reward.c.stock.is_(None) | (reward.c.stock > 0),
)
_nearest = _offered.where(reward.c.cost > _points).order_by(reward.c.cost).limit(1)
_dearest = _offered.order_by(reward.c.cost.desc()).limit(1)
_next = reward.alias("next_reward")
_VALUES = (
    customer.c.id,
    customer.c.name,
    customer.c.locale,
    customer.c.card_number,
    _points,
    func.coalesce(balance.c.version, 0),
    tier.c.name,
    _next.c.title,
    _next.c.cost,
    tier.c.id,
    func.coalesce(balance.c.tier_points, 0),
    func.coalesce(balance.c.tier_money, 0),
    func.coalesce(balance.c.tier_carry, 0),
    balance.c.tier_kept_until,
    balance.c.cycle_ends_at,
    customer.c.created_at,
)
STANDING: dict[str, ColumnElement[Any]] = dict(zip(Standing.__struct_fields__, _VALUES, strict=True))


def with_standing(source: FromClause) -> Join:
    """`source`, which holds `customer`, with what STANDING asks for: what a customer holds and what comes next."""
    return (
        source.outerjoin(
            balance,
            and_(balance.c.program_id == customer.c.program_id, balance.c.customer_id == customer.c.id),
        )
        .outerjoin(tier, and_(tier.c.program_id == customer.c.program_id, tier.c.id == _held))
        .outerjoin(
            _next,
            and_(
                _next.c.program_id == customer.c.program_id,
                _next.c.id
                == func.coalesce(
                    _nearest.correlate(customer, balance).scalar_subquery(),
                    _dearest.correlate(customer).scalar_subquery(),
                ),
            ),
        )
    )


# For whoever asks for more of a customer at the same time.
STANDINGS = with_standing(customer)
# Made once: SQLAlchemy remembers with a statement how it is compiled.
_FIND = (
    select(*STANDING.values())
    .select_from(STANDINGS)
    .where(customer.c.program_id == bindparam("program"), customer.c.id == bindparam("customer"))
)


def standing_of(conn: Connection, program_id: str, customer_id: str) -> Standing | None:
    """The customer's standing, or None if there is no such customer.

    The next reward is the cheapest one not yet within reach; where all are, the dearest.
    """
    row = conn.execute(_FIND, {"program": program_id, "customer": customer_id}).one_or_none()
    return None if row is None else Standing(*tuple(row))
