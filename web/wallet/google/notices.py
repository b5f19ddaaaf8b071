"""Messages on a card at Google, and the three a day of them that may light up a phone.

Google refuses a fourth notification for one pass within 24 hours (guide "Trigger push notifications"), so the budget
is kept here: a message beyond it is added to the card all the same, quietly.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Boolean, Column, Index, String, Table, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Drop
from web.foundation.schema import Id, Moment, metadata, utc_now
from web.loyalty.held_card import find_held_card
from web.loyalty.wallet_pass import wallet_pass
from web.wallet.google.client import (
    GoogleClient,
    GoogleError,
    Message,
    ObjectResource,
    QuotaExceededError,
)
from web.wallet.google.deliveries import GoogleCards, ending
from web.wallet.google.objects import Json
from web.wallet.google.telling import quiet

BUDGET = 3
BUDGET_SPAN = timedelta(hours=24)
# Longer than a delivery is tried again: a repetition has to find what the first try did.
KEPT = timedelta(days=3)
# Google keeps ten messages on a card; when they are full the newest stay.
MOST_MESSAGES, MESSAGES_LEFT = 10, 5

Outcome = Literal["notified", "over budget", "added"]

google_notice = Table(
    "google_notice",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("pass_id", Id, primary_key=True),
    Column("message_id", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("notifies", Boolean, nullable=False),
)
Index("ix_google_notice_at", google_notice.c.at)


class Turn(NamedTuple):
    """Whether a message may light up the phone, and whether it was tried before."""

    notifies: bool
    again: bool


@dataclass(frozen=True)
class GoogleMessages:
    """Puts messages on the cards that Google holds."""

    database: Database
    cards: GoogleCards

    async def tell(
        self, program_id: str, pass_id: str, *, message_id: str, header: str, body: str, notify: bool = True
    ) -> Outcome:
        """Add a message to a card: once, however often it is called with one `message_id` (64 characters at most).

        "notified": Google lights up the phones that hold the card. "over budget": three messages did within the
        last 24 hours, so this one stands on the card without. "added": it was not asked to notify.

        Raises what a delivery's end is called: Drop for a void or unknown card and where Google knows nothing of
        us, Wait where Google asks for quiet, TryLater, GiveUp.
        """
        client, shown = self.cards.client, await find_held_card(self.database, pass_id)
        if client is None or self.cards.wallet is None:
            raise Drop("Google knows nothing of this installation")
        if shown is None or shown.held.platform != "google" or shown.held.voided_at is not None:
            raise Drop("there is no such card at Google")
        if shown.held.stored_at is None:
            await self.cards.keep(program_id, pass_id)
        resource, object_id = self.cards.wallet.name_of(shown.held.kind, pass_id)
        turn = await self.database.write(take_turn, program_id, pass_id, message_id, notify, utc_now())
        message = Message(message_id, header, body)
        try:
            if not (turn.again and await _is_there(client, resource, object_id, message_id)):
                notified = await _add(client, resource, object_id, message, turn.notifies)
                if turn.notifies and not notified:
                    await self.database.write(give_back, program_id, pass_id, message_id)
                    return "over budget"
        except GoogleError as error:
            raise ending(error) from error
        return "notified" if turn.notifies else "over budget" if notify else "added"


def take_turn(
    conn: Connection, program_id: str, pass_id: str, message_id: str, notify: bool, now: datetime
) -> Turn:
    """Decide once whether a message notifies, and count it against the budget before it leaves."""
    # Locked, so that of two messages for the last turn only one gets it.
    conn.execute(
        select(wallet_pass.c.id)
        .where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == pass_id)
        .with_for_update()
    )
    ours = (google_notice.c.program_id == program_id, google_notice.c.pass_id == pass_id)
    decided = conn.scalar(
        select(google_notice.c.notifies).where(*ours, google_notice.c.message_id == message_id)
    )
    if decided is not None:
        return Turn(decided, again=True)
    spent = conn.scalar(
        select(func.count()).where(
            *ours, google_notice.c.notifies.is_(True), google_notice.c.at > now - BUDGET_SPAN
        )
    )
    notifies = notify and (spent or 0) < BUDGET
    conn.execute(
        insert(google_notice).values(
            program_id=program_id, pass_id=pass_id, message_id=message_id, at=now, notifies=notifies
        )
    )
    return Turn(notifies, again=False)


def give_back(conn: Connection, program_id: str, pass_id: str, message_id: str) -> None:
    """Google did not let the message notify: it counts others' messages, too."""
    conn.execute(
        update(google_notice)
        .where(
            google_notice.c.program_id == program_id,
            google_notice.c.pass_id == pass_id,
            google_notice.c.message_id == message_id,
        )
        .values(notifies=False)
    )


def purge_notices(conn: Connection) -> int:
    """Forget what counts for nothing any more; returns how many."""
    return conn.execute(delete(google_notice).where(google_notice.c.at <= utc_now() - KEPT)).rowcount


async def _is_there(client: GoogleClient, resource: ObjectResource, object_id: str, message_id: str) -> bool:
    """Whether an earlier try arrived whose answer did not: Google itself would add the message again."""
    held = await client.get(resource, object_id)
    return any(message.get("id") == message_id for message in held.get("messages", ()))


async def _add(
    client: GoogleClient, resource: ObjectResource, object_id: str, message: Message, notify: bool
) -> bool:
    """Add a message; False where it was to notify and Google did not let it."""
    try:
        held = await client.add_message(resource, object_id, message, "TEXT_AND_NOTIFY" if notify else "TEXT")
    except QuotaExceededError:
        if not notify:
            raise
        held = await client.add_message(resource, object_id, message)
        notify = False
    await _make_room(client, resource, object_id, held)
    return notify


async def _make_room(client: GoogleClient, resource: ObjectResource, object_id: str, held: Json) -> None:
    messages = held.get("messages", [])
    if len(messages) >= MOST_MESSAGES:
        left = quiet(messages[-MESSAGES_LEFT:])
        await client.patch(resource, {"id": object_id, "messages": left})
