"""QR codes for signs and screens: SVG as one path, PNG at one bit.

Always black on white with the quiet zone inside the picture, so that a code stays readable on a
dark page: without that border no decoder found it there.
"""

from functools import lru_cache
from io import BytesIO
from itertools import groupby
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

from PIL import Image
from qrcode import QRCode, constants
from qrcode.exceptions import DataOverflowError

Level = Literal["L", "M", "Q", "H"]
Matrix = tuple[bytes, ...]
"""Rows from the top, one byte for each module from the left: 1 is dark, 0 is light."""

QUIET_ZONE: Final = 4
"""Light modules around the code, by ISO/IEC 18004."""

_LARGEST_PX: Final = 8192
# Strongest last. The numbers are the library's.
_LEVELS: Final[dict[Level, int]] = {
    "L": constants.ERROR_CORRECT_L,
    "M": constants.ERROR_CORRECT_M,
    "Q": constants.ERROR_CORRECT_Q,
    "H": constants.ERROR_CORRECT_H,
}
# Any mask is valid. Trying all eight takes ten times as long, and for short addresses this one
# comes within 2 % of the best by the standard's own penalty.
_MASK: Final = 5


class TextTooLongError(ValueError):
    """The text does not fit the largest QR code at the level that was asked for."""


def matrix(text: str, level: Level = "Q") -> Matrix:
    """The modules of the smallest code for `text`, without the quiet zone.

    `level` is the least error correction (L 7, M 15, Q 25, H 30 % of the code may be lost); a
    higher one is taken where it costs no module. Text of `0-9 A-Z $%*+-./:` and space alone goes
    in the alphanumeric mode, which is a third shorter: write addresses in capitals.
    Raises TextTooLongError.
    """
    code = _fitted(text, level)
    for stronger in list(_LEVELS)[list(_LEVELS).index(level) + 1 :]:
        try:
            candidate = _fitted(text, stronger)
        except TextTooLongError:
            break
        if candidate.version != code.version:
            break
        code = candidate
    code.make(fit=False)
    return tuple(bytes(map(bool, row)) for row in code.modules)


def _fitted(text: str, level: Level) -> QRCode[Any]:
    code = QRCode(error_correction=_LEVELS[level], mask_pattern=_MASK)
    code.add_data(text, optimize=0)
    try:
        code.best_fit()
    # The library's table ends below version 41, which its own check then refuses.
    except (DataOverflowError, ValueError) as error:
        raise TextTooLongError(f"{len(text)} characters do not fit a QR code at level {level}") from error
    return code


@lru_cache(maxsize=2048)
def svg(text: str, level: Level = "Q", *, title: str = "") -> str:
    """The code as an `<svg>` element that fills whatever width CSS gives it.

    It has no style attribute or id, so it passes a strict policy and can stand twice on a page.
    `title` is what a screen reader says; without it the picture is hidden from one, for the link
    or text beside it says the same. Raises TextTooLongError.
    """
    rows = matrix(text, level)
    size = len(rows) + 2 * QUIET_ZONE
    spoken = f'role="img"><title>{escape(title)}</title>' if title else 'aria-hidden="true">'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges"'
        f' {spoken}<path fill="#fff" d="M0 0h{size}v{size}H0z"/>'
        f'<path stroke="#000" d="{_runs(rows)}"/></svg>'
    )


def _runs(rows: Matrix) -> str:
    """Each run of dark modules as a horizontal stroke of width one along the middle of its row."""
    path: list[str] = []
    pen_x, pen_y = 0, 0.0
    for y, row in enumerate(rows):
        x = QUIET_ZONE
        for dark, modules in groupby(row):
            length = len(list(modules))
            if dark:
                middle = y + QUIET_ZONE + 0.5
                # The first move is absolute, whatever its letter.
                path.append(f"m{x - pen_x} {middle - pen_y:g}h{length}")
                pen_x, pen_y = x + length, middle
            x += length
    return "".join(path)


@lru_cache(maxsize=64)
def png(text: str, level: Level = "Q", min_px: int = 1200) -> bytes:
    """The code as a square black and white PNG, at least `min_px` wide with its quiet zone.

    A module is a whole number of pixels, so the picture may come out somewhat larger.
    Raises TextTooLongError, and ValueError unless 1 <= min_px <= 8192.
    """
    if not 1 <= min_px <= _LARGEST_PX:
        raise ValueError(f"a QR picture is 1 to {_LARGEST_PX} pixels wide, not {min_px}")
    rows = matrix(text, level)
    size = len(rows) + 2 * QUIET_ZONE
    picture = Image.new("1", (size, size), 1)
    for y, row in enumerate(rows, QUIET_ZONE):
        for x, dark in enumerate(row, QUIET_ZONE):
            if dark:
                picture.putpixel((x, y), 0)
    module_px = -(-min_px // size)
    out = BytesIO()
    picture.resize((size * module_px, size * module_px), Image.Resampling.NEAREST).save(
        out, "PNG", optimize=True
    )
    return out.getvalue()
