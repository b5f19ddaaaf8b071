"""Messages on the card: those that wait get their turn, Google is told of each, and what happened tells itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import Literal, Protocol

from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, TryLater, Wait
from web.foundation.languages import N_
from web.foundation.rendering import Renderer
from web.foundation.schema import utc_now
from web.loyalty.card_message import GOOGLE_MESSAGE, LONGEST, TIME_TO_LIVE, decide_at_google
from web.loyalty.customer import find_contact
from web.loyalty.event import REFERRAL_COMPLETED, REWARD_AVAILABLE, Event
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.loyalty.push_message import PUSH, Kind, find_message, push, release, was_told, why_not
from web.messages.deliveries import Handler

REWARD_READY = N_("%(reward)s is ready for you.")
FRIEND_CAME = N_("You brought a friend: %(points)s for you.")
CAME_BY_FRIEND = N_("Welcome! A friend brought you: %(points)s for you.")
# Who sends what nobody wrote.
ITSELF = "itself"


class Google(Protocol):
    """What adds a message to a card at Google, once for each id; "over budget" is a card that said it quietly."""

    async def tell(
        self, program_id: str, pass_id: str, *, message_id: str, header: str, body: str
    ) -> Literal["notified", "over budget", "added"]: ...


@dataclass(frozen=True)
class CardMessages:
    """Makes the deliveries of messages, and writes those that follow from events."""

    database: Database
    programs: Programs
    renderer: Renderer
    base_url: str
    google: Google

    def handlers(self) -> dict[str, Handler]:
        return {PUSH: self.release, GOOGLE_MESSAGE: self.tell_google}

    async def release(self, delivery: Delivery) -> None:
        """A message's turn has come. Raises: Drop, Wait in quiet hours, TryLater."""
        program = self._program(delivery)
        taken = await self.database.write(_release, program, delivery.payload["message_id"])
        if taken is not None:
            raise Wait("the quiet hours are not over", taken)

    async def tell_google(self, delivery: Delivery) -> None:
        """Add a message to the card at Google. Raises: Drop, TryLater, GiveUp."""
        program = self._program(delivery)
        message_id, pass_id = delivery.payload["message_id"], delivery.payload["pass_id"]
        row = await self.database.read(find_message, program.id, message_id)
        if row is None:
            raise Drop("the message is gone")
        url = f"{self.base_url}/{program.slug}/m/{row.code}"
        outcome = await self.google.tell(
            program.id,
            pass_id,
            message_id=row.id,
            header=program.settings.name,
            # Google's messages may hold links (guide "Trigger push notifications").
            body=f'<a href="{url}">{escape(row.text, quote=False)}</a>' if row.code else row.text,
        )
        at_google = "notified" if outcome == "notified" else "quiet"
        await self.database.write(decide_at_google, program.id, message_id, pass_id, at_google)

    def follow_up(self, conn: Connection, program: Program, happened: Event) -> None:
        """What an event says on its customer's card, once; nothing where the programme or the customer wants none."""
        made = self._words(program, happened)
        if made is None or happened.customer_id is None or utc_now() - happened.at > TIME_TO_LIVE:
            return
        kind, words = made
        if why_not(conn, program, happened.customer_id, kind) or was_told(conn, program.id, happened.id):
            return
        contact = find_contact(conn, program.id, happened.customer_id)
        if contact is not None:
            offered = program.settings.languages
            language = contact.locale if contact.locale in offered else offered[0]
            push(
                conn,
                program,
                happened.customer_id,
                words(language)[:LONGEST],
                kind=kind,
                actor=ITSELF,
                event_id=happened.id,
            )

    def _words(self, program: Program, happened: Event) -> tuple[Kind, Callable[[str], str]] | None:
        notices, told = program.settings.notices, happened.properties
        if happened.name == REWARD_AVAILABLE and notices.reward and told:
            return "reward", lambda language: self._of_reward(program, told, language)
        if happened.name == REFERRAL_COMPLETED and notices.referral and told.get("points"):
            return "referral", lambda language: self._of_referral(program, told, language)
        return None

    def _of_reward(self, program: Program, told: dict[str, object], language: str) -> str:
        settings = program.settings
        reward = next((each for each in program.rewards if each.id == told["rewardId"]), None)
        title = settings.say(reward.title, language) if reward else str(told["rewardTitle"])
        own = settings.texts_in(language).reward_ready
        return own.replace("{reward}", title) or self.renderer.text(language, REWARD_READY, reward=title)

    def _of_referral(self, program: Program, told: dict[str, object], language: str) -> str:
        settings, renderer = program.settings, self.renderer
        texts = settings.texts_in(language)
        is_friend = told["role"] == "friend"
        number = renderer.catalogues.find(language).formats.decimal(int(str(told["points"])), settings.scale)
        points = f"{number} {texts.points_name or renderer.text(language, 'Points')}"
        own = texts.came_by_friend if is_friend else texts.friend_came
        source = CAME_BY_FRIEND if is_friend else FRIEND_CAME
        return own.replace("{points}", points) or renderer.text(language, source, points=points)

    def _program(self, delivery: Delivery) -> Program:
        program = self.programs.by_id(delivery.program_id)
        if program is None:
            raise TryLater("the programme is not loaded yet")
        return program


def _release(conn: Connection, program: Program, message_id: str) -> timedelta | None:
    """Release a message, or say how long it has to wait."""
    taken = release(conn, program, message_id)
    if taken is None:
        raise Drop("the message is gone")
    return taken.held_until - utc_now() if taken.held_until else None
