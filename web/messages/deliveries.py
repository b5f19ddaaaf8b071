"""Which events lead to which messages, and how each message is made when its turn comes.

A message is composed at the moment of sending, from what the database says then; its delivery row holds ids only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery, Drop, GiveUp, TryLater, enqueue
from web.foundation.rendering import Renderer
from web.foundation.sealing import Sealer
from web.foundation.short_code import grouped
from web.foundation.theme import on_brand
from web.foundation.tokens import for_url
from web.loyalty import card_request
from web.loyalty.address_change import pending_change
from web.loyalty.customer import Contact, find_contact, message_lane
from web.loyalty.customer_link import NoPass, make_session_link
from web.loyalty.event import (
    ADDRESS_CHANGE_REQUESTED,
    CUSTOMER_CREATED,
    VERIFICATION_REQUESTED,
    WALLET_PASS_REQUESTED,
    Event,
)
from web.loyalty.link import Purpose, delete_links, find_link, make_link, may_send_link
from web.loyalty.personal_data import FORGET
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.messages import sending, texts
from web.messages.envelope import Envelope, Message
from web.messages.mailbox_store import forget_messages
from web.messages.notice import WEBHOOK_PAUSED

CONFIRMATION, CARD_LINK, ADDRESS_CHANGE = "confirmation", "card_link", "address_change"

Handler = Callable[[Delivery], Awaitable[None]]


def follow_up(conn: Connection, program: Program, happened: Event) -> None:
    """Write down the messages that an event leads to. A flow that is off leads to none."""
    flows = program.settings.flows
    if happened.customer_id is None:
        return
    payload: dict[str, Any] = {"customer_id": happened.customer_id}
    lane = message_lane(happened.customer_id)
    # Whom another system told us of has asked for nothing, and is written to by nobody.
    is_registered = happened.name == CUSTOMER_CREATED and happened.properties.get("origin") != "api"
    if (is_registered or happened.name == VERIFICATION_REQUESTED) and flows.confirmation_message:
        enqueue(conn, program.id, CONFIRMATION, lane, payload, happened.id)
    if happened.name == ADDRESS_CHANGE_REQUESTED:
        for side in ("old", "new"):
            asking = {**payload, "change": happened.properties["changeId"], "side": side}
            # The two have nothing to do with each other: a full inbox on one side holds up nobody.
            enqueue(conn, program.id, ADDRESS_CHANGE, f"{lane}:{side}", asking, happened.id)
    if happened.name == WALLET_PASS_REQUESTED and happened.properties.get("delivery") in ("email", "sms"):
        asked = {name: happened.properties[name] for name in ("browser", "device")}
        payload |= {"cause": happened.properties["cause"], "asked": asked}
        enqueue(conn, program.id, CARD_LINK, lane, payload, happened.id)


@dataclass(frozen=True)
class Messenger:
    """Makes and sends the messages. `mail` and `sms` are the senders of the two channels.

    `operator` is the address of who runs this, or empty.
    """

    database: Database
    programs: Programs
    renderer: Renderer
    sealer: Sealer
    mail: sending.Sender
    sms: sending.Sender
    base_url: str
    mail_from: str
    reply_to: str
    operator: str

    def handlers(self) -> dict[str, Handler]:
        return {
            CONFIRMATION: self.send_confirmation,
            CARD_LINK: self.send_card_link,
            ADDRESS_CHANGE: self.ask_about_address,
            FORGET: self.forget,
            WEBHOOK_PAUSED: self.tell_of_paused_webhook,
            card_request.CARD_REQUEST: self.answer_card_request,
        }

    async def answer_card_request(self, delivery: Delivery) -> None:
        """Look the address up, now that nobody waits for the answer."""
        await self.database.write(
            card_request.answer_request, self._program(delivery), delivery.payload, self.base_url
        )

    async def forget(self, delivery: Delivery) -> None:
        """Sweep up after a message that was on its way while its receiver was erased; the lane made it wait for it."""
        await self.database.write(_sweep, delivery.program_id, **delivery.payload)

    async def send_confirmation(self, delivery: Delivery) -> None:
        program, contact = await self._addressee(delivery)
        if (contact.email_verified_at if contact.email else contact.phone_verified_at) is not None:
            raise Drop("the address is confirmed already")
        address = contact.email or contact.phone or ""
        code, token = await self._link(delivery, program, contact, "verify", address)
        envelope, brand = self._envelope(delivery, program, contact), self._brand(program, contact.locale)
        if contact.email:
            message = texts.confirmation(
                envelope,
                brand,
                self.renderer,
                customer_name=contact.name or "",
                verify_url=f"{self._base(program)}/verify?token={for_url(token)}",
                card_number=grouped(contact.card_number),
            )
        else:
            message = texts.confirmation_sms(
                envelope, brand, self.renderer, verify_url=f"{self._base(program)}/v/{code}"
            )
        await self._send(message)

    async def send_card_link(self, delivery: Delivery) -> None:
        program, contact = await self._addressee(delivery)
        code, token = await self._link(
            delivery, program, contact, "download", contact.email or contact.phone or ""
        )
        envelope, brand = self._envelope(delivery, program, contact), self._brand(program, contact.locale)
        again = delivery.payload["cause"] == "registered_again"
        download = f"{self._base(program)}/download?token={for_url(token)}&{UTM}"
        short = f"{self._base(program)}/l/{code}"
        asked = _asked(delivery, program)
        match contact.email is not None, again:
            case True, True:
                message = texts.someone_tried(
                    envelope, brand, self.renderer, download_url=download, asked=asked
                )
            case True, False:
                message = texts.card_link(
                    envelope,
                    brand,
                    self.renderer,
                    download_url=download,
                    asked=asked,
                    session_url=await self._session_url(delivery, program, contact),
                )
            case False, True:
                message = texts.someone_tried_sms(envelope, brand, self.renderer, download_url=short)
            case _:
                message = texts.card_link_sms(envelope, brand, self.renderer, download_url=short)
        await self._send(message)

    async def ask_about_address(self, delivery: Delivery) -> None:
        """Ask one side of a change of address, at its own address."""
        program, contact = await self._addressee(delivery)
        change = await self.database.read(pending_change, program.id, contact.id)
        if change is None or change.id != delivery.payload["change"]:
            raise Drop("the change is no longer asked for")
        side = delivery.payload["side"]
        to = change.value if side == "new" else contact.email or contact.phone or ""
        code, token = await self._link(
            delivery, program, contact, "change", to, extra={"side": side, "change": change.id}
        )
        envelope = msgspec.structs.replace(self._envelope(delivery, program, contact), to=to)
        brand = self._brand(program, contact.locale)
        if "@" in to:
            message = texts.address_change(
                envelope,
                brand,
                self.renderer,
                agree_url=f"{self._base(program)}/change?token={for_url(token)}",
                side=side,
            )
        else:
            message = texts.address_change_sms(
                envelope, brand, self.renderer, agree_url=f"{self._base(program)}/c/{code}"
            )
        await self._send(message)

    async def tell_of_paused_webhook(self, delivery: Delivery) -> None:
        """Tell those behind the programme, in its first language."""
        program, told = self._program(delivery), delivery.payload
        to = program.settings.contact or self.operator
        if not to:
            raise Drop("nobody is named who could be told")
        locale = program.settings.default_language
        message = texts.webhook_paused(
            Envelope(id=delivery.id, to=to, locale=locale, sender=self.mail_from),
            self._brand(program, locale),
            self.renderer,
            help_url=f"{self.base_url}/schema#changeWebhook",
            slug=program.slug,
            webhook=told["endpoint"],
            host=told["host"],
            reason=told["reason"],
            at=delivery.created_at,
            time_zone=program.settings.timezone,
        )
        await self._send(message)

    async def _session_url(self, delivery: Delivery, program: Program, contact: Contact) -> str | None:
        """A session link for somebody who has a card in a wallet; nobody else has pages to see (ruling 3)."""
        code = self.sealer.code(delivery.id, "session")
        token = await self.database.write(_make_session_link, program, contact.id, code)
        return f"{self._base(program)}/{for_url(token)}" if token else None

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
        to: str,
        extra: dict[str, Any] | None = None,
    ) -> tuple[str, str]:
        """The code and the token of the link that this delivery sends: the same at each of its tries."""
        code = self.sealer.code(delivery.id, "link")
        token = await self.database.write(_make_link, program, contact.id, purpose, code, to, extra)
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

    def _brand(self, program: Program, locale: str) -> texts.MailBrand:
        settings = program.settings
        logo = program.images.get("logo")
        https = self.base_url.startswith("https://")
        return texts.MailBrand(
            name=settings.sender.name or settings.name,
            home_url=self._base(program),
            brand_colour=settings.brand.colour,
            on_brand=on_brand(settings.brand.colour),
            points_name=settings.texts_in(locale).points_name,
            logo_url=f"{self._base(program)}/logo.png?v={logo[:12]}" if logo and https else None,
            reply_to=settings.sender.reply_to or self.reply_to or None,
            postal_address=settings.sender.postal_address or None,
        )

    def _base(self, program: Program) -> str:
        return f"{self.base_url}/{program.slug}"


# Where downloads come from is worth knowing even when it was our own mail.
UTM = "utm_source=pasito&utm_medium=email&utm_campaign=card_link"


def _asked(delivery: Delivery, program: Program) -> texts.Asked:
    asked = delivery.payload["asked"]
    return texts.Asked(
        at=delivery.created_at,
        time_zone=program.settings.timezone,
        browser=asked["browser"] or None,
        device=asked["device"] or None,
    )


def _make_link(
    conn: Connection,
    program: Program,
    customer_id: str,
    purpose: Purpose,
    code: str,
    address: str,
    extra: dict[str, Any] | None,
) -> str:
    """Make the link unless its address was sent enough of them lately (security.md 14).

    One that is there already is this delivery's own, from an earlier try, and was counted then.

    Raises: Drop.
    """
    is_new = find_link(conn, program.id, code, purpose) is None
    if is_new and not may_send_link(conn, program.id, address):
        raise Drop("this address was sent enough links for now")
    return make_link(
        conn,
        program,
        customer_id,
        purpose,
        jti=code,
        created_by="message",
        sent_to=address,
        utm=extra,
    )


def _sweep(conn: Connection, program_id: str, customer_id: str, addresses: list[str]) -> None:
    delete_links(conn, program_id, customer_id)
    forget_messages(conn, addresses)


def _make_session_link(conn: Connection, program: Program, customer_id: str, code: str) -> str | None:
    try:
        return make_session_link(conn, program, customer_id, created_by="message", code=code)
    except NoPass:
        return None
