"""A message cannot be made to carry more lines than it has fields."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.messages.envelope import Message, one_line

MESSAGE = {"id": "0193-a", "channel": "mail", "to": "ana@example.com", "locale": "en", "text": "Hello"}


@pytest.mark.parametrize("field", ["to", "subject", "from_name", "from_address", "reply_to"])
@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028"])
def test_a_one_line_field_with_a_line_break_makes_no_message(field: str, break_: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        Message(**MESSAGE | {field: f"Ana{break_}Bcc: eve@example.com"})


@pytest.mark.parametrize(
    "headers", [{"X-A\r\nBcc": "eve@example.com"}, {"X A": "1"}, {"": "1"}, {"X-A:": "1"}]
)
def test_a_header_has_a_plain_name(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header's name"):
        Message(**MESSAGE, headers=headers)


def test_a_header_has_a_one_line_value() -> None:
    with pytest.raises(ValueError, match="one line"):
        Message(**MESSAGE, headers={"X-A": "1\r\nBcc: eve@example.com"})


@pytest.mark.parametrize("id_", ["", "a b", "a@b", "a>\r\n", "-a", "x" * 129])
def test_an_id_fits_a_message_id(id_: str) -> None:
    with pytest.raises(ValueError, match="id may hold"):
        Message(**MESSAGE | {"id": id_})


def test_the_rule_also_holds_for_a_message_read_back_from_storage() -> None:
    stored = msgspec.json.encode(MESSAGE | {"subject": "Hi\nBcc: eve@example.com"})
    with pytest.raises(msgspec.ValidationError, match="one line"):
        msgspec.json.decode(stored, type=Message)


def test_a_message_survives_storage() -> None:
    message = Message(**MESSAGE, subject="Hola, Ñandú", html="<p>é</p>", headers={"Auto-Submitted": "no"})
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


@given(st.text(max_size=300), st.integers(1, 300))
def test_any_text_becomes_one_line_that_a_message_accepts(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest
    assert Message(**MESSAGE, subject=line).subject == line


def test_one_line_drops_marks_that_turn_the_reading_direction() -> None:
    assert one_line("Ana\u202egnp.exe\u2066") == "Anagnp.exe"


def test_one_line_shows_that_it_cut() -> None:
    assert one_line("Panadería Central", 10) == "Panadería…"
