import re
from datetime import datetime

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.designs import card, design
from web.wallet.card import LABELS, Link, Location, own_labels, rgb
from web.wallet.text import format_amount, plain, spaced

LOCALES = ("en", "es", "ar", "de_CH", "fr", "hi", "pt_BR", "sv", "pl", "en_IN")


@given(st.integers(-(10**15), 10**15), st.sampled_from(LOCALES))
def test_whole_numbers_are_written_as_babel_writes_them(minor: int, locale: str) -> None:
    assert format_amount(minor, 0, locale) == format_decimal(minor, locale=locale)


@given(st.integers(0, 10**15), st.sampled_from(LOCALES))
def test_minor_units_keep_both_decimals(minor: int, locale: str) -> None:
    written = format_amount(minor, 2, locale)
    assert int(re.sub(r"\D", "", written)) == minor
    assert re.search(r"\D\d\d$", written)


def test_amounts_follow_the_holders_language() -> None:
    assert card(balance=125050, scale=2, locale="es").amount(125050) == "1.250,50"
    assert card(balance=125050, scale=2, locale="en").amount(125050) == "1,250.50"
    assert format_amount(1234567, 0, "hi") == "12,34,567"
    assert format_amount(-5, 2, "en") == "-0.05"
    assert card(scale=2, currency="EUR", locale="en").amount(125050) == "1,250.50 EUR"


@given(st.text(), st.integers(2, 200))
def test_a_plain_text_is_short_encodable_and_cannot_turn_its_surroundings(text: str, limit: int) -> None:
    safe = plain(text, limit)
    assert len(safe) <= limit
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", safe)
    safe.encode()
    assert plain(safe, limit) == safe


@pytest.mark.parametrize("text", ["Zoë Núñez", "محمد", "李小龍", "👩‍👩‍👧‍👦", "می‌خواهم", "O'Brien & Söhne"])
def test_names_of_the_world_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


def test_an_override_cannot_write_a_name_backwards() -> None:
    assert plain("Anna\u202egnp.exe\nnext") == "Anna gnp.exe next"


def test_a_cut_text_says_so() -> None:
    assert plain("Cappuccino grande", 11) == "Cappuccino…"


def test_numbers_are_spaced_for_reading_aloud() -> None:
    assert spaced("1234567890") == "1234 5678 90"


def test_a_missing_translation_falls_back_and_never_shows_a_key() -> None:
    sparse = design(locales=("es", "fr"), labels={"points": {"es": "Granos"}}, name={"es": "Club"})
    assert sparse.label_text("points", "fr") == "Granos"
    assert sparse.label_text("tier", "fr") == "Tier"
    assert sparse.text(sparse.name, "fr") == "Club"


def test_a_merchants_own_word_for_points_wins_over_the_catalogue() -> None:
    labels = own_labels(("en", "es"), lambda locale, source: source.upper(), {"points": {"es": "Granos"}})
    assert labels["points"] == {"en": "POINTS", "es": "Granos"}
    assert labels.keys() == LABELS.keys()


def test_the_back_links_lead_to_the_session_pages() -> None:
    urls = {link.url for link in design().page_links()}
    assert "https://club.example/brewbar/loyalty/earning-flows" in urls
    assert len(urls) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"scale": 4},
        {"expires": datetime(2031, 1, 1)},  # noqa: DTZ001
        {"locations": (Location(latitude=0, longitude=0, text=""),) * 11},
        {"links": (Link(label="rewards", url="https://a.example"),) * 2},
    ],
)
def test_a_card_that_a_wallet_would_refuse_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"token|scale|zone|locations|links"):
        card(**wrong)


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "#1234567", "rgb(1, 2, 3)", "#123456\n"])
def test_a_colour_is_six_hexadecimal_digits(colour: str) -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        design(background=colour)


@pytest.mark.parametrize("texts", [{}, {"en": "Club"}, {"es": " ", "en": "Club"}])
def test_a_design_is_named_in_its_default_language(texts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="default locale"):
        design(name=texts)
    with pytest.raises(ValueError, match="default locale"):
        design(description=texts)


def test_a_colour_has_three_parts() -> None:
    assert rgb("#0a80FF") == (10, 128, 255)
