"""A mail on the wire: seven bits, one recipient, the same identity on every try."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.messages.envelope import Message, one_line
from web.messages.mime import wire_mail

HEADERS = [
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted",
    "MIME-Version", "Content-Type", "Content-Language",
]  # fmt: skip


def mail(**changed: Any) -> Message:
    fields: dict[str, Any] = {
        "id": "0193-a",
        "channel": "mail",
        "to": "ana@example.com",
        "locale": "es",
        "subject": "Tu tarjeta",
        "text": "Hola, Ñandú\n",
        "html": "<p>Hola, Ñandú</p>\n",
        "from_name": "Brew Bar",
        "from_address": "card@brewbar.example",
        "reply_to": "hello@brewbar.example",
        "headers": {"Auto-Submitted": "auto-generated"},
    }
    return Message(**fields | changed)


def read(content: bytes) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(content, policy=default))


def decoded(content: bytes, header: str) -> str:
    """The header as RFC 2047 reads it."""
    raw = message_from_bytes(content)[header].replace("\r\n", "")
    return str(make_header(decode_header(raw)))


lines = st.text(st.characters(codec="utf-8"), max_size=150).map(one_line)


@given(name=lines, subject=lines)
def test_no_name_or_subject_adds_a_header_or_an_address(name: str, subject: str) -> None:
    content = wire_mail(mail(from_name=name, subject=subject)).content
    parsed = message_from_bytes(content)
    assert content.isascii()
    assert parsed.keys() == HEADERS
    phrase, address = parseaddr(parsed["From"].replace("\r\n", ""))
    assert address == "card@brewbar.example"
    assert str(make_header(decode_header(phrase))) == name
    assert decoded(content, "Subject") == subject
    assert max(len(line) for line in content.split(b"\r\n\r\n")[0].split(b"\r\n")) <= 120


@pytest.mark.parametrize(
    "name",
    [
        'Bar "Café", <eve@example.com>',
        "eve@example.com, Ana",
        "=?utf-8?q?=0D=0ABcc:_eve=40example.com?=",
        "Brew Bar (the one); really: " * 6,
    ],
)
def test_a_tricky_name_stays_a_name(name: str) -> None:
    content = wire_mail(mail(from_name=one_line(name))).content
    phrase, address = parseaddr(message_from_bytes(content)["From"].replace("\r\n", ""))
    assert (str(make_header(decode_header(phrase))), address) == (one_line(name), "card@brewbar.example")


def test_a_repeat_has_the_same_identity() -> None:
    first, second = (read(wire_mail(mail()).content) for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"] == "<0193-a@brewbar.example>"


def test_the_date_is_the_moment_of_sending() -> None:
    at = datetime(2026, 11, 21, 9, 41, tzinfo=UTC)
    assert parsedate_to_datetime(read(wire_mail(mail(), at).content)["Date"]) == at


def test_text_and_html_are_alternatives_in_utf_8() -> None:
    parsed = read(wire_mail(mail()).content)
    assert parsed.get_content_type() == "multipart/alternative"
    plain, html = parsed.iter_parts()
    assert plain.get_content() == "Hola, Ñandú\r\n"
    assert (html.get_content_type(), html.get_content()) == ("text/html", "<p>Hola, Ñandú</p>\r\n")
    assert parsed["Content-Language"] == "es"


def test_a_very_long_address_in_the_text_arrives_whole() -> None:
    url = "https://card.example/brewbar/download?token=" + "x" * 2000
    content = wire_mail(mail(text=url + "\n", html=None)).content
    assert read(content).get_content() == url + "\r\n"
    assert max(map(len, content.split(b"\r\n"))) < 998


def test_a_domain_beyond_ascii_goes_out_in_its_ascii_form() -> None:
    wire = wire_mail(mail(to="ana@münchen.example"))
    assert (wire.recipient, wire.international) == ("ana@xn--mnchen-3ya.example", False)


def test_a_local_part_beyond_ascii_asks_for_smtputf8_and_stays_byte_for_byte() -> None:
    wire = wire_mail(mail(to="añá@example.com"))
    assert (wire.recipient, wire.international) == ("añá@example.com", True)
    assert "To: <añá@example.com>".encode() in wire.content


def test_the_local_part_keeps_its_case() -> None:
    assert wire_mail(mail(to="Ana.Lopez@Example.com")).recipient == "Ana.Lopez@example.com"


@pytest.mark.parametrize("domain", ["localhost", "shop.internal", "pasito.localhost", "mail.test"])
def test_an_installation_sends_from_names_that_only_its_network_knows(domain: str) -> None:
    assert wire_mail(mail(from_address=f"cards@{domain}")).sender == f"cards@{domain}"


@pytest.mark.parametrize("field", ["to", "from_address", "reply_to"])
@pytest.mark.parametrize(
    "address",
    [
        "ana",
        "ana@",
        "@example.com",
        "ana@example.com, eve@example.com",
        "a b@example.com",
        "<a@b.c>",
        "ana@-x.com",
        "ana@ex ample.com",
        "ana@a..b",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(field: str, address: str) -> None:
    with pytest.raises(ValueError, match="not one that mail can go to") as refusal:
        wire_mail(mail(**{field: address}))
    assert address not in str(refusal.value)
