"""A message to a customer's card: written down with what became of it, and shown on every phone that holds the card.

A message that may be told now is on the card at once, in the transaction that takes it. One that has to wait, for the
end of the quiet hours or for another before it, gets its turn as a delivery. Of the messages on a card the last one is
shown; what became of the others stays written down (see `push_result`).
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.delivery import WAITING, delivery, enqueue
from web.foundation.languages import N_
from web.foundation.schema import Id, Moment, first_id_at, metadata, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty.card_message import CODE_LENGTH, LONGEST, TIME_TO_LIVE, Said, say_on_card
from web.loyalty.customer import customer, message_lane
from web.loyalty.preferences import notifications_of, standpoints_of
from web.loyalty.program import Program
from web.loyalty.quiet_hours import quiet_until
from web.loyalty.wallet_pass import passes_of

# The delivery by which a message that has to wait gets its turn.
PUSH = "push"
# The same to the same customer within this is the caller's retry.
REPEATED_WITHIN = timedelta(days=1)

# A link's address as it is sent in a header: of nothing but what RFC 3986 writes addresses with.
URL_PATTERN = r"^https?://[!-.0-~][!-~]*(?!\s)$"
LONGEST_URL = 500

Kind = Literal["marketing", "service", "balance", "tier", "reward", "referral"]
Status = Literal["queued", "held", "released", "notDelivered"]
Reason = Literal["no_pass", "preference", "consent", "expired"]

# The customer's switch for each kind. What somebody waits for, like an order that is ready, has none.
SWITCHES: dict[str, str] = {
    "marketing": "marketing",
    "balance": "balance",
    "tier": "tier",
    "reward": "reward",
    "referral": "reward",
}
REASONS: dict[str, str] = {
    "no_pass": N_("Pass has not been added to the wallet"),
    "preference": N_("The customer has turned these messages off"),
    "consent": N_("The customer has not agreed to marketing messages"),
    "expired": N_("It could not be sent within a day"),
    "untold": N_("No phone could be told of it"),
    "refused": N_("The wallet's vendor refused it"),
}

push_message = Table(
    "push_message",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("text", String(LONGEST), nullable=False),
    Column("url", String(LONGEST_URL)),
    # The end of the short address under which the card links to `url`.
    Column("code", String(CODE_LENGTH)),
    Column("status", String(16), nullable=False),
    Column("reason", String(16)),
    # What happened that this tells of, where nobody wrote it.
    Column("event_id", Id),
    Column("actor", String(120), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("held_until", Moment),
    Column("released_at", Moment),
    Column("clicks", Integer, nullable=False),
    Column("clicked_at", Moment),
    CheckConstraint("status in ('queued', 'held', 'released', 'notDelivered')", name="status_is_known"),
)
Index("ix_push_message_customer", push_message.c.program_id, push_message.c.customer_id, push_message.c.id)
for _name in ("code", "event_id"):
    Index(
        f"uq_push_message_{_name}",
        push_message.c.program_id,
        push_message.c[_name],
        unique=True,
        sqlite_where=push_message.c[_name].is_not(None),
        postgresql_where=push_message.c[_name].is_not(None),
    )


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was taken; `reason` says why one is not delivered, `held_until` when a held one may leave."""

    id: str
    status: Status
    reason: Reason | None = None
    held_until: datetime | None = None


def push(
    conn: Connection,
    program: Program,
    customer_id: str,
    text: str,
    *,
    kind: Kind,
    actor: str,
    url: str | None = None,
    event_id: str | None = None,
) -> Pushed:
    """Send a message to every phone that holds the customer's card, as far as they want it; else say why not."""
    message_id, now = new_id(), utc_now()
    reason = why_not(conn, program, customer_id, kind)
    until = quiet_until(now, program.settings.notices.quiet_hours, program.settings.timezone)
    status: Status = "notDelivered" if reason else "held" if until else "queued"
    conn.execute(
        insert(push_message).values(
            program_id=program.id,
            id=message_id,
            customer_id=customer_id,
            kind=kind,
            text=text,
            url=url,
            code=new_code(CODE_LENGTH) if url else None,
            status=status,
            reason=reason,
            event_id=event_id,
            actor=actor,
            created_at=now,
            held_until=None if reason else until,
            clicks=0,
        )
    )
    if reason:
        return Pushed(id=message_id, status=status, reason=reason)
    lane = _lane(customer_id)
    if until or _is_busy(conn, program.id, lane):
        enqueue(conn, program.id, PUSH, lane, {"message_id": message_id})
    else:
        release(conn, program, message_id)
    return Pushed(id=message_id, status=status, held_until=until)


def push_once(
    conn: Connection,
    program: Program,
    customer_id: str,
    text: str,
    *,
    kind: Kind,
    actor: str,
    url: str | None = None,
) -> Pushed:
    """The same, unless the customer was sent just this within a day: then what became of that one so far."""
    # Two retries at the same moment come one after the other.
    conn.execute(
        select(customer.c.id)
        .where(customer.c.program_id == program.id, customer.c.id == customer_id)
        .with_for_update()
    )
    now = utc_now()
    known = conn.execute(
        select(push_message)
        .where(
            push_message.c.program_id == program.id,
            push_message.c.customer_id == customer_id,
            push_message.c.id >= first_id_at(now - REPEATED_WITHIN),
            push_message.c.text == text,
            push_message.c.url.is_(None) if url is None else push_message.c.url == url,
            push_message.c.status != "notDelivered",
        )
        .order_by(push_message.c.id.desc())
        .limit(1)
    ).one_or_none()
    if known is not None:
        return _pushed(known)
    return push(conn, program, customer_id, text, kind=kind, actor=actor, url=url)


def release(conn: Connection, program: Program, message_id: str) -> Pushed | None:
    """A message's turn: put it on the card, unless something has come to stand against it; None where it is gone.

    Done before, it does nothing more, so that a repeated delivery doubles nothing.
    """
    row = conn.execute(
        select(push_message)
        .where(push_message.c.program_id == program.id, push_message.c.id == message_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.status not in ("queued", "held"):
        return None if row is None else _pushed(row)
    now, notices = utc_now(), program.settings.notices
    reason: Reason | None = "expired"
    if now - row.created_at < TIME_TO_LIVE:
        reason = why_not(conn, program, row.customer_id, row.kind)
    if reason:
        return _set(conn, row, status="notDelivered", reason=reason, held_until=None)
    if until := quiet_until(now, notices.quiet_hours, program.settings.timezone):
        return _set(conn, row, status="held", held_until=until)
    said = Said(
        program_id=program.id, customer_id=row.customer_id, message_id=row.id, text=row.text, code=row.code
    )
    if not say_on_card(conn, said, now):
        return _set(conn, row, status="notDelivered", reason="no_pass", held_until=None)
    return _set(conn, row, status="released", released_at=now, held_until=None)


def why_not(conn: Connection, program: Program, customer_id: str, kind: str) -> Reason | None:
    """What stands against telling a customer something of this kind now, the hardest first."""
    if not any(
        each.status == "installed" and each.kind == "loyalty"
        for each in passes_of(conn, program.id, customer_id)
    ):
        return "no_pass"
    if kind in SWITCHES and not getattr(notifications_of(conn, program.id, customer_id), SWITCHES[kind]):
        return "preference"
    if kind == "marketing" and not _has_agreed(conn, program, customer_id):
        return "consent"
    return None


def asks_for_consent(program: Program) -> list[str]:
    """The purposes by which a programme asks whether the card may bring news; any one of them will do."""
    return [each.purpose for each in program.settings.consents if each.channel in ("push", "any")]


def _has_agreed(conn: Connection, program: Program, customer_id: str) -> bool:
    asked = asks_for_consent(program)
    if not asked:
        return True
    decided = standpoints_of(conn, program.id, customer_id)
    return any(purpose in decided and decided[purpose].decision == "granted" for purpose in asked)


def _lane(customer_id: str) -> str:
    """The card's own part of a customer's messages: no mail waits for the end of the quiet hours."""
    return f"{message_lane(customer_id)}:card"


def _is_busy(conn: Connection, program_id: str, lane: str) -> bool:
    """Whether an earlier message waits for its turn: none overtakes it."""
    waiting = select(delivery.c.id).where(
        delivery.c.program_id == program_id, delivery.c.lane == lane, delivery.c.state == WAITING
    )
    return conn.execute(waiting.limit(1)).one_or_none() is not None


def find_message(conn: Connection, program_id: str, message_id: str) -> Row[Any] | None:
    """A message's row."""
    return conn.execute(
        select(push_message).where(push_message.c.program_id == program_id, push_message.c.id == message_id)
    ).one_or_none()


def was_told(conn: Connection, program_id: str, event_id: str) -> bool:
    """Whether an event has its message already."""
    told = select(push_message.c.id).where(
        push_message.c.program_id == program_id, push_message.c.event_id == event_id
    )
    return conn.scalar(told) is not None


def _set(conn: Connection, row: Row[Any], **values: Any) -> Pushed:
    changed = conn.execute(
        update(push_message)
        .where(push_message.c.program_id == row.program_id, push_message.c.id == row.id)
        .values(values)
        .returning(push_message)
    ).one()
    return _pushed(changed)


def _pushed(row: Row[Any]) -> Pushed:
    return Pushed(id=row.id, status=row.status, reason=row.reason, held_until=row.held_until)
