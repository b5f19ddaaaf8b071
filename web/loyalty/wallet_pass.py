"""A pass: one issued copy of the card, for one wallet. Its serial and its token never change."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, String, Table, select, update
from sqlalchemy.engine import Connection

from web.foundation import delivery
from web.foundation.delivery import delivery_row
from web.foundation.schema import Id, Moment, insert_or_skip, metadata, new_id, utc_now
from web.foundation.sealing import random_token

Platform = Literal["apple", "google"]
Kind = Literal["loyalty", "coupon", "gift_card", "membership"]

# The delivery by which Google learns of a card.
GOOGLE_CARD = "google_card"

wallet_pass = Table(
    "wallet_pass",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("platform", String(8), nullable=False),
    Column("kind", String(12), nullable=False),
    # What a phone shows to our web service to prove that it holds the pass.
    Column("token", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("touch_id", Id),
    Column("created_at", Moment, nullable=False),
    # When the wallet's vendor was told of it; only Google is.
    Column("stored_at", Moment),
    Column("installed_at", Moment),
    Column("voided_at", Moment),
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


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass. `id` is its serial number in both wallets."""

    id: str
    customer_id: str
    platform: Platform
    kind: Kind
    token: str
    status: str
    created_at: datetime
    stored_at: datetime | None


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
    tellings = [
        delivery_row(
            row["program_id"], GOOGLE_CARD, f"{GOOGLE_CARD}:{row['id']}", {"customer_id": row["customer_id"]}
        )
        for row in rows
        if row["id"] in issued and row["platform"] == "google"
    ]
    if tellings:
        conn.execute(delivery.INSERT, tellings)


def pass_row(
    program_id: str, customer_id: str, platform: Platform, touch_id: str | None = None
) -> dict[str, Any]:
    return {
        "program_id": program_id,
        "id": new_id(),
        "customer_id": customer_id,
        "platform": platform,
        "kind": "loyalty",
        "token": random_token(),
        "status": "created",
        "touch_id": touch_id,
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


def mark_stored(conn: Connection, program_id: str, pass_id: str) -> None:
    """Remember that the vendor holds the pass, so that a link need only name it."""
    conn.execute(
        update(wallet_pass)
        .where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == pass_id)
        .values(stored_at=utc_now())
    )


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
