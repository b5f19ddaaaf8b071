"""A referral: one customer sent a friend, who is new. What was promised stands in the row from the day they joined.

joined → rewarded, or flagged (a person judges: rewarded or blocked), or blocked by a hard rule; rewarded → reversed
where the purchase that earned it is returned. In a programme whose points another system keeps, joined → qualified.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    String,
    Table,
    UniqueConstraint,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, utc_now
from web.loyalty.customer import customer
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import ReferralAction

JOINED, QUALIFIED, FLAGGED = "joined", "qualified", "flagged"
BLOCKED, REWARDED, REVERSED = "blocked", "rewarded", "reversed"
STATES = (JOINED, QUALIFIED, FLAGGED, BLOCKED, REWARDED, REVERSED)

_STATES = ", ".join(f"'{name}'" for name in STATES)

referral = Table(
    "referral",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("advocate_id", Id, nullable=False),
    Column("friend_id", Id, nullable=False),
    Column("state", String(12), nullable=False),
    # Why it is blocked, one of REASONS in referral_start.py.
    Column("blocked_by", String(24)),
    Column("signals", Json, nullable=False),
    # What was promised: later changes of the programme do not touch it.
    Column("action", String(16), nullable=False),
    Column("min_amount", Amount, nullable=False),
    Column("advocate_points", Amount, nullable=False),
    Column("friend_points", Amount, nullable=False),
    Column("hold_days", Integer, nullable=False),
    # The order that completed it.
    Column("action_ref", String(200)),
    # A keyed hash of the network and the family of the device; nobody's address.
    Column("network_tag", String(64)),
    Column("device", String(40)),
    Column("advocate_entry_id", Id),
    Column("friend_entry_id", Id),
    # The turn that it took of what one customer may earn in a day, a month and in all: no turn is taken twice.
    Column("paid_day", String(10)),
    Column("day_turn", Integer),
    Column("paid_month", String(7)),
    Column("month_turn", Integer),
    Column("life_turn", Integer),
    Column("reviewed_by", String(120)),
    Column("created_at", Moment, nullable=False),
    Column("qualified_at", Moment),
    Column("rewarded_at", Moment),
    Column("held_until", Moment),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
    CheckConstraint("advocate_id <> friend_id or state = 'blocked'", name="nobody_refers_themselves"),
    UniqueConstraint("program_id", "friend_id", name="uq_referral_friend"),
    UniqueConstraint("program_id", "advocate_id", "paid_day", "day_turn", name="uq_referral_day_turn"),
    UniqueConstraint("program_id", "advocate_id", "paid_month", "month_turn", name="uq_referral_month_turn"),
    UniqueConstraint("program_id", "advocate_id", "life_turn", name="uq_referral_life_turn"),
)
Index("ix_referral_advocate", referral.c.program_id, referral.c.advocate_id, referral.c.id)
Index(
    "ix_referral_network",
    referral.c.program_id,
    referral.c.network_tag,
    referral.c.created_at,
    sqlite_where=referral.c.network_tag.is_not(None),
    postgresql_where=referral.c.network_tag.is_not(None),
)
Index(
    "ix_referral_action_ref",
    referral.c.program_id,
    referral.c.action_ref,
    sqlite_where=referral.c.action_ref.is_not(None),
    postgresql_where=referral.c.action_ref.is_not(None),
)
# Written out, not bound: a database uses an index of some rows only where it sees that they are meant.
_FLAGGED = referral.c.state == literal_column(f"'{FLAGGED}'")
Index(
    "ix_referral_flagged",
    referral.c.program_id,
    referral.c.id,
    sqlite_where=_FLAGGED,
    postgresql_where=_FLAGGED,
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A referral as its row has it, for those who decide about it."""

    program_id: str
    id: str
    advocate_id: str
    friend_id: str
    state: str
    blocked_by: str | None
    signals: list[str]
    action: ReferralAction
    min_amount: int
    advocate_points: int
    friend_points: int
    hold_days: int
    action_ref: str | None
    advocate_entry_id: str | None
    friend_entry_id: str | None
    reviewed_by: str | None
    created_at: datetime
    qualified_at: datetime | None
    rewarded_at: datetime | None
    held_until: datetime | None


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """A referral as its advocate sees it. `friend_name` is a first name, None where they gave none or are gone.

    `state` is one of STATES, or "held": rewarded, and the points can be spent when the waiting time is over.
    `points` are the advocate's, in minor units: booked, or else promised.
    """

    id: str
    friend_name: str | None
    state: str
    points: int
    created_at: datetime
    rewarded_at: datetime | None


class Totals(NamedTuple):
    """What came of a customer's referrals: friends who joined, those who brought points, and how many points."""

    joined: int
    rewarded: int
    points: int


COLUMNS = tuple(referral.c[name] for name in Kept.__struct_fields__)


def referrals_of(
    conn: Connection, program_id: str, customer_id: str, *, before: str | None = None, most: int = 30
) -> list[Referral]:
    """The friends of a customer, the latest first; `before` is the id of the last one seen."""
    its = referral.c
    rules = [its.program_id == program_id, its.advocate_id == customer_id]
    if before is not None:
        rules.append(its.id < before)
    rows = conn.execute(
        select(
            its.id,
            its.state,
            its.advocate_points,
            its.created_at,
            its.rewarded_at,
            its.held_until,
            customer.c.name,
        )
        .outerjoin(customer, (customer.c.program_id == its.program_id) & (customer.c.id == its.friend_id))
        .where(*rules)
        .order_by(its.id.desc())
        .limit(most)
    )
    now = utc_now()
    return [
        Referral(
            id=row.id,
            friend_name=first_name(row.name),
            state="held" if is_held(row.state, row.held_until, now) else row.state,
            points=row.advocate_points,
            created_at=row.created_at,
            rewarded_at=row.rewarded_at,
        )
        for row in rows
    ]


def totals_of(conn: Connection, program_id: str, customer_id: str) -> Totals:
    """What a customer's referrals came to. Blocked ones do not count as joined."""
    is_rewarded = referral.c.state == REWARDED
    row = conn.execute(
        select(
            func.count(),
            func.count().filter(is_rewarded),
            func.coalesce(func.sum(case((is_rewarded, referral.c.advocate_points), else_=0)), 0),
        ).where(
            referral.c.program_id == program_id,
            referral.c.advocate_id == customer_id,
            referral.c.state != BLOCKED,
        )
    ).one()
    return Totals(*(int(each) for each in row))


def find_referral(conn: Connection, program_id: str, referral_id: str) -> Kept | None:
    rows = _find(conn, referral.c.program_id == program_id, referral.c.id == referral_id)
    return rows[0] if rows else None


def referral_to(conn: Connection, program_id: str, friend_id: str) -> Kept | None:
    """How a customer came: the one referral that they are the friend of."""
    rows = _find(conn, referral.c.program_id == program_id, referral.c.friend_id == friend_id)
    return rows[0] if rows else None


def lock_referrals(conn: Connection, program_id: str, customer_id: str) -> list[Kept]:
    """Every referral that a customer is a side of, the first one first, locked until the commit."""
    its = referral.c
    rows = conn.execute(
        select(*COLUMNS)
        .where(
            its.program_id == program_id, or_(its.advocate_id == customer_id, its.friend_id == customer_id)
        )
        .order_by(its.id)
        .with_for_update()
    )
    return [_kept(row) for row in rows]


def list_referrals(
    conn: Connection, program_id: str, *, state: str | None = None, before: str | None = None, most: int = 50
) -> list[Kept]:
    """A programme's referrals, the latest first. With state "flagged" it is what waits for a person's judgement."""
    rules = [referral.c.program_id == program_id]
    if state is not None:
        rules.append(_FLAGGED if state == FLAGGED else referral.c.state == state)
    if before is not None:
        rules.append(referral.c.id < before)
    return _find(conn, *rules, most=most)


def move(
    conn: Connection, program_id: str, referral_id: str, from_states: Sequence[str], **values: Any
) -> Kept | None:
    """Change a referral that is in one of `from_states`, in one statement; None where it is not any more."""
    row = conn.execute(
        update(referral)
        .where(
            referral.c.program_id == program_id,
            referral.c.id == referral_id,
            referral.c.state.in_(from_states),
        )
        .values(**values, updated_at=utc_now())
        .returning(*COLUMNS)
    ).one_or_none()
    return None if row is None else _kept(row)


def export_referrals(conn: Connection, program_id: str, customer_id: str) -> list[dict[str, Any]]:
    """A customer's referrals for their own export; who is on the other side is not told."""
    hidden = ("advocate_id", "friend_id", "network_tag", "advocate_entry_id", "friend_entry_id")
    columns = [column for column in referral.c if column.name not in hidden]
    role = case((referral.c.advocate_id == customer_id, "advocate"), else_="friend").label("role")
    rows = conn.execute(
        select(*columns, role).where(
            referral.c.program_id == program_id,
            or_(referral.c.advocate_id == customer_id, referral.c.friend_id == customer_id),
        )
    )
    return [dict(row._mapping) for row in rows]


def forget_referrals(conn: Connection, program_id: str, customer_id: str) -> int:
    """Take out of a person's referrals what tells of their network and device; the amounts stay, without a name."""
    return conn.execute(
        update(referral)
        .where(
            referral.c.program_id == program_id,
            or_(referral.c.advocate_id == customer_id, referral.c.friend_id == customer_id),
        )
        .values(network_tag=None, device=None, signals=[])
    ).rowcount


def key_of(referral_id: str) -> str:
    """The key under which earning flows judge a completed referral, each of them once."""
    return f"referral:{referral_id}"


def first_name(name: str | None) -> str | None:
    """The first word of a name, as friends are shown to one another."""
    words = (name or "").split()
    return words[0] if words else None


def is_held(state: str, held_until: datetime | None, now: datetime) -> bool:
    return state == REWARDED and held_until is not None and held_until > now


def _find(conn: Connection, *rules: ColumnElement[bool], most: int = 1) -> list[Kept]:
    rows = conn.execute(select(*COLUMNS).where(*rules).order_by(referral.c.id.desc()).limit(most))
    return [_kept(row) for row in rows]


def _kept(row: Row[Any]) -> Kept:
    return Kept(**row._mapping)
