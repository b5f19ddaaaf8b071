"""What a customer's card says: the last message, and what became of those before it.

Of the messages on a card the last is shown. One that no phone had fetched when the next one came is said together with
it, where both are short, so that a phone that was off misses nothing; else it is written down as superseded.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Index, Row, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.delivery import delivery, enqueue
from web.foundation.schema import Id, Moment, insert_or_skip, metadata
from web.loyalty.wallet_pass import Pass, Second, card_speaks, update_row

# The delivery by which Google is told of a message.
GOOGLE_MESSAGE = "google_message"
LONGEST = 240
CODE_LENGTH = 12
# What could not be told within a day is no news any more. No quiet hours last longer.
TIME_TO_LIVE = timedelta(hours=24)
# Seen by nobody, it makes a message of the same words another one: iOS tells only of what is not as it was.
WORD_JOINER = "\u2060"

# A message on one pass: from which version on the pass shows it, and the delivery that tells the phones or Google.
message_on_pass = Table(
    "message_on_pass",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("message_id", Id, primary_key=True),
    Column("pass_id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("platform", String(8), nullable=False),
    Column("version", Second, nullable=False),
    Column("delivery_id", Id, nullable=False),
    # What is certain already: "shown", "merged", "superseded" on a phone; "notified", "quiet" at Google.
    Column("outcome", String(12)),
    # The message that took this one's place before a phone had fetched it.
    Column("followed_by", Id),
)
Index("ix_message_on_pass_customer", message_on_pass.c.program_id, message_on_pass.c.customer_id)

# What a customer's card says at present: one message, or several that no phone had fetched one by one.
card_message = Table(
    "card_message",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("message_id", Id, nullable=False),
    Column("text", String(2 * LONGEST), nullable=False),
    Column("code", String(CODE_LENGTH)),
    Column("released_at", Moment, nullable=False),
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose turn it is. `code` ends the short address of its link, where it has one."""

    program_id: str
    customer_id: str
    message_id: str
    text: str
    code: str | None


def say_on_card(conn: Connection, said: Said, now: datetime) -> bool:
    """Make a message the one that the card shows, and tell the phones; False where no phone holds the card."""
    passes = card_speaks(conn, said.program_id, said.customer_id)
    if not passes:
        return False
    named = (
        card_message.c.program_id == said.program_id,
        card_message.c.customer_id == said.customer_id,
    )
    before = conn.execute(select(card_message).where(*named)).one_or_none()
    text, code = (said.text, said.code) if before is None else _after(conn, before, passes, said, now)
    shown = {"message_id": said.message_id, "text": text, "code": code, "released_at": now}
    if before is None:
        new = {"program_id": said.program_id, "customer_id": said.customer_id, **shown}
        conn.execute(insert_or_skip(conn, card_message).values(new))
    else:
        conn.execute(update(card_message).where(*named).values(shown))
    conn.execute(
        insert(message_on_pass),
        [
            {
                "program_id": said.program_id,
                "message_id": said.message_id,
                "pass_id": held.id,
                "customer_id": said.customer_id,
                "platform": held.platform,
                "version": held.version,
                "delivery_id": _telling(conn, said, held),
            }
            for held in passes
        ],
    )
    return True


def decide_at_google(conn: Connection, program_id: str, message_id: str, pass_id: str, outcome: str) -> None:
    """Google has taken a message: "notified", or "quiet" where its notices of the day were used up."""
    _decide(
        conn,
        outcome,
        message_on_pass.c.program_id == program_id,
        message_on_pass.c.message_id == message_id,
        message_on_pass.c.pass_id == pass_id,
    )


def _telling(conn: Connection, said: Said, held: Pass) -> str:
    """The id of the delivery that tells a pass's phones; Google is told of each message by one of its own."""
    update_of_card = update_row(said.program_id, held.id, held.platform)
    if held.platform == "google":
        payload = {"pass_id": held.id, "message_id": said.message_id}
        return enqueue(conn, said.program_id, GOOGLE_MESSAGE, update_of_card["lane"], payload)
    # Written, or merged into, by `card_speaks`: no worker can have taken it before this transaction ends.
    waiting = select(delivery.c.id).where(
        delivery.c.program_id == said.program_id, delivery.c.merge_key == update_of_card["merge_key"]
    )
    return str(conn.scalars(waiting).one())


def _after(
    conn: Connection, before: Row[Any], passes: Sequence[Pass], said: Said, now: datetime
) -> tuple[str, str | None]:
    """What the card says, and links to, with a new message in the place of another."""
    both = f"{before.text.rstrip(WORD_JOINER)}\n{said.text}"
    # A card has one link.
    fits = len(both) <= LONGEST and (before.code is None or said.code is None)
    if fits and now - before.released_at < TIME_TO_LIVE:
        if _settle(conn, before, passes, said.message_id, "merged"):
            return both, said.code or before.code
    else:
        _settle(conn, before, passes, said.message_id, "superseded")
    return said.text + WORD_JOINER * (said.text == before.text), said.code


def _settle(
    conn: Connection, before: Row[Any], passes: Sequence[Pass], follower_id: str, otherwise: str
) -> bool:
    """Write down what came of the message that leaves the card's front; True if phones hold it and none has seen it."""
    fetched = {held.id: held.fetched_version or 0 for held in passes if held.platform == "apple"}
    mine = (
        message_on_pass.c.program_id == before.program_id,
        message_on_pass.c.message_id == before.message_id,
        message_on_pass.c.outcome.is_(None),
    )
    versions = conn.execute(
        select(message_on_pass.c.pass_id, message_on_pass.c.version).where(
            *mine, message_on_pass.c.pass_id.in_(fetched)
        )
    ).all()
    seen = [each.pass_id for each in versions if fetched[each.pass_id] >= each.version]
    unseen = [each.pass_id for each in versions if fetched[each.pass_id] < each.version]
    _decide(conn, "shown", *mine, message_on_pass.c.pass_id.in_(seen))
    _decide(conn, otherwise, *mine, message_on_pass.c.pass_id.in_(unseen), followed_by=follower_id)
    return bool(unseen) and not seen


def _decide(
    conn: Connection, outcome: str, *where: ColumnElement[bool], followed_by: str | None = None
) -> None:
    conn.execute(update(message_on_pass).where(*where).values(outcome=outcome, followed_by=followed_by))
