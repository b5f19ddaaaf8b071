"""Secrets at rest, keyed hashes and random codes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.sealing import CannotOpen, Sealer, digest, random_code, random_token
from web.foundation.short_code import ALPHABET

OLD, NEW = Sealer(("an old key",)), Sealer(("a new key",))
ROTATING = Sealer(("a new key", "an old key"))


@given(st.binary(max_size=200), st.text(max_size=40))
def test_what_is_sealed_opens_in_its_place_and_nowhere_else(secret: bytes, place: str) -> None:
    sealed = OLD.seal(secret, place)
    assert OLD.open(sealed, place) == secret
    with pytest.raises(CannotOpen):
        OLD.open(sealed, place + "x")


def test_a_sealed_secret_shows_nothing_and_never_looks_the_same_twice() -> None:
    first, second = OLD.seal(b"hunter2", "mail"), OLD.seal(b"hunter2", "mail")
    assert first != second
    assert b"hunter2" not in base64.b64decode(first)


def test_while_keys_rotate_both_open_and_the_new_one_seals() -> None:
    assert ROTATING.open(OLD.seal(b"secret", "mail"), "mail") == b"secret"
    assert NEW.open(ROTATING.seal(b"secret", "mail"), "mail") == b"secret"
    with pytest.raises(CannotOpen):
        NEW.open(OLD.seal(b"secret", "mail"), "mail")


@given(st.integers(0, 34), st.integers(1, 255))
def test_a_change_of_any_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(base64.b64decode(OLD.seal(b"secret", "mail")))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(CannotOpen):
        OLD.open(base64.b64encode(sealed).decode(), "mail")


@pytest.mark.parametrize("junk", ["", "x", "é", "AAAA", "not base64 at all", "A" * 40])
def test_what_was_never_sealed_cannot_be_opened(junk: str) -> None:
    with pytest.raises(CannotOpen):
        OLD.open(junk, "mail")


def test_a_sealer_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one secret key"):
        Sealer(())


def test_tags_and_codes_are_the_same_in_every_process_and_differ_by_text_context_and_key() -> None:
    for of in (Sealer.tag, Sealer.mark, Sealer.code):
        assert of(OLD, "ana", "form") == of(Sealer(("an old key",)), "ana", "form")
        variants = [(OLD, "ana", "form"), (OLD, "bea", "form"), (OLD, "ana", "limits"), (NEW, "ana", "form")]
        assert len({of(*variant) for variant in variants}) == 4
    assert set(OLD.code("ana", "link")) <= set(ALPHABET)
    assert len(OLD.code("ana", "link")) == 26


def test_only_the_hash_of_a_token_is_kept() -> None:
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_random_tokens_carry_256_bits() -> None:
    tokens = {random_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(base64.urlsafe_b64decode(token + "=")) for token in tokens} == {32}


def test_random_codes_are_of_letters_that_nobody_mistakes() -> None:
    assert set("".join(random_code() for _ in range(500))) == set(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)
