"""QR codes, each one read again by a decoder that knows nothing of the encoder."""

import random
import re
import string
from io import BytesIO
from xml.etree import ElementTree

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from web.foundation.qr import QUIET_ZONE, Level, TextTooLongError, matrix, png, svg

SIGN = "HTTPS://GO.BREWBAR.CO/S/8FK2Q9"
LONG = "https://go.brewbar.co/brewbar?utm_source=counter&utm_medium=qr&utm_campaign=autumn&shop=lavapies"
SVG = "{http://www.w3.org/2000/svg}"


def decoded(picture: Image.Image) -> str | None:
    found = zxingcpp.read_barcodes(picture.convert("L"))
    return found[0].text if found else None


def drawn(markup: str, module_px: int) -> Image.Image:
    """The SVG as a browser paints it: its light ground, then each stroke of the one path."""
    root = ElementTree.fromstring(markup)
    size = int(root.attrib["viewBox"].split()[2])
    ground, dark = root.findall(f"{SVG}path")
    assert ground.attrib["d"] == f"M0 0h{size}v{size}H0z"
    assert (ground.attrib["fill"], dark.attrib["stroke"]) == ("#fff", "#000")
    picture = Image.new("L", (size * module_px, size * module_px), 255)
    pen = ImageDraw.Draw(picture)
    x = y = 0.0
    for dx, dy, length in re.findall(r"m(-?[\d.]+) (-?[\d.]+)h(\d+)", dark.attrib["d"]):
        x, y = x + float(dx), y + float(dy)
        top = (y - 0.5) * module_px
        right = x + int(length)
        pen.rectangle((x * module_px, top, right * module_px - 1, top + module_px - 1), fill=0)
        x = right
    return picture


def pasted_on(colour: int, picture: Image.Image) -> Image.Image:
    page = Image.new("L", (picture.width + 200, picture.height + 200), colour)
    page.paste(picture, (100, 100))
    return page


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
@pytest.mark.parametrize("text", [SIGN, LONG, "7K3M9QXA20FT", "Café ☕ número 1", "0123456789"])
def test_a_decoder_reads_both_pictures(text: str, level: Level) -> None:
    assert decoded(drawn(svg(text, level), 4)) == text
    assert decoded(Image.open(BytesIO(png(text, level, 300)))) == text


@settings(max_examples=60, deadline=None)
@given(
    st.text(string.ascii_uppercase + string.digits + "$%*+-./: ", min_size=1, max_size=120).filter(str.strip)
)
def test_a_decoder_reads_whatever_the_capitals_are(text: str) -> None:
    assert decoded(drawn(svg(text), 3)) == text


def test_the_picture_in_svg_and_in_png_is_the_same() -> None:
    modules = len(matrix(SIGN)) + 2 * QUIET_ZONE
    in_png = Image.open(BytesIO(png(SIGN, "Q", modules * 4))).convert("L")
    assert drawn(svg(SIGN), 4).tobytes() == in_png.tobytes()


@pytest.mark.parametrize(
    ("text", "level", "modules"),
    [(SIGN, "M", 25), (SIGN, "Q", 29), (SIGN, "H", 29), (SIGN.lower(), "M", 29), (SIGN.lower(), "H", 33)],
)
def test_capitals_make_a_coarser_code(text: str, level: Level, modules: int) -> None:
    assert len(SIGN) == 30
    rows = matrix(text, level)
    assert (len(rows), {len(row) for row in rows}) == (modules, {modules})


def test_correction_that_costs_no_module_is_taken() -> None:
    assert matrix(SIGN, "Q") == matrix(SIGN, "H")
    assert matrix(SIGN, "M") != matrix(SIGN, "Q")


@pytest.mark.parametrize("across", [64, 80, 128])
def test_a_sign_is_read_from_afar(across: int) -> None:
    seen = drawn(svg(SIGN), 10).resize((across, across), Image.Resampling.LANCZOS)
    assert decoded(pasted_on(255, seen)) == SIGN


def test_a_sign_with_a_blot_on_it_is_read() -> None:
    """A grey square over 8 % of the area, in places where it hides no corner mark."""
    code = drawn(svg(SIGN), 8)
    side = int(code.width * 0.08**0.5)
    chance = random.Random(2)
    read = 0
    for _ in range(40):
        blotted = code.copy()
        x, y = (chance.randint(code.width // 2, code.width * 7 // 8 - side) for _ in "xy")
        ImageDraw.Draw(blotted).rectangle((x, y, x + side, y + side), fill=128)
        read += decoded(blotted) == SIGN
    assert read >= 30


def test_a_sign_in_bad_light_is_read() -> None:
    code = drawn(svg(SIGN), 6)
    noise = Image.effect_noise(code.size, 90)
    assert decoded(Image.blend(code, noise, 0.45)) == SIGN


def test_the_quiet_zone_makes_it_readable_on_a_dark_page() -> None:
    code = drawn(svg(SIGN), 6)
    bare = code.crop(
        (QUIET_ZONE * 6, QUIET_ZONE * 6, code.width - QUIET_ZONE * 6, code.height - QUIET_ZONE * 6)
    )
    assert decoded(pasted_on(0, code)) == SIGN
    assert decoded(pasted_on(0, bare)) is None


def test_the_svg_passes_a_strict_policy_and_stands_twice_on_a_page() -> None:
    root = ElementTree.fromstring(svg(SIGN, title="Scan me"))
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"style", "id", "class", "width", "height"}


def test_a_title_is_spoken_and_escaped_and_without_one_the_picture_is_silent() -> None:
    titled = ElementTree.fromstring(svg(SIGN, title="Brew & <Bar>"))
    assert titled.attrib["role"] == "img"
    assert titled.findtext(f"{SVG}title") == "Brew & <Bar>"
    assert ElementTree.fromstring(svg(SIGN)).attrib["aria-hidden"] == "true"


@pytest.mark.parametrize("min_px", [1, 37, 38, 240, 1200, 8192])
def test_a_png_is_as_large_as_asked_in_whole_modules_of_one_bit(min_px: int) -> None:
    picture = Image.open(BytesIO(png(SIGN, "Q", min_px)))
    modules = len(matrix(SIGN)) + 2 * QUIET_ZONE
    assert picture.mode == "1"
    assert picture.width == picture.height
    assert picture.width % modules == 0
    assert min_px <= picture.width < min_px + modules


@pytest.mark.parametrize("min_px", [0, -1, 8193])
def test_a_png_of_senseless_size_is_refused(min_px: int) -> None:
    with pytest.raises(ValueError, match="pixels wide"):
        png(SIGN, "Q", min_px)


def test_a_text_that_fits_no_code_is_refused() -> None:
    with pytest.raises(TextTooLongError):
        matrix("x" * 3000, "Q")
    assert len(matrix("x" * 1600, "Q")) == 177
