"""A coupon in a customer's hands: assigned once, used once, or over.

    assigned → used | expired | revoked

How it comes there, and what becomes of it, is written in assigning.py.
"""

from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    String,
    Table,
    UniqueConstraint,
    and_,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from web.foundation.schema import Id, Moment, is_id, metadata, utc_now
from web.loyalty import code_pool
from web.loyalty.coupon import coupon
from web.loyalty.program_settings import Localised
from web.loyalty.redemption import spellings_of
from web.loyalty.reward import RewardKind

State = Literal["assigned", "used", "expired", "revoked"]

coupon_code = Table(
    "coupon_code",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("coupon_id", Id, nullable=False),
    Column("customer_id", Id, nullable=False),
    # Who assigns twice with the same key assigns once.
    Column("key", String(200), nullable=False),
    # None where all holders share the coupon's own.
    Column("code", String(code_pool.LONGEST_CODE)),
    Column("state", String(8), nullable=False),
    Column("assigned_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("used_at", Moment),
    Column("ended_at", Moment),
    Column("location_id", Id),
    Column("order_ref", String(160)),
    Column("actor", String(120)),
    UniqueConstraint("program_id", "code"),
    UniqueConstraint("program_id", "coupon_id", "customer_id", "key"),
    CheckConstraint("state in ('assigned', 'used', 'expired', 'revoked')", name="state_is_known"),
)
# Written out, not bound: a database uses an index of some rows only where it sees that they are meant.
ASSIGNED = coupon_code.c.state == literal_column("'assigned'")
RUNNING = ASSIGNED & coupon_code.c.expires_at.is_not(None)
Index(
    "ix_coupon_code_customer",
    coupon_code.c.program_id,
    coupon_code.c.customer_id,
    coupon_code.c.state,
    coupon_code.c.id,
)
Index("ix_coupon_code_coupon", coupon_code.c.program_id, coupon_code.c.coupon_id, coupon_code.c.id)
Index("ix_coupon_code_running", coupon_code.c.expires_at, sqlite_where=RUNNING, postgresql_where=RUNNING)


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """One coupon of one customer, with what they see of it. `code` is what the till or the shop is told."""

    id: str
    coupon_id: str
    customer_id: str
    name: Localised
    description: Localised
    kind: RewardKind
    value: int | None
    code: str
    state: State
    assigned_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    ended_at: datetime | None
    location_id: str | None
    order_ref: str | None

    def is_good(self, now: datetime) -> bool:
        return self.state == "assigned" and (self.expires_at is None or now < self.expires_at)


_COLUMNS = tuple(
    func.coalesce(coupon_code.c.code, coupon.c.shared_code).label("code")
    if name == "code"
    else (coupon if name in ("name", "description", "kind", "value") else coupon_code).c[name]
    for name in Assigned.__struct_fields__
)
_SELECT = select(*_COLUMNS).join_from(
    coupon_code,
    coupon,
    (coupon.c.program_id == coupon_code.c.program_id) & (coupon.c.id == coupon_code.c.coupon_id),
)


def due_coupons(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """Programme and id of coupons whose time is over, the longest waiting first; `expire` each of them."""
    rows = conn.execute(
        select(coupon_code.c.program_id, coupon_code.c.id)
        .where(RUNNING, coupon_code.c.expires_at <= now)
        .order_by(coupon_code.c.expires_at)
        .limit(most)
    )
    return [(row.program_id, row.id) for row in rows]


def coupons_of(
    conn: Connection,
    program_id: str,
    customer_id: str,
    *,
    state: Literal["active", "used", "expired"],
    before: str | None = None,
    most: int = 30,
    now: datetime | None = None,
) -> list[Assigned]:
    """A customer's coupons of one kind, the newest first; `before` is the id of the last one seen."""
    now = now or utc_now()
    is_over = and_(ASSIGNED, coupon_code.c.expires_at <= now)
    kinds: dict[str, ColumnElement[bool]] = {
        "active": and_(ASSIGNED, or_(coupon_code.c.expires_at.is_(None), coupon_code.c.expires_at > now)),
        "used": coupon_code.c.state == "used",
        "expired": or_(coupon_code.c.state == "expired", is_over),
    }
    wanted = _SELECT.where(
        coupon_code.c.program_id == program_id, coupon_code.c.customer_id == customer_id, kinds[state]
    )
    if before is not None:
        wanted = wanted.where(coupon_code.c.id < before)
    rows = conn.execute(wanted.order_by(coupon_code.c.id.desc()).limit(most))
    return [Assigned(**row._mapping) for row in rows]


def find_assigned(
    conn: Connection, program_id: str, which: str, customer_id: str | None = None
) -> Assigned | None:
    """One customer's coupon by its id or its code as somebody typed it; with `customer_id` only if it is theirs."""
    if is_id(which):
        rule: ColumnElement[bool] = coupon_code.c.id == which
    else:
        rule = coupon_code.c.code.in_(spellings_of(which))
        if customer_id is not None:
            rule = rule | (coupon.c.shared_code == which.strip())
    theirs = () if customer_id is None else (coupon_code.c.customer_id == customer_id,)
    return find_held(conn, program_id, rule, *theirs)


def lock_assigned(conn: Connection, program_id: str, assigned_id: str) -> None:
    """Nobody else changes this coupon until the commit."""
    conn.execute(
        select(coupon_code.c.id)
        .where(coupon_code.c.program_id == program_id, coupon_code.c.id == assigned_id)
        .with_for_update()
    )


def find_held(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> Assigned | None:
    row = conn.execute(_SELECT.where(coupon_code.c.program_id == program_id, *where).limit(1)).first()
    return None if row is None else Assigned(**row._mapping)
