"""What became of a message, as far as anybody can know: Apple tells that it took a push, a phone that it fetched.

queued → held (quiet hours) → sent (the vendor has it) → shown (a phone fetched the card that carries it, so its lock
screen said so, or could have), or notDelivered with a reason. "merged": shown together with the next one; "superseded":
the next one took its place while the phone was away. Google says that it took a message, and not more.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, and_, select
from sqlalchemy.engine import Connection

from web.foundation.delivery import DEAD, DROPPED, WAITING, delivery
from web.loyalty.card_message import message_on_pass
from web.loyalty.push_message import Kind, push_message
from web.loyalty.wallet_pass import wallet_pass

Outcome = Literal["queued", "held", "sent", "shown", "merged", "superseded", "notDelivered"]

# Of several passes the best says what became of a message.
_BEST: tuple[Outcome, ...] = ("shown", "merged", "sent", "queued", "superseded", "notDelivered")
NOT_DELIVERED = {DROPPED: "untold", DEAD: "refused"}
# Messages that follow each other are looked after so far.
_LONGEST_CHAIN = 20


class OnPass(msgspec.Struct, frozen=True, kw_only=True):
    """A message on one pass. `notified` is false where Google took it without a notice."""

    pass_id: str
    platform: Literal["apple", "google"]
    status: Outcome
    notified: bool
    reason: str | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A message and what became of it. `reason` is one of REASONS in push_message."""

    id: str
    customer_id: str
    kind: Kind
    text: str
    url: str | None
    status: Outcome
    reason: str | None
    held_until: datetime | None
    created_at: datetime
    released_at: datetime | None
    clicks: int
    passes: tuple[OnPass, ...]


def result_of(conn: Connection, program_id: str, message_id: str) -> Result | None:
    """What became of a message; None where there is none of this id."""
    row = conn.execute(
        select(push_message).where(push_message.c.program_id == program_id, push_message.c.id == message_id)
    ).one_or_none()
    if row is None:
        return None
    passes = tuple(_on_pass(conn, each) for each in _rows(conn, program_id, message_id))
    status: Outcome = row.status
    reason: str | None = row.reason
    if row.status == "released":
        status = min((each.status for each in passes), key=_BEST.index, default="sent")
        reason = next((each.reason for each in passes if each.reason and each.status == status), None)
    return Result(
        id=row.id,
        customer_id=row.customer_id,
        kind=row.kind,
        text=row.text,
        url=row.url,
        status=status,
        reason=reason,
        held_until=row.held_until,
        created_at=row.created_at,
        released_at=row.released_at,
        clicks=row.clicks,
        passes=passes,
    )


def _rows(conn: Connection, program_id: str, message_id: str, pass_id: str | None = None) -> list[Row[Any]]:
    chosen = [message_on_pass.c.program_id == program_id, message_on_pass.c.message_id == message_id]
    if pass_id is not None:
        chosen.append(message_on_pass.c.pass_id == pass_id)
    return list(
        conn.execute(
            select(message_on_pass, wallet_pass.c.fetched_version, delivery.c.state)
            .select_from(message_on_pass)
            .outerjoin(
                wallet_pass,
                and_(
                    wallet_pass.c.program_id == message_on_pass.c.program_id,
                    wallet_pass.c.id == message_on_pass.c.pass_id,
                ),
            )
            .outerjoin(
                delivery,
                and_(
                    delivery.c.program_id == message_on_pass.c.program_id,
                    delivery.c.id == message_on_pass.c.delivery_id,
                ),
            )
            .where(*chosen)
            .order_by(message_on_pass.c.pass_id)
        )
    )


def _on_pass(conn: Connection, row: Row[Any]) -> OnPass:
    status, reason = _status_of(row)
    followed, steps = row, 0
    while followed.outcome == "merged" and steps < _LONGEST_CHAIN:
        # It is shown once the one that carries it is.
        [followed] = _rows(conn, row.program_id, followed.followed_by, row.pass_id)
        steps += 1
        if _status_of(followed)[0] in ("shown", "superseded"):
            status = _status_of(followed)[0]
    return OnPass(
        pass_id=row.pass_id,
        platform=row.platform,
        status=status,
        notified=row.outcome != "quiet" and status in ("sent", "shown"),
        reason=reason,
    )


def _status_of(row: Row[Any]) -> tuple[Outcome, str | None]:
    if row.outcome in ("notified", "quiet"):
        return "sent", None
    if row.outcome is not None:
        return row.outcome, None
    if row.platform == "apple" and (row.fetched_version or 0) >= row.version:
        return "shown", None
    if row.state == WAITING:
        return "queued", None
    if row.state in NOT_DELIVERED:
        return "notDelivered", NOT_DELIVERED[row.state]
    # What was delivered is forgotten after a month.
    return "sent", None
