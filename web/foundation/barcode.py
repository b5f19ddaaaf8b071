"""Code 128 barcodes for the till's scanner: SVG as one path.

Always black on white with the quiet zone inside the picture, as the QR codes of `web.foundation.qr`.
"""

from functools import lru_cache
from itertools import accumulate
from typing import Final

QUIET_ZONE: Final = 10
"""Light modules on either side, by ISO/IEC 15417."""
LONGEST: Final = 24
"""More characters than this are too narrow to read from a phone's screen."""

_HEIGHT: Final = 40
_START_B, _START_C, _STOP = 104, 105, 106
# The widths of each symbol's bars and gaps, by its value.
_WIDTHS: Final = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 "
    "113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 "
    "212123 212321 232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 "
    "113123 113321 133121 313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 "
    "314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 "
    "241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 "
    "214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 "
    "211232 2331112"
)
_SYMBOLS: Final = tuple(_WIDTHS.split())


class NotEncodableError(ValueError):
    """The text has characters that a barcode cannot hold, or more of them than a screen can show."""


def symbols(text: str) -> list[int]:
    """The values of the symbols for `text`, from start to stop: digits in pairs, anything else one by one.

    Raises NotEncodableError.
    """
    if not 1 <= len(text) <= LONGEST or not all(" " <= character <= "~" for character in text):
        raise NotEncodableError(f"a barcode holds 1 to {LONGEST} plain characters")
    if text.isdigit() and len(text) % 2 == 0:
        values = [_START_C, *(int(text[at : at + 2]) for at in range(0, len(text), 2))]
    else:
        values = [_START_B, *(ord(character) - 32 for character in text)]
    check = values[0] + sum(place * value for place, value in enumerate(values[1:], 1))
    return [*values, check % 103, _STOP]


@lru_cache(maxsize=2048)
def svg(text: str) -> str:
    """The barcode as an `<svg>` element that fills whatever width CSS gives it, hidden from screen readers: the
    text stands beside it. Raises NotEncodableError.
    """
    widths = [int(width) for value in symbols(text) for width in _SYMBOLS[value]]
    starts = accumulate(widths, initial=QUIET_ZONE)
    bars = list(zip(starts, widths, strict=False))[::2]
    path = "".join(f"M{x} 0h{width}v{_HEIGHT}h-{width}z" for x, width in bars)
    size = sum(widths) + 2 * QUIET_ZONE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {_HEIGHT}" preserveAspectRatio="none"'
        f' shape-rendering="crispEdges" aria-hidden="true"><path fill="#fff" d="M0 0h{size}v{_HEIGHT}H0z"/>'
        f'<path d="{path}"/></svg>'
    )
