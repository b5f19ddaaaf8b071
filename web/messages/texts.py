"""What is said: each function composes one message out of plain values.

The words stand in `templates/emails/`: `{name}.subject.txt`, `{name}.html`, `{name}.txt` and
`{name}.sms.txt`. Every message here answers what a person has just done, or tells
those behind a programme what they must look after, so none carries List-Unsubscribe: that header
is for mail that one can do without (RFC 8058), and a mail programme that offers to unsubscribe
from one's own links would lock people out.

A message to someone who may not have asked repeats nothing that the asker typed; a stranger could
otherwise make the programme deliver their own words (`card_link`, `someone_tried`). The welcome is
the exception, and there a name that could be read as an advertisement is left out.
"""

import re
from datetime import datetime
from typing import Literal

import msgspec

from web.foundation.rendering import Renderer
from web.messages import gsm
from web.messages.envelope import Envelope, Message, one_line

# RFC 3834, 5 and, for Exchange, [MS-OXCMAIL] 2.2.3.2.14: no holiday replies to these mails.
_NO_AUTOMATIC_ANSWERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# What a phone would turn into a link, or an offer in the place of a name.
_NOT_A_NAME = re.compile(r"[/@<>{}\\]|\w{2,}\.\w{2,}|\d{4,}")
_LONGEST_NAME = 60
# A long name gives way before a message costs a second SMS, but stays recognisable.
_LONGEST_SMS_BRAND = (40, 24, 14)


class MailBrand(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail shows of the programme. Colours are "#rrggbb" (ValueError otherwise).

    The logo is a PNG, JPEG or GIF at an https address and not a part of the mail: inline parts make
    every mail as heavy as the picture, show up as attachments in several programs, and cost more at
    spam filters than a picture that is fetched once through the provider's cache. The name always
    stands beside it in text, so a mail with pictures switched off lacks nothing.
    """

    name: str
    home_url: str
    brand_colour: str
    on_brand: str
    points_name: str
    logo_url: str | None = None
    reply_to: str | None = None
    postal_address: str | None = None

    def __post_init__(self) -> None:
        if not (_COLOUR.fullmatch(self.brand_colour) and _COLOUR.fullmatch(self.on_brand)):
            raise ValueError("a brand's colours are written #rrggbb")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked, as far as can be known: "Safari", "iPhone", "Valencia, Spain", when and in which zone.

    `at` is aware; it is shown in `time_zone`, an IANA name.
    """

    at: datetime
    time_zone: str
    browser: str | None = None
    device: str | None = None
    place: str | None = None


def confirmation(
    envelope: Envelope,
    brand: MailBrand,
    renderer: Renderer,
    *,
    customer_name: str,
    verify_url: str,
    card_number: str | None = None,
) -> Message:
    """The welcome after a registration, with the link that confirms the address."""
    return _mail(
        "confirmation",
        envelope,
        brand,
        renderer,
        url=verify_url,
        customer_name=_greetable(customer_name),
        card_number=card_number,
    )


def card_link(
    envelope: Envelope,
    brand: MailBrand,
    renderer: Renderer,
    *,
    download_url: str,
    asked: Asked,
    minutes: int | None = None,
    session_url: str | None = None,
) -> Message:
    """The answer to "send me my card". The link lives `minutes`; None says that it works once.

    `session_url` opens the customer's own pages, for those who have the card in their wallet already.
    """
    return _mail(
        "card_link",
        envelope,
        brand,
        renderer,
        url=download_url,
        session_url=session_url,
        **_asking(asked, minutes),
    )


def someone_tried(
    envelope: Envelope,
    brand: MailBrand,
    renderer: Renderer,
    *,
    download_url: str,
    asked: Asked,
    minutes: int | None = None,
) -> Message:
    """The answer to a registration with a known address: says so, and gives the link to the card."""
    return _mail("someone_tried", envelope, brand, renderer, url=download_url, **_asking(asked, minutes))


def address_change(
    envelope: Envelope, brand: MailBrand, renderer: Renderer, *, agree_url: str, side: Literal["old", "new"]
) -> Message:
    """Asks one side of a change of address: the one that the card belongs to, or the one that it shall."""
    return _mail("address_change", envelope, brand, renderer, url=agree_url, side=side)


def address_change_sms(
    envelope: Envelope, brand: MailBrand, renderer: Renderer, *, agree_url: str
) -> Message:
    """The same by SMS, alike for both sides."""
    return _sms("address_change", envelope, brand, renderer, agree_url)


def webhook_paused(
    envelope: Envelope,
    brand: MailBrand,
    renderer: Renderer,
    *,
    help_url: str,
    slug: str,
    webhook: str,
    host: str,
    reason: str,
    at: datetime,
    time_zone: str,
) -> Message:
    """Tells those behind a programme that one of its webhooks paused itself. `reason` is technical, in English."""
    return _mail(
        "webhook_paused",
        envelope,
        brand,
        renderer,
        url=help_url,
        command=f"python -m web webhook resume --program {slug} {webhook}",
        host=one_line(host, 80),
        reason=one_line(reason),
        at=at,
        timezone=time_zone,
    )


def confirmation_sms(envelope: Envelope, brand: MailBrand, renderer: Renderer, *, verify_url: str) -> Message:
    """The confirmation by SMS: as long as `card_link_sms`."""
    return _sms("confirmation", envelope, brand, renderer, verify_url)


def card_link_sms(envelope: Envelope, brand: MailBrand, renderer: Renderer, *, download_url: str) -> Message:
    """The card's link by SMS: one part, in English and Spanish, when the link has up to 60 characters."""
    return _sms("card_link", envelope, brand, renderer, download_url)


def someone_tried_sms(
    envelope: Envelope, brand: MailBrand, renderer: Renderer, *, download_url: str
) -> Message:
    """The answer to a registration with a known number: as long as `card_link_sms`."""
    return _sms("someone_tried", envelope, brand, renderer, download_url)


def _mail(name: str, envelope: Envelope, brand: MailBrand, renderer: Renderer, **values: object) -> Message:
    program = one_line(brand.name)
    context = {"brand": brand, "program": program, **values}
    locale = envelope.locale
    return Message(
        id=envelope.id,
        channel="mail",
        to=envelope.to,
        locale=locale,
        subject=one_line(renderer.render(f"emails/{name}.subject.txt", locale, **context)),
        text=renderer.render(f"emails/{name}.txt", locale, **context).strip() + "\n",
        html=renderer.render(f"emails/{name}.html", locale, **context),
        from_name=program,
        from_address=envelope.sender,
        reply_to=brand.reply_to,
        headers=_NO_AUTOMATIC_ANSWERS,
    )


def _sms(name: str, envelope: Envelope, brand: MailBrand, renderer: Renderer, url: str) -> Message:
    for longest in _LONGEST_SMS_BRAND:
        program = one_line(brand.name, longest)
        text = renderer.render(f"emails/{name}.sms.txt", envelope.locale, program=program, url=url)
        text = gsm.plain(text.strip())
        if gsm.parts(text) == 1:
            break
    return Message(id=envelope.id, channel="sms", to=envelope.to, locale=envelope.locale, text=text)


def _asking(asked: Asked, minutes: int | None) -> dict[str, object]:
    cleaned = {name: one_line(getattr(asked, name) or "", 80) for name in ("browser", "device", "place")}
    return {**cleaned, "asked_at": asked.at, "timezone": asked.time_zone, "minutes": minutes}


def _greetable(name: str) -> str:
    """`name` for a greeting, or "" for one that a stranger may have typed to have it delivered."""
    line = one_line(name, 10 * _LONGEST_NAME)
    return "" if len(line) > _LONGEST_NAME or _NOT_A_NAME.search(line) else line
