"""A coupon in a customer's hands: assigned once, used once, or over.

    assigned → used | expired | revoked

Assigning locks the customer's balance, so that of one customer one thing happens at a time; then it takes the code.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

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
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from web.foundation.languages import N_
from web.foundation.schema import Id, Moment, insert_or_skip, is_id, metadata, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty import code_pool
from web.loyalty.balance import lock_balance
from web.loyalty.coupon import Coupon, coupon, find_coupon, tell_low_once
from web.loyalty.customer import find_contact
from web.loyalty.event import COUPON_ASSIGNED, COUPON_RUNNING_LOW, COUPON_USED, record
from web.loyalty.program import Program
from web.loyalty.program_settings import Localised
from web.loyalty.redemption import CODE_LENGTH, spellings_of
from web.loyalty.reward import RewardKind
from web.loyalty.wallet_pass import wallet_pass

State = Literal["assigned", "used", "expired", "revoked"]
CODE_TRIES = 5

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
_ASSIGNED = coupon_code.c.state == literal_column("'assigned'")
_RUNNING = _ASSIGNED & coupon_code.c.expires_at.is_not(None)
Index(
    "ix_coupon_code_customer",
    coupon_code.c.program_id,
    coupon_code.c.customer_id,
    coupon_code.c.state,
    coupon_code.c.id,
)
Index("ix_coupon_code_coupon", coupon_code.c.program_id, coupon_code.c.coupon_id, coupon_code.c.id)
Index("ix_coupon_code_running", coupon_code.c.expires_at, sqlite_where=_RUNNING, postgresql_where=_RUNNING)


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


class CannotAssign(Exception):
    """A coupon that this customer does not get, or cannot use. `code` names the rule; nothing was changed."""

    code: ClassVar[str] = "cannot_assign"
    advice: ClassVar[str] = N_("This coupon cannot be given now.")

    def __init__(self, **facts: Any) -> None:
        super().__init__(self.advice)
        self.facts = facts


class CouponGone(CannotAssign):
    code = "coupon_gone"
    advice = N_("This coupon is not given any more, or not yet.")


class NoSuchCustomer(CannotAssign):
    code = "unknown_customer"
    advice = N_("This customer is not there any more.")


class NeedsCard(CannotAssign):
    code = "needs_card"
    advice = N_("This coupon is for those who have their card in a wallet.")


class HasItAlready(CannotAssign):
    code = "has_it_already"
    advice = N_("This customer has this coupon already.")


class NoCouponsLeft(CannotAssign):
    code = "no_codes_left"
    advice = N_("There are no codes left. Load more of them first.")


class CouponNotGood(CannotAssign):
    """There is no such coupon, or it cannot be used: `state` is unknown, used, expired or revoked."""

    code = "coupon_not_good"
    advice = N_("This coupon is not good, or not any more.")

    def __init__(self, state: str) -> None:
        super().__init__(state=state)
        self.state = state


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


def assign(
    conn: Connection,
    program: Program,
    which: str,
    customer_id: str,
    *,
    key: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> Assigned:
    """Give a customer a coupon, named by its id or slug. The same key gives the same one again.

    Raises: CannotAssign in all its kinds; nothing was changed then.
    """
    now = now or utc_now()
    given = find_coupon(conn, program.id, which)
    if given is None:
        raise CouponGone
    if find_contact(conn, program.id, customer_id) is None:
        raise NoSuchCustomer
    # Whoever was merged into another by now is that other.
    customer_id = lock_balance(conn, program.id, customer_id).customer_id
    of_them = (coupon_code.c.coupon_id == given.id, coupon_code.c.customer_id == customer_id)
    known = _find(conn, program.id, *of_them, coupon_code.c.key == key)
    if known is not None:
        return known
    _refuse(conn, program, given, customer_id, now)
    assigned_id = _keep(conn, program, given, customer_id, key, actor, now)
    made = _find(conn, program.id, coupon_code.c.id == assigned_id)
    assert made is not None, "it was just made"
    properties = {**_said(program, made), "expiresAt": made.expires_at}
    record(conn, program.id, COUPON_ASSIGNED, customer_id, properties)
    if given.code_source == "pool" and given.low_stock is not None:
        _tell_if_low(conn, program, given, given.low_stock)
    return made


def use(
    conn: Connection,
    program: Program,
    which: str,
    *,
    customer_id: str | None = None,
    location_id: str | None = None,
    order_ref: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Assigned:
    """A coupon was applied: its code, as somebody typed it, or its id, is good no more.

    The same order may say so again. With `customer_id` the code that all holders share is found, too.

    Raises: CouponNotGood.
    """
    now = now or utc_now()
    was = find_assigned(conn, program.id, which, customer_id)
    if was is None:
        raise CouponNotGood("unknown")
    is_theirs = (coupon_code.c.program_id == program.id) & (coupon_code.c.id == was.id)
    used = conn.execute(
        update(coupon_code)
        .where(is_theirs, _ASSIGNED, or_(coupon_code.c.expires_at.is_(None), coupon_code.c.expires_at > now))
        .values(state="used", used_at=now, location_id=location_id, order_ref=order_ref, actor=actor)
    ).rowcount
    made = _find(conn, program.id, coupon_code.c.id == was.id)
    assert made is not None, "it was there a moment ago, and is never deleted"
    if used:
        order = {"orderId": order_ref} if order_ref else {}
        place = {"locationId": location_id} if location_id else {}
        record(conn, program.id, COUPON_USED, made.customer_id, {**_said(program, made), **order, **place})
        return made
    if made.state == "used" and order_ref is not None and made.order_ref == order_ref:
        return made
    raise CouponNotGood("expired" if made.state == "assigned" else made.state)


def revoke(conn: Connection, program: Program, assigned_id: str, actor: str | None = None) -> Assigned:
    """Take a coupon back that was not used. Done twice it is done once. Raises: CouponNotGood."""
    conn.execute(
        update(coupon_code)
        .where(coupon_code.c.program_id == program.id, coupon_code.c.id == assigned_id, _ASSIGNED)
        .values(state="revoked", ended_at=utc_now(), actor=actor)
    )
    made = _find(conn, program.id, coupon_code.c.id == assigned_id)
    if made is None or made.state != "revoked":
        raise CouponNotGood(made.state if made else "unknown")
    return made


def due_coupons(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """Programme and id of coupons whose time is over, the longest waiting first; `expire` each of them."""
    rows = conn.execute(
        select(coupon_code.c.program_id, coupon_code.c.id)
        .where(_RUNNING, coupon_code.c.expires_at <= now)
        .order_by(coupon_code.c.expires_at)
        .limit(most)
    )
    return [(row.program_id, row.id) for row in rows]


def expire(conn: Connection, program: Program, assigned_id: str, now: datetime) -> bool:
    """Mark one coupon whose time is over; it was not good any more before that. False if that was done already."""
    return bool(
        conn.execute(
            update(coupon_code)
            .where(
                coupon_code.c.program_id == program.id,
                coupon_code.c.id == assigned_id,
                _RUNNING,
                coupon_code.c.expires_at <= now,
            )
            .values(state="expired", ended_at=coupon_code.c.expires_at)
        ).rowcount
    )


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
    is_over = and_(_ASSIGNED, coupon_code.c.expires_at <= now)
    kinds: dict[str, ColumnElement[bool]] = {
        "active": and_(_ASSIGNED, or_(coupon_code.c.expires_at.is_(None), coupon_code.c.expires_at > now)),
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
    return _find(conn, program_id, rule, *theirs)


def _refuse(conn: Connection, program: Program, given: Coupon, customer_id: str, now: datetime) -> None:
    begins, ends = given.starts_at, given.ends_at
    if not given.active or (begins is not None and now < begins) or (ends is not None and ends <= now):
        raise CouponGone
    has = conn.scalar(
        select(func.count()).where(
            coupon_code.c.program_id == program.id,
            coupon_code.c.coupon_id == given.id,
            coupon_code.c.customer_id == customer_id,
            coupon_code.c.state != "revoked",
        )
    )
    if has is not None and has >= given.most_each:
        raise HasItAlready
    if given.needs_card and not conn.scalar(
        select(wallet_pass.c.id)
        .where(
            wallet_pass.c.program_id == program.id,
            wallet_pass.c.customer_id == customer_id,
            wallet_pass.c.status == "installed",
        )
        .limit(1)
    ):
        raise NeedsCard


def _keep(
    conn: Connection,
    program: Program,
    given: Coupon,
    customer_id: str,
    key: str,
    actor: str | None,
    now: datetime,
) -> str:
    ends = [given.ends_at] if given.ends_at else []
    ends += [now + timedelta(days=given.good_days)] if given.good_days else []
    row: dict[str, Any] = {
        "program_id": program.id,
        "id": new_id(),
        "coupon_id": given.id,
        "customer_id": customer_id,
        "key": key,
        "state": "assigned",
        "assigned_at": now,
        "expires_at": min(ends, default=None),
        "actor": actor,
    }
    for _ in range(CODE_TRIES):
        row["code"] = _new_code(conn, program, given, row["id"])
        if conn.execute(insert_or_skip(conn, coupon_code).values(row)).rowcount:
            return str(row["id"])
    raise NoCouponsLeft


def _new_code(conn: Connection, program: Program, given: Coupon, taker: str) -> str | None:
    if given.code_source == "shared":
        return None
    if given.code_source == "generated":
        return new_code(CODE_LENGTH)
    code = code_pool.take_code(conn, program.id, given.id, taker)
    if code is None:
        raise NoCouponsLeft
    return code


def _tell_if_low(conn: Connection, program: Program, given: Coupon, low: int) -> None:
    left = code_pool.codes_left(conn, program.id, given.id, most=low + 1)
    if left <= low and tell_low_once(conn, program.id, given.id):
        name = program.settings.say(given.name, program.settings.default_language)
        properties = {"couponId": given.id, "couponName": name, "codesLeft": left}
        record(conn, program.id, COUPON_RUNNING_LOW, None, properties)


def _said(program: Program, made: Assigned) -> dict[str, Any]:
    name = program.settings.say(made.name, program.settings.default_language)
    return {"couponId": made.coupon_id, "couponName": name, "code": made.code}


def _find(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> Assigned | None:
    row = conn.execute(_SELECT.where(coupon_code.c.program_id == program_id, *where).limit(1)).first()
    return None if row is None else Assigned(**row._mapping)
