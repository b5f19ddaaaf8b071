"""One message, ready to leave by any sender: who it goes to, who it is from, what it says."""

import re
from typing import Literal

import msgspec

# A delivery's id becomes the left side of the Message-ID and goes into providers' bodies.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
# Embedding, override and isolate marks turn the text after them around (Trojan Source).
_BIDI_CONTROLS = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_ON_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the outside.

    `id` is the delivery's own id and the same on every try. `to` is the stored e-mail address, or
    the phone number in E.164, byte for byte. `sender` is the installation's From address (unused
    for SMS). `locale` is the customer's, such as "es" or "es-MX".
    """

    id: str
    to: str
    locale: str
    sender: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A composed message. Raises ValueError when a one-line field holds a line break or control
    character, so that no text from a customer or merchant can ever become a header of its own.
    """

    id: str
    channel: Literal["mail", "sms"]
    to: str
    locale: str
    text: str
    subject: str = ""
    html: str | None = None
    from_name: str = ""
    from_address: str = ""
    reply_to: str | None = None
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("a message's id may hold letters, digits, dots, dashes and underscores only")
        for name in self.headers:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("a header's name may hold letters, digits and dashes only")
        one_line = (self.to, self.subject, self.from_name, self.from_address, self.reply_to or "")
        if any(_NOT_ON_ONE_LINE.search(value) for value in (*one_line, *self.headers.values())):
            raise ValueError("addresses, names, subject and headers must each fit one line")


def one_line(text: str, longest: int = 200) -> str:
    """`text` without line breaks, control and bidi control characters, spaces folded, cut to `longest`."""
    line = " ".join(_NOT_ON_ONE_LINE.sub(" ", _BIDI_CONTROLS.sub("", text)).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
