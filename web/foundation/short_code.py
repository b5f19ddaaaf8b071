"""Codes that people read from a card or a sign and type: Crockford's base 32 with a check character.

Crockford's alphabet leaves out I, L, O and U, so nothing in a code can be mistaken for 1, 0 or V.
His own check characters include signs that neither a keyboard of digits nor a short QR code has;
ours is of the alphabet itself, computed in the field of 32 elements. It notices every single wrong
character and every exchange of two, adjacent or not, in codes of up to 31 characters.
"""

import secrets
import unicodedata
from functools import reduce
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CARD_NUMBER_LENGTH: Final = 12
"""55 random bits: numbers of one programme do not meet, and cannot be guessed one by one."""
SIGN_CODE_LENGTH: Final = 6
"""25 random bits: public, short enough to type from a counter."""

_LONGEST: Final = 31
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
# x^5 + x^2 + 1, primitive: its powers of x run through all 31 elements before they repeat.
_POLYNOMIAL: Final = 0b100101


class NotACodeError(ValueError):
    """The text is no code of ours. `code`: "length", "character" or "check" (a typing slip)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def new_code(length: int) -> str:
    """A random code of `length` characters, the last of them its check. 2 <= length <= 31."""
    if not 2 <= length <= _LONGEST:
        raise ValueError(f"a code has 2 to {_LONGEST} characters, not {length}")
    body = "".join(secrets.choice(ALPHABET) for _ in range(length - 1))
    return body + _check(body)


def grouped(code: str, size: int = 4) -> str:
    """The code as people read it, in groups: "7K3M 9QXA 20FT"."""
    return " ".join(code[start : start + size] for start in range(0, len(code), size))


def normalise(text: str, length: int) -> str:
    """The code of `length` characters that somebody typed, whatever its case, spaces and dashes.

    O is read as 0, I and L as 1. Raises NotACodeError.
    """
    if len(text) > 4 * _LONGEST:
        raise NotACodeError("length")
    code = "".join(filter(_counts, unicodedata.normalize("NFKC", text).upper())).translate(_READ_AS)
    if not _VALUES.keys() >= set(code):
        raise NotACodeError("character")
    if len(code) != length:
        raise NotACodeError("length")
    if _check(code[:-1]) != code[-1]:
        raise NotACodeError("check")
    return code


def _counts(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character) not in ("Pd", "Cf")


def _check(body: str) -> str:
    return ALPHABET[reduce(lambda total, character: _times_x(total ^ _VALUES[character]), body, 0)]


def _times_x(element: int) -> int:
    doubled = element << 1
    return doubled ^ _POLYNOMIAL if doubled & 0b100000 else doubled
