"""Which events lead to which messages, and how each message is made when its turn comes.

A message is composed at the moment of sending, from what the database says then; its delivery row holds ids only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, GiveUp, TryLater, enqueue
from web.foundation.rendering import Renderer
from web.foundation.sealing import Sealer
from web.foundation.theme import on_brand
from web.foundation.tokens import for_url
from web.loyalty import card_request
from web.loyalty.customer import Contact, address_hash, find_contact
from web.loyalty.event import CUSTOMER_CREATED, VERIFICATION_REQUESTED, WALLET_PASS_REQUESTED, Event
from web.loyalty.link import Purpose, find_link, make_link, may_send_link
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.messages import sending, texts
from web.messages.envelope import Envelope, Message

CONFIRMATION, CARD_LINK = "confirmation", "card_link"

Handler = Callable[[Delivery], Awaitable[None]]


def follow_up(conn: Connection, program: Program, happened: Event) -> None:
    """Write down the messages that an event leads to. A flow that is off leads to none."""
    flows = program.settings.flows
    if happened.customer_id is None:
        return
    payload: dict[str, Any] = {"customer_id": happened.customer_id}
    lane = f"message:{happened.customer_id}"
    if happened.name in (CUSTOMER_CREATED, VERIFICATION_REQUESTED) and flows.confirmation_message:
        enqueue(conn, program.id, CONFIRMATION, lane, payload, happened.id)
    if happened.name == WALLET_PASS_REQUESTED and happened.properties.get("delivery") == "message":
        payload |= {"cause": happened.properties["cause"], "asked": happened.properties["asked"]}
        enqueue(conn, program.id, CARD_LINK, lane, payload, happened.id)


@dataclass(frozen=True)
class Messenger:
    """Makes and sends the messages. `mail` and `sms` are the senders of the two channels."""

    database: Database
    programs: Programs
    renderer: Renderer
    sealer: Sealer
    mail: sending.Sender
    sms: sending.Sender
    base_url: str
    mail_from: str
    reply_to: str

    def handlers(self) -> dict[str, Handler]:
        return {
            CONFIRMATION: self.send_confirmation,
            CARD_LINK: self.send_card_link,
            card_request.CARD_REQUEST: self.answer_card_request,
        }

    async def answer_card_request(self, delivery: Delivery) -> None:
        """Look the address up, now that nobody waits for the answer."""
        await self.database.write(
            card_request.answer_request, self._program(delivery), delivery.payload, self.base_url
        )

    async def send_confirmation(self, delivery: Delivery) -> None:
        program, contact = await self._addressee(delivery)
        if (contact.email_verified_at if contact.email else contact.phone_verified_at) is not None:
            raise Drop("the address is confirmed already")
        address = contact.email or contact.phone or ""
        code, token = await self._link(delivery, program, contact, "verify", address_hash(address))
        envelope, brand = self._envelope(delivery, program, contact), self._brand(program, contact)
        if contact.email:
            message = texts.confirmation(
                envelope,
                brand,
                self.renderer,
                customer_name=contact.name or "",
                verify_url=f"{self._base(program)}/verify?token={for_url(token)}",
                card_number=contact.card_number,
            )
        else:
            message = texts.confirmation_sms(
                envelope, brand, self.renderer, verify_url=f"{self._base(program)}/v/{code}"
            )
        await self._send(message)

    async def send_card_link(self, delivery: Delivery) -> None:
        program, contact = await self._addressee(delivery)
        code, token = await self._link(delivery, program, contact, "download")
        envelope, brand = self._envelope(delivery, program, contact), self._brand(program, contact)
        again = delivery.payload["cause"] == "registered_again"
        if contact.email:
            asked = delivery.payload["asked"]
            compose = texts.someone_tried if again else texts.card_link
            message = compose(
                envelope,
                brand,
                self.renderer,
                download_url=f"{self._base(program)}/download?token={for_url(token)}&{UTM}",
                asked=texts.Asked(
                    at=delivery.created_at,
                    time_zone=program.settings.timezone,
                    browser=asked["browser"] or None,
                    device=asked["device"] or None,
                ),
            )
        else:
            compose_sms = texts.someone_tried_sms if again else texts.card_link_sms
            message = compose_sms(
                envelope, brand, self.renderer, download_url=f"{self._base(program)}/l/{code}"
            )
        await self._send(message)

    async def _send(self, message: Message) -> None:
        sender = self.mail if message.channel == "mail" else self.sms
        match await sender.send(message):
            case sending.Sent():
                return
            case sending.TryLater(reason, after):
                raise TryLater(reason, timedelta(seconds=after) if after else None)
            case sending.Refused(reason):
                raise GiveUp(reason)

    async def _link(
        self,
        delivery: Delivery,
        program: Program,
        contact: Contact,
        purpose: Purpose,
        hashed: str | None = None,
    ) -> tuple[str, str]:
        """The code and the token of the link that this delivery sends: the same at each of its tries."""
        code = self.sealer.code(delivery.id, "link")
        token = await self.database.write(_make_link, program, contact.id, purpose, code, hashed)
        return code, token

    def _program(self, delivery: Delivery) -> Program:
        program = self.programs.by_id(delivery.program_id)
        if program is None:
            raise TryLater("the programme is not loaded yet")
        return program

    async def _addressee(self, delivery: Delivery) -> tuple[Program, Contact]:
        program = self._program(delivery)
        contact = await self.database.read(find_contact, program.id, delivery.payload["customer_id"])
        if contact is None:
            raise Drop("the customer is gone")
        return program, contact

    def _envelope(self, delivery: Delivery, program: Program, contact: Contact) -> Envelope:
        offered = program.settings.languages
        return Envelope(
            id=delivery.id,
            to=contact.email or contact.phone or "",
            locale=contact.locale if contact.locale in offered else offered[0],
            sender=self.mail_from,
        )

    def _brand(self, program: Program, contact: Contact) -> texts.MailBrand:
        settings = program.settings
        logo = program.images.get("logo")
        https = self.base_url.startswith("https://")
        return texts.MailBrand(
            name=settings.sender.name or settings.name,
            home_url=self._base(program),
            brand_colour=settings.brand.colour,
            on_brand=on_brand(settings.brand.colour),
            points_name=settings.texts_in(contact.locale).points_name,
            logo_url=f"{self._base(program)}/logo.png?v={logo[:12]}" if logo and https else None,
            reply_to=settings.sender.reply_to or self.reply_to or None,
            postal_address=settings.sender.postal_address or None,
        )

    def _base(self, program: Program) -> str:
        return f"{self.base_url}/{program.slug}"


# Where downloads come from is worth knowing even when it was our own mail.
UTM = "utm_source=pasito&utm_medium=email&utm_campaign=card_link"


def _make_link(
    conn: Connection,
    program: Program,
    customer_id: str,
    purpose: Purpose,
    code: str,
    hashed: str | None,
) -> str:
    """Make the link unless its owner was sent enough of them lately (security.md 14).

    One that is there already is this delivery's own, from an earlier try, and was counted then.

    Raises: Drop.
    """
    is_new = find_link(conn, program.id, code, purpose) is None
    if is_new and not may_send_link(conn, program.id, customer_id):
        raise Drop("this address was sent enough links for now")
    return make_link(conn, program, customer_id, purpose, jti=code, created_by="message", address_hash=hashed)
