"""The SMS alphabet (3GPP TS 23.038): 160 of its characters fit one SMS, of any others only 70."""

import unicodedata

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# These take two places.
_EXTENDED = frozenset("^{}\\[~]|€")
_LOOK_ALIKE = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\u00a0": " ", "ç": "Ç"}
)


def plain(text: str) -> str:
    """`text` in the SMS alphabet, letters without the accents that it lacks ("número" → "numero").

    A text in another script comes back unchanged: it cannot gain by it.
    """
    spelled = "".join(_plain(character) for character in text.translate(_LOOK_ALIKE))
    return spelled if _fits(spelled) else text


def parts(text: str) -> int:
    """How many SMS a phone network makes of `text`, each paid for."""
    if _fits(text):
        places, alone, joined = sum(2 if c in _EXTENDED else 1 for c in text), 160, 153
    else:
        places, alone, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if places <= alone else -(-places // joined)


def _plain(character: str) -> str:
    if _fits(character):
        return character
    base = unicodedata.normalize("NFKD", character)[0]
    return base if _fits(base) else character


def _fits(text: str) -> bool:
    return all(c in _BASIC or c in _EXTENDED for c in text)
