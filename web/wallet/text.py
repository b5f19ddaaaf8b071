"""What may be written on a card: text that cannot disturb its surroundings, numbers as people write them."""

import re
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import NumberPattern, get_decimal_symbol, get_group_symbol, parse_pattern

# C0 and C1 controls, line and paragraph separators, embedding, override and isolate marks (they can show
# a text backwards, beyond their own field), the byte order mark, lone surrogates (they have no UTF-8 form)
# and the noncharacters that iOS refuses. Joiners and the plain left and right marks stay: Arabic, Indic
# scripts and composed emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]+"
)


def plain(text: str, limit: int = 120) -> str:
    """One line of at most `limit` characters without controls or direction overrides; a cut shows as "…"."""
    if not text.isprintable():  # whatever is unsafe is not printable; the reverse does not hold
        text = _UNSAFE.sub(" ", text)
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip(" \u200d\ufe0f") + "…"


def spaced(number: str, group: int = 4) -> str:
    """A card number in groups from the left, as a person reads it aloud: "1234 5678 90"."""
    return " ".join(number[i : i + group] for i in range(0, len(number), group))


def format_amount(minor: int, scale: int, locale: str) -> str:
    """Minor units as the locale writes them: `format_amount(125050, 2, "es")` is "1.250,50".

    Python groups the digits and Babel knows the signs; that is ten times as fast as Babel's own
    formatting, which is left to the languages that do not group by thousands (Hindi: "12,34,567").
    """
    babel_locale, pattern, signs = _writing(locale, scale)
    value = Decimal(minor).scaleb(-scale) if scale else minor
    return f"{value:,}".translate(signs) if signs else str(pattern.apply(value, babel_locale))


@lru_cache(maxsize=256)
def _writing(locale: str, scale: int) -> tuple[Locale, NumberPattern, dict[int, str] | None]:
    babel_locale = Locale.parse(locale.replace("-", "_"))
    pattern = parse_pattern(babel_locale.decimal_formats[None].pattern)
    pattern.frac_prec = (scale, scale)
    if pattern.grouping != (3, 3):
        return babel_locale, pattern, None
    group, point = get_group_symbol(babel_locale), get_decimal_symbol(babel_locale)
    return babel_locale, pattern, {ord(","): group, ord("."): point}
