"""A pass: one issued copy of the card, for one wallet. Its serial and its token never change.

What it shows does. Each change moves its version on and, where a phone or a vendor holds the pass, queues an update,
in the transaction of the change.
"""

import time
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    SmallInteger,
    String,
    Table,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.delivery import delivery_row, enqueue_merged
from web.foundation.schema import Id, Moment, insert_or_skip, metadata, new_id, utc_now
from web.foundation.sealing import random_token
from web.loyalty.event import PASS_VOIDED, record

Platform = Literal["apple", "google"]
Kind = Literal["loyalty", "coupon", "gift_card", "membership"]

# The deliveries by which a card's phones, or Google, learn that it changed.
APPLE_CARD, GOOGLE_CARD = "apple_card", "google_card"
CARD_KINDS: dict[str, str] = {"apple": APPLE_CARD, "google": GOOGLE_CARD}

# The one field of a card that may say, on the lock screen, that it changed: of several that say so at once iOS tells
# no more than "changed". A message is the most worth saying.
SILENT, BALANCE, TIER, MESSAGE = range(4)

Second = BigInteger().with_variant(Integer(), "sqlite")

wallet_pass = Table(
    "wallet_pass",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("platform", String(8), nullable=False),
    Column("kind", String(12), nullable=False),
    # What it stands for, where that is not the loyalty card: see pass_item.py.
    Column("item_id", Id),
    # What a phone shows to our web service to prove that it holds the pass.
    Column("token", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("touch_id", Id),
    # When what it shows changed last, in whole Unix seconds, of which no two changes share one: it is at once
    # what HTTP calls Last-Modified and what a phone's tag of its passes is made of.
    Column("version", Second, nullable=False),
    # The version that was last handed to a browser: a phone that registers may hold an older one than the present.
    Column("handed_version", Second),
    # The version that a phone was given last, or said that it has.
    Column("fetched_version", Second),
    Column("fetched_at", Moment),
    Column("created_at", Moment, nullable=False),
    # When the wallet's vendor was told of it; only Google is.
    Column("stored_at", Moment),
    Column("installed_at", Moment),
    Column("uninstalled_at", Moment),
    Column("voided_at", Moment),
    # Which field speaks of the change that made this version.
    Column("voice", SmallInteger, nullable=False, default=SILENT),
    CheckConstraint("platform in ('apple', 'google')", name="platform_is_known"),
    CheckConstraint("kind in ('loyalty', 'coupon', 'gift_card', 'membership')", name="kind_is_known"),
    CheckConstraint("status in ('created', 'installed', 'uninstalled', 'voided')", name="status_is_known"),
)
# One living card for each customer and wallet: a second phone of the same person holds the same pass.
Index(
    "uq_wallet_pass_living",
    wallet_pass.c.program_id,
    wallet_pass.c.customer_id,
    wallet_pass.c.platform,
    wallet_pass.c.kind,
    unique=True,
    sqlite_where=(wallet_pass.c.voided_at.is_(None)) & (wallet_pass.c.kind == "loyalty"),
    postgresql_where=(wallet_pass.c.voided_at.is_(None)) & (wallet_pass.c.kind == "loyalty"),
)
_OF_ITEM = (wallet_pass.c.voided_at.is_(None)) & (wallet_pass.c.item_id.is_not(None))
Index(
    "uq_wallet_pass_item",
    wallet_pass.c.program_id,
    wallet_pass.c.item_id,
    wallet_pass.c.platform,
    unique=True,
    sqlite_where=_OF_ITEM,
    postgresql_where=_OF_ITEM,
)
Index("ix_wallet_pass_customer", wallet_pass.c.program_id, wallet_pass.c.customer_id)
# Void passes are few; those of erased customers are looked for now and then.
Index(
    "ix_wallet_pass_voided",
    wallet_pass.c.voided_at,
    sqlite_where=wallet_pass.c.voided_at.is_not(None),
    postgresql_where=wallet_pass.c.voided_at.is_not(None),
)
# A phone names a pass by its serial alone.
Index("ix_wallet_pass_id", wallet_pass.c.id)


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass. `id` is its serial number in both wallets."""

    id: str
    customer_id: str
    platform: Platform
    kind: Kind
    item_id: str | None
    token: str
    status: str
    version: int
    handed_version: int | None
    fetched_version: int | None
    created_at: datetime
    stored_at: datetime | None
    installed_at: datetime | None
    uninstalled_at: datetime | None
    voided_at: datetime | None
    voice: int


_COLUMNS = tuple(wallet_pass.c[name] for name in Pass.__struct_fields__)


def issue_pass(
    conn: Connection, program_id: str, customer_id: str, platform: Platform, touch_id: str | None = None
) -> None:
    """Issue the loyalty card for a wallet, once: where the customer has a living one nothing changes."""
    issue_passes(conn, [pass_row(program_id, customer_id, platform, touch_id)])


def issue_passes(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Issue many cards at once, each of them once. Google is told of its own."""
    if not rows:
        return
    issued = set(conn.scalars(insert_or_skip(conn, wallet_pass).returning(wallet_pass.c.id), rows))
    enqueue_merged(
        conn,
        [
            update_row(row["program_id"], row["id"], row["platform"])
            for row in rows
            if row["id"] in issued and row["platform"] == "google"
        ],
    )


def update_row(program_id: str, pass_id: str, platform: str) -> dict[str, Any]:
    """The delivery that tells whoever holds a pass that it changed; several changes at once are one."""
    kind = CARD_KINDS[platform]
    lane = f"{kind}:{pass_id}"
    return delivery_row(program_id, kind, lane, {"pass_id": pass_id}, merge_key=lane)


# A version later than all before, and than this second where that is possible.
_NEXT_VERSION = case(
    (wallet_pass.c.version >= bindparam("second"), wallet_pass.c.version + 1), else_=bindparam("second")
)
_IS_HELD = or_(
    and_(wallet_pass.c.platform == "apple", wallet_pass.c.status == "installed"),
    and_(
        wallet_pass.c.platform == "google",
        or_(wallet_pass.c.stored_at.is_not(None), wallet_pass.c.installed_at.is_not(None)),
    ),
)
# What a phone has yet to fetch goes on to be said by the loudest of the changes in it. Google is told of each.
_IS_KNOWN = or_(
    wallet_pass.c.platform == "google",
    func.coalesce(wallet_pass.c.handed_version, 0) >= wallet_pass.c.version,
    func.coalesce(wallet_pass.c.fetched_version, 0) >= wallet_pass.c.version,
)
_speaks = bindparam("speaks", type_=SmallInteger)
_NEXT_VOICE = case((_IS_KNOWN | (wallet_pass.c.voice < _speaks), _speaks), else_=wallet_pass.c.voice)
# Made once: SQLAlchemy remembers with a statement how it is compiled.
_CHANGE_OF_CUSTOMER = (
    update(wallet_pass)
    .where(
        wallet_pass.c.program_id == bindparam("its_program"),
        wallet_pass.c.customer_id == bindparam("its_customer"),
        wallet_pass.c.voided_at.is_(None),
    )
    .values(version=_NEXT_VERSION, voice=_NEXT_VOICE)
    .returning(wallet_pass.c.id, wallet_pass.c.platform, _IS_HELD.label("is_held"))
)
_SPEAK = (
    update(wallet_pass)
    .where(
        wallet_pass.c.program_id == bindparam("its_program"),
        wallet_pass.c.customer_id == bindparam("its_customer"),
        wallet_pass.c.kind == "loyalty",
        wallet_pass.c.voided_at.is_(None),
    )
    .values(version=_NEXT_VERSION, voice=_NEXT_VOICE)
    .returning(*_COLUMNS, _IS_HELD.label("is_held"))
)


def card_changed(conn: Connection, program_id: str, customer_id: str, speaks: int = SILENT) -> None:
    """Say, in the transaction that changes it, that what a customer's passes show is another from now on.

    `speaks` is the field that may say so on the lock screen; what an import or a merchant's clean-up changes is
    silent.
    """
    changed = conn.execute(
        _CHANGE_OF_CUSTOMER,
        {
            "its_program": program_id,
            "its_customer": customer_id,
            "second": int(time.time()),
            "speaks": speaks,
        },
    )
    enqueue_merged(conn, [update_row(program_id, row.id, row.platform) for row in changed if row.is_held])


def card_speaks(conn: Connection, program_id: str, customer_id: str) -> list[Pass]:
    """A message is on the customer's card from now on; returns the passes that phones hold, with their new version."""
    changed = conn.execute(
        _SPEAK,
        {
            "its_program": program_id,
            "its_customer": customer_id,
            "second": int(time.time()),
            "speaks": MESSAGE,
        },
    ).all()
    enqueue_merged(conn, [update_row(program_id, row.id, row.platform) for row in changed if row.is_held])
    return [_pass_of(row) for row in changed if row.status == "installed"]


def _pass_of(row: Row[Any]) -> Pass:
    return Pass(**{name: row._mapping[name] for name in Pass.__struct_fields__})


def passes_changed(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> list[str]:
    """The same for every pass of a programme that the conditions choose, void ones too; returns their ids."""
    moved = move_versions(conn, program_id, *where)
    enqueue_merged(conn, [update_row(program_id, each.id, each.platform) for each in moved if each.is_held])
    return [each.id for each in moved]


class Moved(msgspec.Struct, frozen=True):
    """A pass whose version moved on; `is_held` where a phone or a vendor has it."""

    id: str
    platform: Platform
    is_held: bool


def move_versions(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> list[Moved]:
    """Move the versions of the chosen passes on. Whoever holds one is still to be told."""
    rows = conn.execute(
        update(wallet_pass)
        .where(wallet_pass.c.program_id == program_id, *where)
        .values(version=_NEXT_VERSION, voice=_NEXT_VOICE)
        .returning(wallet_pass.c.id, wallet_pass.c.platform, _IS_HELD.label("is_held")),
        {"second": int(time.time()), "speaks": SILENT},
    )
    return [Moved(row.id, row.platform, bool(row.is_held)) for row in rows]


def void_passes(conn: Connection, program_id: str, *where: ColumnElement[bool]) -> list[str]:
    """Make the chosen passes worthless, and tell the phones that hold them; returns the ids of those that lived."""
    ids = passes_changed(conn, program_id, wallet_pass.c.voided_at.is_(None), *where)
    if not ids:
        return []
    its = wallet_pass.c
    voided = conn.execute(
        update(wallet_pass)
        .where(its.program_id == program_id, its.id.in_(ids))
        .values(status="voided", voided_at=utc_now())
        .returning(its.id, its.customer_id, its.platform, its.kind)
    )
    for row in voided.all():
        told = {"passId": row.id, "platform": row.platform, "kind": row.kind}
        record(conn, program_id, PASS_VOIDED, row.customer_id, told)
    return ids


def pass_row(
    program_id: str, customer_id: str, platform: Platform, touch_id: str | None = None
) -> dict[str, Any]:
    return {
        "program_id": program_id,
        "id": new_id(),
        "customer_id": customer_id,
        "platform": platform,
        "kind": "loyalty",
        "item_id": None,
        "token": random_token(),
        "status": "created",
        "touch_id": touch_id,
        "version": int(time.time()),
        "created_at": utc_now(),
    }


def find_pass(conn: Connection, program_id: str, customer_id: str, platform: Platform) -> Pass | None:
    """The customer's living loyalty card for a wallet."""
    row = conn.execute(
        select(*_COLUMNS).where(
            wallet_pass.c.program_id == program_id,
            wallet_pass.c.customer_id == customer_id,
            wallet_pass.c.platform == platform,
            wallet_pass.c.kind == "loyalty",
            wallet_pass.c.voided_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else Pass(**row._mapping)


def find_pass_by_id(conn: Connection, program_id: str, pass_id: str) -> Pass | None:
    """A pass by its serial number, whatever its state."""
    row = conn.execute(
        select(*_COLUMNS).where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == pass_id)
    ).one_or_none()
    return None if row is None else Pass(**row._mapping)


def passes_of(conn: Connection, program_id: str, customer_id: str) -> list[Pass]:
    """Every pass of a customer, the newest first."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(wallet_pass.c.program_id == program_id, wallet_pass.c.customer_id == customer_id)
        .order_by(wallet_pass.c.id.desc())
    )
    return [Pass(**row._mapping) for row in rows]


def mark_handed(conn: Connection, program_id: str, held: Pass) -> None:
    """Remember which version a browser got, where that is another than the last."""
    if held.handed_version != held.version:
        conn.execute(
            update(wallet_pass)
            .where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == held.id)
            .values(handed_version=held.version)
        )


def mark_stored(conn: Connection, program_id: str, pass_id: str, version: int) -> None:
    """Remember that the vendor holds the pass, so that a link need only name it.

    `version` is what it was given. What changed on the way there was told to nobody, and is told now.
    """
    present = conn.execute(
        update(wallet_pass)
        .where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == pass_id)
        .values(stored_at=utc_now())
        .returning(wallet_pass.c.version, wallet_pass.c.platform)
    ).one_or_none()
    if present is not None and present.version != version:
        enqueue_merged(conn, [update_row(program_id, pass_id, present.platform)])


def pass_for(
    conn: Connection, program_id: str, customer_id: str, platform: Platform, touch_id: str | None = None
) -> Pass:
    """The customer's card for a wallet, issued now if they had none there."""
    found = find_pass(conn, program_id, customer_id, platform)
    if found is None:
        issue_pass(conn, program_id, customer_id, platform, touch_id)
        found = find_pass(conn, program_id, customer_id, platform)
    assert found is not None, "a pass was just issued in this transaction"
    return found
