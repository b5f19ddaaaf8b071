"""Short codes: what people misread is forgiven, what they mistype is noticed."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from web.foundation.short_code import (
    ALPHABET,
    CARD_NUMBER_LENGTH,
    SIGN_CODE_LENGTH,
    NotACodeError,
    grouped,
    new_code,
    normalise,
)

LENGTHS = st.integers(2, 31)


def accepted(code: str) -> bool:
    try:
        return normalise(code, len(code)) == code
    except NotACodeError:
        return False


def completed(body: str) -> str:
    """The body with the only check character that fits it."""
    (code,) = (body + check for check in ALPHABET if accepted(body + check))
    return code


CODES = st.text(ALPHABET, min_size=1, max_size=30).map(completed)


@given(LENGTHS)
def test_a_new_code_has_its_length_and_only_letters_that_cannot_be_mistaken(length: int) -> None:
    code = new_code(length)
    assert len(code) == length
    assert set(code) <= set(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)
    assert normalise(code, length) == code


@given(CODES, st.data())
def test_every_single_wrong_character_is_noticed(code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET))
    assume(wrong != code[place])
    with pytest.raises(NotACodeError) as refusal:
        normalise(code[:place] + wrong + code[place + 1 :], len(code))
    assert refusal.value.code == "check"


@given(CODES, st.data())
def test_every_exchange_of_two_characters_is_noticed(code: str, data: st.DataObject) -> None:
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(code) - 1)] * 2)))
    assume(code[first] != code[second])
    swapped = list(code)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    with pytest.raises(NotACodeError, match="check"):
        normalise("".join(swapped), len(code))


@given(CODES, st.integers())
def test_case_spaces_dashes_and_look_alikes_are_forgiven(code: str, seed: int) -> None:
    chance = random.Random(seed)
    looks = {"0": "0Oo０", "1": "1IiLl"}
    written = "".join(
        chance.choice(looks.get(letter, letter + letter.lower()))
        + chance.choice(["", "", " ", "-", "–", "\u00a0"])
        for letter in code
    )
    assert normalise(f"  {written}\n", len(code)) == code


@given(CODES)
def test_groups_are_for_reading_only(code: str) -> None:
    assert normalise(grouped(code), len(code)) == code
    assert all(len(group) <= 4 for group in grouped(code).split(" "))


def test_a_card_number_is_read_in_fours() -> None:
    assert grouped("7K3M9QXA20FT") == "7K3M 9QXA 20FT"
    assert len(new_code(CARD_NUMBER_LENGTH)) == 12


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "length"),
        ("ABC", "length"),
        ("A" * 100_000, "length"),
        ("ABC*12", "character"),
        ("UUUUUU", "character"),
        ("ABC\x0012", "character"),
        ("ÀBC123", "character"),
    ],
    ids=lambda value: value[:12],
)
def test_what_cannot_be_a_code_says_why(text: str, reason: str) -> None:
    with pytest.raises(NotACodeError) as refusal:
        normalise(text, SIGN_CODE_LENGTH)
    assert refusal.value.code == reason


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    try:
        code = normalise(text, SIGN_CODE_LENGTH)
    except NotACodeError:
        return
    assert accepted(code)


def test_codes_do_not_repeat_and_use_the_whole_alphabet() -> None:
    codes = {new_code(CARD_NUMBER_LENGTH) for _ in range(5000)}
    assert len(codes) == 5000
    for place in range(CARD_NUMBER_LENGTH):
        assert {code[place] for code in codes} == set(ALPHABET)


@pytest.mark.parametrize("length", [-1, 0, 1, 32])
def test_a_code_too_short_for_a_check_or_too_long_for_its_promise_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="2 to 31"):
        new_code(length)
