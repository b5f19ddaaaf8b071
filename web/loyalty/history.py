"""A customer's history: the entries of the ledger as other systems read them, newest first."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.loyalty.ledger import EFFECT, ledger_entry


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `effect` is what it did to the points that can be spent; `detail` says which rule led to it."""

    id: str
    number: int
    kind: str
    amount: int
    effect: int
    available_after: int
    pending_after: int
    reserved_after: int
    tier_points: int
    reason: str
    source: str
    source_ref: str | None
    actor: str | None
    reverses_id: str | None
    effective_at: datetime
    at: datetime
    detail: dict[str, Any]


_COLUMNS = tuple(
    EFFECT.label("effect") if name == "effect" else ledger_entry.c[name] for name in Line.__struct_fields__
)


def lines_before(
    conn: Connection, program_id: str, customer_id: str, before: int | None, most: int
) -> list[Line]:
    """At most so many entries, from the one before number `before` down; from the newest without it."""
    query = select(*_COLUMNS).where(
        ledger_entry.c.program_id == program_id, ledger_entry.c.customer_id == customer_id
    )
    if before is not None:
        query = query.where(ledger_entry.c.number < before)
    rows = conn.execute(query.order_by(ledger_entry.c.number.desc()).limit(most))
    return [Line(**row._mapping) for row in rows]
