"""How a phone network counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.messages import gsm


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ñ" * 160, 1),
        ("ú" * 70, 1),
        ("ú" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("", 1),
    ],
)
def test_parts_at_the_borders(text: str, parts: int) -> None:
    assert gsm.parts(text) == parts


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Confirma tu número aquí", "Confirma tu numero aqui"),
        ("Ñandú, ¿qué más?", "Ñandu, ¿qué mas?"),
        ("“Brew” – it’s…", '"Brew" - it\'s...'),
        ("Muñoz & Łukasz", "Muñoz & Łukasz"),
        ("بطاقتك", "بطاقتك"),
    ],
)
def test_plain_drops_only_the_accents_that_sms_lacks(text: str, plain: str) -> None:
    assert gsm.plain(text) == plain


@given(st.text(max_size=400))
def test_plain_changes_a_text_only_for_a_gain(text: str) -> None:
    assert gsm.parts(gsm.plain(text)) <= gsm.parts(text)
