"""What may be written on a card: text that cannot disturb its surroundings, numbers as people write them."""

import re
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import NumberPattern, parse_pattern

# C0 and C1 controls, line and paragraph separators, embedding, override and isolate marks (they can show
# a text backwards, beyond their own field), the byte order mark, lone surrogates (they have no UTF-8 form)
# and the noncharacters that iOS refuses. Joiners and the plain left and right marks stay: Arabic, Indic
# scripts and composed emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]+"
)


def plain(text: str, limit: int = 120) -> str:
    """One line of at most `limit` characters without controls or direction overrides; a cut shows as "…"."""
    if not (text.isascii() and text.isprintable()):
        text = _UNSAFE.sub(" ", text)
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip(" \u200d\ufe0f") + "…"


def spaced(number: str, group: int = 4) -> str:
    """A card number in groups from the left, as a person reads it aloud: "1234 5678 90"."""
    return " ".join(number[i : i + group] for i in range(0, len(number), group))


@lru_cache(maxsize=4096)
def format_amount(minor: int, scale: int, locale: str) -> str:
    """Minor units as the locale writes them: `format_amount(125050, 2, "es")` is "1.250,50"."""
    babel_locale, pattern = _decimal_pattern(locale, scale)
    written: str = pattern.apply(Decimal(minor).scaleb(-scale), babel_locale)
    return written


@lru_cache(maxsize=256)
def _decimal_pattern(locale: str, scale: int) -> tuple[Locale, NumberPattern]:
    babel_locale = Locale.parse(locale.replace("-", "_"))
    pattern = parse_pattern(babel_locale.decimal_formats[None].pattern)
    pattern.frac_prec = (scale, scale)
    return babel_locale, pattern
