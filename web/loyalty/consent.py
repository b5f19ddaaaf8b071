"""Consents: an append-only record of each decision, with the wording that was on the screen."""

from typing import Any

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, new_id, utc_now

consent_event = Table(
    "consent_event",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("decision", String(10), nullable=False),
    Column("wording_version", Integer, nullable=False),
    Column("wording_sha256", String(64), nullable=False),
    Column("locale", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("mechanism", String(16), nullable=False),
    Column("decided_at", Moment, nullable=False),
    CheckConstraint("decision in ('granted', 'refused', 'withdrawn')", name="decision_is_known"),
)
Index(
    "ix_consent_event_customer", consent_event.c.program_id, consent_event.c.customer_id, consent_event.c.id
)

INSERT = insert(consent_event)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One box, ticked or left empty, under one version of its wording."""

    purpose: str
    channel: str
    granted: bool
    wording_version: int
    wording_sha256: str


def record_decisions(
    conn: Connection,
    program_id: str,
    customer_id: str,
    decisions: list[Decision],
    *,
    locale: str,
    source: str = "form",
    mechanism: str = "checkbox",
    refusal: str = "refused",
) -> None:
    """Write down what was decided. An empty box is a refusal, and is proven like a consent.

    `refusal` is "withdrawn" where the consent was given before.
    """
    rows = decision_rows(
        program_id, customer_id, decisions, locale=locale, source=source, mechanism=mechanism, refusal=refusal
    )
    if rows:
        conn.execute(INSERT, rows)


def decision_rows(
    program_id: str,
    customer_id: str,
    decisions: list[Decision],
    *,
    locale: str,
    source: str = "form",
    mechanism: str = "checkbox",
    refusal: str = "refused",
) -> list[dict[str, Any]]:
    """The rows of one customer's decisions, for those who write many customers' at once with `INSERT`."""
    now = utc_now()
    return [
        {
            "program_id": program_id,
            "id": new_id(),
            "customer_id": customer_id,
            "purpose": decision.purpose,
            "channel": decision.channel,
            "decision": "granted" if decision.granted else refusal,
            "wording_version": decision.wording_version,
            "wording_sha256": decision.wording_sha256,
            "locale": locale,
            "source": source,
            "mechanism": mechanism,
            "decided_at": now,
        }
        for decision in decisions
    ]
