"""A customer's standing: what the card shows of the ledger, tiers and rewards, in one round trip."""

from typing import Any

import msgspec
from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection

from web.loyalty.customer import customer
from web.loyalty.ledger import balance
from web.loyalty.program_settings import Localised
from web.loyalty.reward import reward
from web.loyalty.tier import tier


class Standing(msgspec.Struct, frozen=True, kw_only=True):
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

    @property
    def missing(self) -> int:
        """Points still needed for the next reward."""
        return max(0, (self.next_reward_cost or 0) - self.points)


def standing_of(conn: Connection, program_id: str, customer_id: str) -> Standing | None:
    """The customer's standing, or None if there is no such customer.

    The next reward is the cheapest one not yet within reach; where all are, the dearest.
    """
    points = func.coalesce(balance.c.available, 0)
    reached = (
        select(tier.c.name)
        .where(
            tier.c.program_id == program_id, tier.c.required_points <= func.coalesce(balance.c.tier_points, 0)
        )
        .order_by(tier.c.required_points.desc())
        .limit(1)
        .correlate(balance)
        .scalar_subquery()
    )
    row = conn.execute(
        select(
            customer.c.id,
            customer.c.name,
            customer.c.locale,
            customer.c.card_number,
            points.label("points"),
            func.coalesce(balance.c.version, 0).label("version"),
            reached.label("tier"),
        )
        .join_from(
            customer,
            balance,
            and_(balance.c.program_id == customer.c.program_id, balance.c.customer_id == customer.c.id),
            isouter=True,
        )
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
    ).one_or_none()
    if row is None:
        return None
    title, cost = _next_reward(conn, program_id, row.points)
    return Standing(
        customer_id=row.id,
        name=row.name,
        locale=row.locale,
        card_number=row.card_number,
        points=row.points,
        version=row.version,
        tier=row.tier,
        next_reward=title,
        next_reward_cost=cost,
    )


def _next_reward(conn: Connection, program_id: str, points: int) -> tuple[Any, int | None]:
    offered = select(reward.c.title, reward.c.cost).where(
        reward.c.program_id == program_id, reward.c.active.is_(True)
    )
    row = conn.execute(offered.where(reward.c.cost > points).order_by(reward.c.cost).limit(1)).one_or_none()
    if row is None:
        row = conn.execute(offered.order_by(reward.c.cost.desc()).limit(1)).one_or_none()
    return (None, None) if row is None else (row.title, row.cost)
