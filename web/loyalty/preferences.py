"""What a customer wants to be told, and what they agreed to."""

from datetime import datetime

import msgspec
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty.consent import Decision, consent_event, record_decisions
from web.loyalty.customer import customer
from web.loyalty.event import CONSENT_CHANGED, record
from web.loyalty.program import Program
from web.loyalty.wallet_pass import card_changed


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages the card may bring. Marketing needs a consent as well."""

    balance: bool = True
    tier: bool = True
    reward: bool = True
    location: bool = True
    marketing: bool = True


class Standpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The last decision on one purpose."""

    purpose: str
    decision: str
    decided_at: datetime


def notifications_of(conn: Connection, program_id: str, customer_id: str) -> Notifications:
    kept = conn.scalar(
        select(customer.c.notifications).where(
            customer.c.program_id == program_id, customer.c.id == customer_id
        )
    )
    return msgspec.convert(kept or {}, Notifications)


def set_notifications(conn: Connection, program_id: str, customer_id: str, wanted: Notifications) -> None:
    conn.execute(
        update(customer)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
        .values(notifications=msgspec.to_builtins(wanted), updated_at=utc_now())
    )
    # A card says with each field whether its change is worth a notice.
    card_changed(conn, program_id, customer_id)


def standpoints_of(conn: Connection, program_id: str, customer_id: str) -> dict[str, Standpoint]:
    """The current decision on each purpose, by purpose."""
    # A person decides a few times in years: reading all of them is cheaper than asking for the last of each.
    rows = conn.execute(
        select(consent_event.c.purpose, consent_event.c.decision, consent_event.c.decided_at)
        .where(consent_event.c.program_id == program_id, consent_event.c.customer_id == customer_id)
        .order_by(consent_event.c.id)
    )
    return {row.purpose: Standpoint(**row._mapping) for row in rows}


def decide(conn: Connection, program: Program, customer_id: str, granted: set[str], locale: str) -> list[str]:
    """Record what changed: newly ticked boxes are granted, boxes emptied are withdrawn. Returns the purposes."""
    now = standpoints_of(conn, program.id, customer_id)
    changed = [
        consent
        for consent in program.settings.consents
        if (consent.purpose in granted)
        != (consent.purpose in now and now[consent.purpose].decision == "granted")
    ]
    decisions = [
        Decision(
            purpose=consent.purpose,
            channel=consent.channel,
            granted=consent.purpose in granted,
            wording_version=program.wordings[consent.purpose].version,
            wording_sha256=program.wordings[consent.purpose].sha256[locale],
        )
        for consent in changed
    ]
    record_decisions(conn, program.id, customer_id, decisions, locale=locale, refusal="withdrawn")
    for decision in decisions:
        told = {
            "purpose": decision.purpose,
            "channel": decision.channel,
            "decision": "granted" if decision.granted else "withdrawn",
            "source": "form",
        }
        record(conn, program.id, CONSENT_CHANGED, customer_id, told)
    return [consent.purpose for consent in changed]
