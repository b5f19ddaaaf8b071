"""What a pass of another kind than the card stands for: a coupon, a gift card, a membership.

An item is issued to a customer once and may be in both wallets, each copy a pass of its own. Its passes follow it: a
changed balance, an end, a coupon that was used at the till. `code` is part of the address by which its holder gets it.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    String,
    Table,
    false,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, is_id, metadata, new_id, utc_now
from web.foundation.sealing import random_code
from web.loyalty.coupon_code import Assigned
from web.loyalty.event import PASS_ISSUED, record
from web.loyalty.ledger import LARGEST, Amount
from web.loyalty.program_settings import Localised
from web.loyalty.wallet_pass import (
    Pass,
    Platform,
    find_pass_by_id,
    issue_passes,
    pass_row,
    passes_changed,
    void_passes,
    wallet_pass,
)

ItemKind = Literal["coupon", "gift_card", "membership"]

pass_item = Table(
    "pass_item",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("kind", String(12), nullable=False),
    # The merchant's own name for it.
    Column("reference", String(120)),
    Column("title", Json, nullable=False),
    # What the till reads from the barcode.
    Column("number", String(80), nullable=False),
    # What is left on a gift card, in minor units of the programme's currency.
    Column("amount", Amount),
    Column("expires_at", Moment),
    # The assigned coupon that it shows, if it is one of ours.
    Column("coupon_code_id", Id),
    Column("code", String(40), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("voided_at", Moment),
    CheckConstraint("kind in ('coupon', 'gift_card', 'membership')", name="kind_is_known"),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
    CheckConstraint("(kind = 'gift_card') = (amount is not null)", name="gift_cards_have_an_amount"),
)
Index("uq_pass_item_code", pass_item.c.program_id, pass_item.c.code, unique=True)
Index("uq_pass_item_reference", pass_item.c.program_id, pass_item.c.reference, unique=True)
Index("uq_pass_item_coupon", pass_item.c.program_id, pass_item.c.coupon_code_id, unique=True)
Index("ix_pass_item_customer", pass_item.c.program_id, pass_item.c.customer_id)
_RUNNING = pass_item.c.voided_at.is_(None) & pass_item.c.expires_at.is_not(None)
Index("ix_pass_item_running", pass_item.c.expires_at, sqlite_where=_RUNNING, postgresql_where=_RUNNING)

Title = dict[str, Annotated[str, Meta(min_length=1, max_length=80)]]


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it is issued. `amount` for a gift card and for nothing else."""

    kind: ItemKind
    title: Localised
    number: str
    amount: int | None = None
    expires_at: datetime | None = None
    reference: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it is kept."""

    id: str
    customer_id: str
    kind: ItemKind
    reference: str | None
    title: Localised
    number: str
    amount: int | None
    expires_at: datetime | None
    coupon_code_id: str | None
    code: str
    created_at: datetime
    updated_at: datetime
    voided_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.voided_at is None and (self.expires_at is None or now < self.expires_at)


class InvalidItem(Exception):
    """An item that contradicts itself; the message says what to write."""


class ReferenceTaken(Exception):
    """Another item of the programme has this reference."""


class ItemVoid(Exception):
    """What was asked of it cannot be done with a void item."""


ITEM = tuple(pass_item.c[name] for name in Item.__struct_fields__)


def issue_item(conn: Connection, program_id: str, customer_id: str, new: NewItem) -> Item:
    """Issue an item; issued again under the same reference it is the one that there is.

    Raises: InvalidItem, ReferenceTaken where that one is another customer's or of another kind.
    """
    _check(new)
    is_it = false() if new.reference is None else pass_item.c.reference == new.reference
    item = _made_once(conn, program_id, customer_id, new, None, is_it)
    if (item.customer_id, item.kind) != (customer_id, new.kind):
        raise ReferenceTaken(new.reference)
    return item


def item_of_coupon(conn: Connection, program_id: str, assigned: Assigned) -> Item:
    """The item of a customer's coupon, issued when it is first asked for."""
    new = NewItem(kind="coupon", title=assigned.name, number=assigned.code, expires_at=assigned.expires_at)
    is_its = pass_item.c.coupon_code_id == assigned.id
    return _made_once(conn, program_id, assigned.customer_id, new, assigned.id, is_its)


def change_item(conn: Connection, program_id: str, item_id: str, **changes: Any) -> Item:
    """Change title, number, amount or expires_at of an item; its passes follow. Raises: InvalidItem, ItemVoid."""
    item = require_item(conn, program_id, item_id)
    if item.voided_at is not None:
        raise ItemVoid(item_id)
    changed = msgspec.structs.replace(item, **changes)
    _check(
        NewItem(
            kind=changed.kind, title=changed.title, number=changed.number, amount=changed.amount,
            expires_at=changed.expires_at, reference=changed.reference,
        )
    )  # fmt: skip
    if changes:
        conn.execute(
            update(pass_item).where(*_this(program_id, item_id)).values(**changes, updated_at=utc_now())
        )
        passes_changed(conn, program_id, wallet_pass.c.item_id == item_id)
    return require_item(conn, program_id, item_id)


def void_item(conn: Connection, program_id: str, item_id: str) -> bool:
    """Make an item and its passes worthless; False if it was already."""
    gone = conn.execute(
        update(pass_item)
        .where(*_this(program_id, item_id), pass_item.c.voided_at.is_(None))
        .values(voided_at=utc_now(), updated_at=utc_now())
    ).rowcount
    if gone:
        void_passes(conn, program_id, wallet_pass.c.item_id == item_id)
    return bool(gone)


def void_item_of_coupon(conn: Connection, program_id: str, coupon_code_id: str) -> None:
    """A coupon is used, over or taken back: so are its passes."""
    item_id = conn.scalar(
        select(pass_item.c.id).where(
            pass_item.c.program_id == program_id, pass_item.c.coupon_code_id == coupon_code_id
        )
    )
    if item_id is not None:
        void_item(conn, program_id, item_id)


def due_items(conn: Connection, now: datetime, most: int) -> list[tuple[str, str]]:
    """Programme and id of items whose time is over, the longest waiting first; `expire_item` each of them."""
    rows = conn.execute(
        select(pass_item.c.program_id, pass_item.c.id)
        .where(_RUNNING, pass_item.c.expires_at <= now)
        .order_by(pass_item.c.expires_at)
        .limit(most)
    )
    return [(row.program_id, row.id) for row in rows]


def find_item(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> Item | None:
    row = conn.execute(select(*ITEM).where(pass_item.c.program_id == program_id, *where)).one_or_none()
    return None if row is None else Item(**row._mapping)


def find_item_named(conn: Connection, program_id: str, name: str) -> Item | None:
    """An item by our id or the merchant's reference."""
    if is_id(name):
        return find_item(conn, program_id, pass_item.c.id == name)
    return find_item(conn, program_id, pass_item.c.reference == name)


def require_item(conn: Connection, program_id: str, item_id: str) -> Item:
    found = find_item(conn, program_id, pass_item.c.id == item_id)
    assert found is not None, "whoever names an item has found it"
    return found


def items_of(conn: Connection, program_id: str, customer_id: str) -> list[Item]:
    """A customer's items, the newest first."""
    rows = conn.execute(
        select(*ITEM)
        .where(pass_item.c.program_id == program_id, pass_item.c.customer_id == customer_id)
        .order_by(pass_item.c.id.desc())
    )
    return [Item(**row._mapping) for row in rows]


def pass_for_item(conn: Connection, program_id: str, item: Item, platform: Platform) -> Pass:
    """The item's pass for a wallet, issued now if there is none. Raises: ItemVoid."""
    # Two taps at once line up here, and meet the same pass.
    conn.execute(select(pass_item.c.id).where(*_this(program_id, item.id)).with_for_update())
    held = conn.scalar(
        select(wallet_pass.c.id).where(
            wallet_pass.c.program_id == program_id,
            wallet_pass.c.item_id == item.id,
            wallet_pass.c.platform == platform,
            wallet_pass.c.voided_at.is_(None),
        )
    )
    if held is None:
        if require_item(conn, program_id, item.id).voided_at is not None:
            raise ItemVoid(item.id)
        row = {**pass_row(program_id, item.customer_id, platform), "kind": item.kind, "item_id": item.id}
        issue_passes(conn, [row])
        held = row["id"]
        told = {"passId": held, "platform": platform, "kind": item.kind, "itemId": item.id}
        record(conn, program_id, PASS_ISSUED, item.customer_id, told)
    found = find_pass_by_id(conn, program_id, held)
    assert found is not None, "it was found or issued in this transaction"
    return found


def _made_once(
    conn: Connection,
    program_id: str,
    customer_id: str,
    new: NewItem,
    coupon_code_id: str | None,
    is_it: ColumnElement[bool],
) -> Item:
    """The item of this description, made now unless there is one, also of those who ask at the same moment."""
    known = find_item(conn, program_id, is_it)
    if known is not None:
        return known
    now = utc_now()
    row = {
        **msgspec.structs.asdict(new),
        "id": new_id(),
        "customer_id": customer_id,
        "coupon_code_id": coupon_code_id,
        "code": random_code(),
        "created_at": now,
        "updated_at": now,
        "voided_at": None,
    }
    if conn.execute(insert_or_skip(conn, pass_item).values(program_id=program_id, **row)).rowcount:
        return Item(**row)
    known = find_item(conn, program_id, is_it)
    assert known is not None, "another transaction has just made it"
    return known


def _this(program_id: str, item_id: str) -> tuple[ColumnElement[bool], ...]:
    return pass_item.c.program_id == program_id, pass_item.c.id == item_id


def _check(new: NewItem) -> None:
    if not any(text.strip() for text in new.title.values()):
        raise InvalidItem("title: give it in at least one language.")
    if not new.number.strip():
        raise InvalidItem("number: say what the till reads.")
    if (new.kind == "gift_card") != (new.amount is not None):
        raise InvalidItem("amount: a gift card needs one, in minor units, and nothing else has any.")
    if new.amount is not None and not 0 <= new.amount <= LARGEST:
        raise InvalidItem("amount: cannot be below zero, nor beyond all measure.")
