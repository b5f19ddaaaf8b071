"""A mail message as the bytes that go over the wire."""

import re
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, quote

import msgspec
from email_validator import EmailNotValidError, validate_email

from web.messages.envelope import Message

# Seven bits pass every relay unchanged, also those without 8BITMIME, and keep DKIM signatures whole.
# Headers are encoded here and not refolded: the library's own refolding of structured headers puts
# blanks between encoded words and loses quotes in long names (seen with Python 3.11).
_SEVEN_BIT = SMTP.clone(cte_type="7bit", refold_source="none")
_INTERNATIONAL = SMTPUTF8.clone(cte_type="7bit", refold_source="none")

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


class WireMail(msgspec.Struct, frozen=True):
    """The mail's bytes and the two addresses for the SMTP dialogue.

    `international` is true when an address's local part is not ASCII; the server must then speak
    SMTPUTF8 (RFC 6531). Other addresses have their domain in IDNA form.
    """

    sender: str
    recipient: str
    international: bool
    content: bytes


def wire_mail(message: Message, at: datetime | None = None) -> WireMail:
    """The MIME form of `message`, dated `at` (now by default).

    The Message-ID is made of the message's id and the sender's domain alone, so that a mail sent
    twice after a lost answer is the same mail to its receiver. Raises ValueError when an address
    is not one that mail can go to.
    """
    sender, recipient = _wire_address(message.from_address), _wire_address(message.to)
    reply_to = _wire_address(message.reply_to) if message.reply_to else None
    international = not all(a.isascii() for a in (sender, recipient, reply_to or ""))

    mime = EmailMessage(policy=_INTERNATIONAL if international else _SEVEN_BIT)
    headers = {
        "From": _mailbox(message.from_name, sender),
        "To": _mailbox("", recipient),
        **({"Reply-To": _mailbox("", reply_to)} if reply_to else {}),
        "Subject": _encoded(message.subject),
        "Date": format_datetime(at or datetime.now(UTC)),
        "Message-ID": f"<{message.id}@{sender.rpartition('@')[2]}>",
        **{name: _encoded(value) for name, value in message.headers.items()},
    }
    for name, value in headers.items():
        mime.set_raw(name, value)
    mime.set_content(message.text)
    if message.html is not None:
        mime.add_alternative(message.html, subtype="html")
    mime["Content-Language"] = message.locale.replace("_", "-")
    return WireMail(sender, recipient, international, mime.as_bytes())


def _wire_address(address: str) -> str:
    """`address` with its domain in ASCII; the local part stays as it is, byte for byte."""
    local, _, domain = address.rpartition("@")
    # The validator knows public names only; an installation may well send from `cards@shop.internal`.
    is_host = _HOST.fullmatch(domain) is not None
    try:
        valid = validate_email(
            f"{local}@example.com" if is_host else address,
            check_deliverability=False,
            allow_quoted_local=True,
        )
    except EmailNotValidError:
        # The validator's own words quote the address, which must not reach a log.
        raise ValueError("an address is not one that mail can go to") from None
    return f"{local}@{domain.lower() if is_host else valid.ascii_domain}"


def _mailbox(name: str, address: str) -> str:
    if not name:
        return f"<{address}>"
    encoded = _encoded(name)
    phrase = f'"{quote(name)}"' if encoded == name else encoded
    return f"{phrase} <{address}>"


def _encoded(text: str) -> str:
    """`text` for a header: as it is when short and plain, else in encoded words (RFC 2047)."""
    if text.isascii() and len(text) < 60 and "=?" not in text:
        return text
    # The name only reserves room on the first line; none of ours is longer.
    return Header(text, "utf-8", header_name="X-Auto-Response-Suppress").encode()
