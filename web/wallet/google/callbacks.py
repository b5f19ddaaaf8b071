"""What Google tells of cards that were saved to a wallet or deleted from it.

It tells more than once, and in any order. A nonce says which tellings are the same. Which of two is the later one
says the time when each is over: Google writes it when it signs, so a "save" that is over before a "del" that we know
was signed before it, and changes nothing any more.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, delete, func, select
from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.schema import Id, Moment, insert_or_skip, is_id, metadata
from web.loyalty.installation import mark_installed, mark_uninstalled
from web.loyalty.wallet_pass import wallet_pass
from web.wallet.google.callback_keys import RootKeys
from web.wallet.google.callback_proof import Callback, believed
from web.wallet.google.objects import pass_id_of

# Who is late is told apart for so long after a message is over; from then on it would be refused as over anyway.
KEPT_AFTER = timedelta(days=1)

Outcome = Literal["saved", "removed", "known", "late", "unknown"]

google_callback = Table(
    "google_callback",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("nonce", String(200), primary_key=True),
    Column("pass_id", Id, nullable=False),
    Column("event_type", String(4), nullable=False),
    # When the message is over, in Unix milliseconds as Google gives it: what orders the messages of a card.
    Column("exp_millis", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
    Column("purge_at", Moment, nullable=False),
)
Index("ix_google_callback_pass", google_callback.c.program_id, google_callback.c.pass_id)
Index("ix_google_callback_purge", google_callback.c.purge_at)


@dataclass(frozen=True)
class GoogleCallbacks:
    """Takes callbacks for one issuer."""

    database: Database
    keys: RootKeys
    issuer_id: str

    async def take(self, body: bytes) -> Outcome:
        """Believe it and write it down; returns what became of it.

        Raises: MalformedError and UnbelievableError, with nothing written; KeysUnavailableError.
        """
        message = believed(body, await self.keys.now(), self.issuer_id)
        pass_id = pass_id_of(self.issuer_id, message.object_id)
        if pass_id is None or not is_id(pass_id):
            return "unknown"
        return await self.database.write(take_callback, pass_id, message)


def take_callback(conn: Connection, pass_id: str, message: Callback) -> Outcome:
    """Write down a message that was believed."""
    # Locked, so that of two messages for one card the second sees the first.
    held = conn.execute(
        select(wallet_pass.c.program_id, wallet_pass.c.status)
        .where(wallet_pass.c.id == pass_id, wallet_pass.c.platform == "google")
        .with_for_update()
    ).one_or_none()
    if held is None:
        return "unknown"
    newest = conn.scalar(
        select(func.max(google_callback.c.exp_millis)).where(
            google_callback.c.program_id == held.program_id, google_callback.c.pass_id == pass_id
        )
    )
    is_new = conn.execute(
        insert_or_skip(conn, google_callback).values(
            program_id=held.program_id,
            nonce=message.nonce,
            pass_id=pass_id,
            event_type=message.event_type,
            exp_millis=message.exp_time_millis,
            purge_at=datetime.fromtimestamp(message.exp_time_millis / 1000, UTC) + KEPT_AFTER,
        )
    ).rowcount
    if not is_new:
        return "known"
    if newest is not None and newest > message.exp_time_millis:
        return "late"
    if message.event_type == "save":
        return "saved" if mark_installed(conn, held.program_id, pass_id) else "known"
    if held.status == "created":  # nobody removes what they never had: the "save" is late, or lost
        mark_installed(conn, held.program_id, pass_id)
    return "removed" if mark_uninstalled(conn, held.program_id, pass_id, reason="removed") else "known"


def purge_callbacks(conn: Connection) -> int:
    """Forget the messages that are over; returns how many."""
    return conn.execute(
        delete(google_callback).where(google_callback.c.purge_at <= datetime.now(UTC))
    ).rowcount
