"""Barcodes, read back by a decoder that is not ours."""

import re
from itertools import pairwise

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from web.foundation.barcode import LONGEST, NotEncodableError, svg, symbols

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=LONGEST)
MODULE_PX = 3


def picture(text: str) -> Image.Image:
    """What a screen shows of the code: each bar as the SVG's path says, three pixels to a module."""
    drawn = svg(text)
    width = int(re.search(r'viewBox="0 0 (\d+)', drawn)[1])  # type: ignore[index]
    image = Image.new("L", (width * MODULE_PX, 90), 255)
    for x, bar in re.findall(r"M(\d+) 0h(\d+)v40", drawn.partition('<path d="')[2]):
        image.paste(0, (int(x) * MODULE_PX, 0, (int(x) + int(bar)) * MODULE_PX, 90))
    return image


@given(PLAIN)
def test_every_plain_text_is_read_back(text: str) -> None:
    [found] = zxingcpp.read_barcodes(picture(text), formats=zxingcpp.BarcodeFormat.Code128)
    assert found.bytes.decode() == text


def test_digits_go_in_pairs() -> None:
    assert symbols("123456") == [105, 12, 34, 56, (105 + 12 + 2 * 34 + 3 * 56) % 103, 106]


@pytest.mark.parametrize("text", ["", "VERÃO20", "a\nb", "X" * (LONGEST + 1)])
def test_what_a_scanner_could_not_read_is_refused(text: str) -> None:
    with pytest.raises(NotEncodableError):
        svg(text)


@given(PLAIN)
def test_every_symbol_is_eleven_modules_wide(text: str) -> None:
    edges = [int(x) for x in re.findall(r"M(\d+) 0h", svg(text).partition('<path d="')[2])]
    starts = edges[::3]
    assert all(after - before == 11 for before, after in pairwise(starts[:-1]))
