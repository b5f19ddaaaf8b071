"""Asking for the card: by somebody at the public page, or by registering once more with a known address.

The answer tells nothing (ruling 5); what follows is an event, and a message or the merchant's own tool that
sends the link to the owner (ruling 11).
"""

from typing import Any, Literal

import msgspec
from sqlalchemy.engine import Connection

from web.foundation.address import Email, Phone
from web.foundation.delivery import enqueue
from web.foundation.schema import utc_now
from web.foundation.sealing import digest, random_code
from web.foundation.tokens import for_url
from web.loyalty.customer import find_by_address, find_contact
from web.loyalty.event import WALLET_PASS_REQUESTED, record
from web.loyalty.link import LIFETIMES, make_link, may_send_link
from web.loyalty.program import Program

Cause = Literal["asked", "registered_again", "dead_link"]
CARD_REQUEST = "card_request"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came from, in words for the mail: browser and device families, never an address."""

    browser: str = ""
    device: str = ""


def ask_for_card(
    conn: Connection, program_id: str, email: Email | None, phone: Phone | None, asked: Asked
) -> None:
    """Write down that somebody asked with this address. Known or not, this is all that happens now."""
    address = email.key if email else phone.e164 if phone else ""
    enqueue(
        conn,
        program_id,
        CARD_REQUEST,
        # Hashed, for lanes outlive what is delivered in them, and most addresses here may belong to nobody we know.
        f"card_request:{digest(address)}",
        {
            "email": msgspec.to_builtins(email),
            "phone": msgspec.to_builtins(phone),
            "asked": msgspec.to_builtins(asked),
        },
    )


def answer_request(conn: Connection, program: Program, payload: dict[str, Any], base_url: str) -> None:
    """What follows a request once nobody waits: the event, if the address has a card."""
    email = msgspec.convert(payload["email"], Email | None)
    phone = msgspec.convert(payload["phone"], Phone | None)
    known = find_by_address(conn, program.id, email, phone)
    if known is not None:
        request_pass(conn, program, known, "asked", msgspec.convert(payload["asked"], Asked), base_url)


def request_pass(
    conn: Connection, program: Program, customer_id: str, cause: Cause, asked: Asked, base_url: str
) -> None:
    """Record `Wallet pass requested`. With the programme's own message off, the event carries the link."""
    contact = find_contact(conn, program.id, customer_id)
    if contact is None:
        return
    properties: dict[str, Any] = {
        "channel": "email" if contact.email else "phone",
        "cause": cause,
        **msgspec.to_builtins(asked),
    }
    address = contact.email or contact.phone or ""
    if program.settings.flows.download_message:
        properties["delivery"] = "email" if contact.email else "sms"
    elif may_send_link(conn, program.id, address):
        expires_at = utc_now() + LIFETIMES["download"]
        token = make_link(
            conn,
            program,
            customer_id,
            "download",
            jti=random_code(),
            created_by="message",
            sent_to=address,
        )
        properties |= {
            "delivery": "merchant",
            "downloadUrl": f"{base_url}/{program.slug}/download?token={for_url(token)}",
            "expiresAt": msgspec.to_builtins(expires_at),
        }
    else:
        return
    record(conn, program.id, WALLET_PASS_REQUESTED, customer_id, properties)
