"""Where the development mailbox keeps what would have been sent."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, String, Table, delete, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, utc_now
from web.messages.envelope import Message

mailbox_message = Table(
    "mailbox_message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", String(8), nullable=False),
    Column("message", Json, nullable=False),
    Column("at", Moment, nullable=False),
)


def keep_message(conn: Connection, message: Message) -> None:
    """Keep a message once, however often its delivery is repeated."""
    conn.execute(
        insert_or_skip(conn, mailbox_message),
        {
            "id": message.id,
            "channel": message.channel,
            "message": msgspec.to_builtins(message),
            "at": utc_now(),
        },
    )


def kept_messages(conn: Connection, most: int = 100) -> list[tuple[datetime, Message]]:
    """The newest messages first."""
    rows = conn.execute(
        select(mailbox_message.c.message, mailbox_message.c.at)
        .order_by(mailbox_message.c.at.desc())
        .limit(most)
    )
    return [(row.at, msgspec.convert(row.message, Message)) for row in rows]


def kept_message(conn: Connection, message_id: str) -> Message | None:
    row: dict[str, Any] | None = conn.scalar(
        select(mailbox_message.c.message).where(mailbox_message.c.id == message_id)
    )
    return None if row is None else msgspec.convert(row, Message)


def forget_messages(conn: Connection, addresses: list[str]) -> None:
    """Delete every kept message to an address: even a development mailbox forgets who asked to be forgotten."""
    kept = conn.execute(select(mailbox_message.c.id, mailbox_message.c.message)).all()
    gone = [row.id for row in kept if row.message["to"] in addresses]
    conn.execute(delete(mailbox_message).where(mailbox_message.c.id.in_(gone)))
