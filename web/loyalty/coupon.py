"""A coupon: what a merchant gives away, without points. Who holds which is said in coupon_code.py."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    String,
    Table,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, is_id, metadata, new_id, utc_now
from web.loyalty.code_pool import LONGEST_CODE, Loaded, load_codes
from web.loyalty.ledger import Amount
from web.loyalty.program_settings import SLUG, Localised
from web.loyalty.reward import RewardKind

CouponCodes = Literal["pool", "generated", "shared"]
_NOT_IN_SLUGS = re.compile("[^a-z0-9]+")

coupon = Table(
    "coupon",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("slug", String(40), nullable=False),
    Column("name", Json, nullable=False),
    Column("description", Json, nullable=False),
    # As a reward's: minor units of the currency for "fixed" and "gift_card", per cent for "percent".
    Column("kind", String(16), nullable=False),
    Column("value", Amount),
    Column("starts_at", Moment),
    Column("ends_at", Moment),
    # How long it is good after somebody got it; never longer than `ends_at`.
    Column("good_days", Integer),
    Column("most_each", Integer, nullable=False),
    Column("needs_card", Boolean(name="needs_card_is_boolean"), nullable=False),
    Column("code_source", String(12), nullable=False),
    # The one code of all holders.
    Column("shared_code", String(LONGEST_CODE)),
    # The merchant is told once when so many codes or fewer are left in the pool.
    Column("low_stock", Integer),
    Column("told_low_at", Moment),
    Column("active", Boolean(name="active_is_boolean"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("program_id", "slug"),
    CheckConstraint("good_days > 0", name="is_good_for_days"),
    CheckConstraint("most_each > 0", name="everybody_may_have_one"),
    CheckConstraint("low_stock >= 0", name="low_stock_not_negative"),
    CheckConstraint("code_source in ('pool', 'generated', 'shared')", name="code_source_is_known"),
    CheckConstraint("code_source <> 'shared' or shared_code is not null", name="shared_code_is_there"),
    CheckConstraint(
        "kind in ('fixed', 'percent', 'free_shipping', 'free_product', 'gift_card', 'custom')",
        name="kind_is_known",
    ),
)


class NewCoupon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon as a merchant writes it. Without `slug` it gets one from its name.

    `good_days`: how long it is good once assigned. `most_each`: how often one person may get it. `needs_card`: only
    who has the card in a wallet gets it. `low_stock`: tell when so few codes are left.
    """

    name: Localised
    slug: Annotated[str, Meta(max_length=40)] = ""
    description: Localised = {}
    kind: RewardKind = "custom"
    value: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    good_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    most_each: Annotated[int, Meta(ge=1, le=1000)] = 1
    needs_card: bool = False
    code_source: CouponCodes = "generated"
    shared_code: Annotated[str, Meta(min_length=1, max_length=LONGEST_CODE)] | None = None
    low_stock: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    active: bool = True


class Coupon(NewCoupon, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon as it is kept."""

    id: str


class InvalidCoupon(Exception):
    """A coupon that contradicts itself; `problems` says each fault and what to write instead."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_COLUMNS = tuple(coupon.c[name] for name in Coupon.__struct_fields__)


def check_coupon(new: NewCoupon) -> None:
    """What types alone cannot say. Raises: InvalidCoupon."""
    problems = []
    if not any(text.strip() for text in new.name.values()):
        problems.append("name: give it in at least one language.")
    if new.slug and not SLUG.fullmatch(new.slug):
        problems.append("slug: use 2 to 40 small letters, digits and hyphens, like spring-treat.")
    if new.kind in ("fixed", "percent", "gift_card") and not new.value:
        problems.append(f"value: a coupon of the kind {new.kind!r} needs one.")
    if new.kind == "percent" and new.value is not None and new.value > 100:
        problems.append("value: at most 100 per cent.")
    if (new.code_source == "shared") != (new.shared_code is not None):
        problems.append("shared_code: a shared coupon needs one, and no other has any.")
    if new.starts_at and new.ends_at and new.starts_at > new.ends_at:
        problems.append("ends_at: lies before starts_at.")
    if problems:
        raise InvalidCoupon(problems)


def add_coupon(conn: Connection, program_id: str, new: NewCoupon) -> str:
    """Offer a coupon; returns its id. Raises: InvalidCoupon."""
    check_coupon(new)
    coupon_id, now = new_id(), utc_now()
    values = msgspec.structs.asdict(new)
    values["slug"] = new.slug or _slug_of(new, coupon_id)
    if find_coupon(conn, program_id, values["slug"]):
        raise InvalidCoupon([f"slug: {values['slug']!r} is taken by another coupon."])
    conn.execute(
        insert(coupon).values(program_id=program_id, id=coupon_id, created_at=now, updated_at=now, **values)
    )
    return coupon_id


def change_coupon(conn: Connection, program_id: str, changed: Coupon) -> bool:
    """Offer a coupon differently from now on; False if there is none of this id. Who has one keeps it as it was.

    Raises: InvalidCoupon.
    """
    check_coupon(changed)
    other = find_coupon(conn, program_id, changed.slug)
    if other is not None and other.id != changed.id:
        raise InvalidCoupon([f"slug: {changed.slug!r} is taken by another coupon."])
    values = msgspec.structs.asdict(changed)
    del values["id"]
    return _update(conn, program_id, changed.id, **values, told_low_at=None)


def retire_coupon(conn: Connection, program_id: str, coupon_id: str) -> bool:
    """Give a coupon to nobody any more; who has one may use it. False if there is none of this id."""
    return _update(conn, program_id, coupon_id, active=False)


def add_codes(conn: Connection, program_id: str, coupon_id: str, lines: Iterable[str]) -> Loaded:
    """Add a file's codes to a coupon's pool; when they run low again, the merchant is told again."""
    loaded = load_codes(conn, program_id, coupon_id, lines)
    if loaded.added:
        _update(conn, program_id, coupon_id, told_low_at=None)
    return loaded


def find_coupon(conn: Connection, program_id: str, which: str) -> Coupon | None:
    """One coupon by its id or its slug."""
    key = coupon.c.id if is_id(which) else coupon.c.slug
    row = conn.execute(select(*_COLUMNS).where(coupon.c.program_id == program_id, key == which)).one_or_none()
    return None if row is None else Coupon(**row._mapping)


def coupons_offered(conn: Connection, program_id: str) -> list[Coupon]:
    """Everything a programme gives or gave away, in the order in which it was written."""
    rows = conn.execute(select(*_COLUMNS).where(coupon.c.program_id == program_id).order_by(coupon.c.id))
    return [Coupon(**row._mapping) for row in rows]


def tell_low_once(conn: Connection, program_id: str, coupon_id: str) -> bool:
    """True for the first who notices that a pool runs low, until codes are added."""
    return bool(
        conn.execute(
            update(coupon)
            .where(
                coupon.c.program_id == program_id, coupon.c.id == coupon_id, coupon.c.told_low_at.is_(None)
            )
            .values(told_low_at=utc_now())
        ).rowcount
    )


def _update(conn: Connection, program_id: str, coupon_id: str, **values: Any) -> bool:
    return bool(
        conn.execute(
            update(coupon)
            .where(coupon.c.program_id == program_id, coupon.c.id == coupon_id)
            .values(**values, updated_at=utc_now())
        ).rowcount
    )


def _slug_of(new: NewCoupon, coupon_id: str) -> str:
    """ "Spring treat" is spring-treat; a name of other letters alone is told by the end of its id."""
    slug = _NOT_IN_SLUGS.sub("-", next(iter(new.name.values())).lower())[:40].strip("-")
    return slug if SLUG.fullmatch(slug) else f"coupon-{coupon_id[-12:]}"
