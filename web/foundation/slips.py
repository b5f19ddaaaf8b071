"""Likely typing slips in an e-mail's domain: questioned, never refused.

Whoever really has the address says so and goes on; whoever slipped gets the card.
"""

from typing import Final

# Name to endings of the large providers, the likeliest ending first.
_PROVIDERS: Final = {
    "gmail": ("com",),
    "googlemail": ("com",),
    "hotmail": (
        "com", "es", "fr", "it", "de", "nl", "be", "se", "no", "dk", "gr", "ch", "cl",
        "co.uk", "com.ar", "com.br", "com.mx", "com.tr", "co.jp", "co.th",
    ),
    "outlook": (
        "com", "es", "fr", "it", "de", "pt", "be", "dk", "ie", "cl", "at", "jp", "kr", "in",
        "com.ar", "com.br", "com.au", "com.tr",
    ),
    "yahoo": (
        "com", "es", "fr", "it", "de", "ca", "in", "ie", "gr", "se", "no", "dk", "nl", "pl", "ro",
        "co.uk", "co.in", "co.jp", "co.id", "com.ar", "com.au", "com.br", "com.co", "com.mx",
        "com.pe", "com.ve", "com.tr", "com.sg", "com.hk", "com.ph", "com.vn",
    ),
    "icloud": ("com",),
    "live": ("com", "es", "fr", "it", "de", "nl", "be", "co.uk", "com.ar", "com.mx", "com.pt", "cl"),
    "msn": ("com",),
    "aol": ("com", "es", "fr", "it", "de", "co.uk"),
    "protonmail": ("com", "ch"),
    "proton": ("me",),
    "fastmail": ("com", "fm"),
    "telefonica": ("net", "es", "com"),
    "movistar": ("es", "com"),
    "wanadoo": ("es", "fr"),
    "euskaltel": ("net", "com"),
    "vodafone": ("es", "it", "de", "com"),
    "orange": ("es", "fr", "com"),
    "laposte": ("net",),
    "libero": ("it",),
    "virgilio": ("it",),
    "rediffmail": ("com",),
}  # fmt: skip
# Real names within a slip's reach of those above.
_OWN_RIGHT: Final = frozenset(
    {"mail", "email", "ymail", "rocketmail", "gmx", "fmail", "love", "line", "life"}
)
# Endings that no registry has, so that they are slips after any name.
_NO_SUCH_ENDINGS: Final = {
    "con": "com", "cmo": "com", "ocm": "com", "vom": "com", "xom": "com", "dom": "com",
    "comm": "com", "coom": "com", "ccom": "com", "conm": "com", "comn": "com", "cim": "com",
    "cpm": "com", "clm": "com", "vcom": "com", "ner": "net", "ney": "net", "nte": "net",
    "nett": "net", "ogr": "org", "orgg": "org", "ess": "es",
}  # fmt: skip
# Real endings that are rather a slip after a provider's name that has no such branch.
_RATHER_COM: Final = frozenset({"co", "cm", "om", "cam", "como", "com.com", "comes"})


def question(email: str) -> str | None:
    """The address that was probably meant, or None where nothing looks wrong.

    Takes an Email's `value`; what stands before the @ is never doubted.
    """
    local, _, domain = email.rpartition("@")
    name, _, ending = domain.lower().partition(".")
    meant = _provider(name, _repaired(ending)) or f"{name}.{_repaired(ending)}"
    return None if meant == domain.lower() else f"{local}@{meant}"


def _repaired(ending: str) -> str:
    head, dot, last = ending.rpartition(".")
    return f"{head}{dot}{_NO_SUCH_ENDINGS.get(last, last)}"


def _provider(name: str, ending: str) -> str | None:
    """The large provider's domain that this one resembles, None where it resembles none."""
    if name in _OWN_RIGHT:
        return None
    nearest = min(_PROVIDERS, key=lambda known: _distance(name, known))
    slips = _distance(name, nearest)
    if slips > _allowed_slips(name, nearest):
        return None
    endings = _PROVIDERS[nearest]
    if ending in endings:
        return f"{nearest}.{ending}"
    if ending in _RATHER_COM or (slips == 0 and len(endings) == 1):
        return f"{nearest}.{endings[0]}"
    return None


def _allowed_slips(name: str, known: str) -> int:
    # Short names have too many honest neighbours; two slips seldom touch the first letter.
    if name == known or len(known) < 5:
        return 0
    return 2 if len(known) >= 7 and name[:1] == known[:1] else 1


def _distance(one: str, other: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words.

    The restricted Damerau-Levenshtein distance; 99 without counting where lengths tell enough.
    """
    if abs(len(one) - len(other)) > 2:
        return 99
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        row = [i]
        for j, right in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
