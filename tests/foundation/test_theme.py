"""A merchant's colour becomes a palette that everybody can read, whatever the colour."""

import colorsys
import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.theme import (
    CARD,
    PAPER,
    BadColourError,
    Scheme,
    _to_oklch,
    card_colours,
    contrast,
    css,
    parse,
    tokens,
)

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
COLOURS = st.tuples(*[st.integers(0, 255)] * 3).map(lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb))
GRID = ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in itertools.product(range(0, 256, 51), repeat=3)]
HUES = [
    "#{:02x}{:02x}{:02x}".format(
        *(round(255 * part) for part in colorsys.hsv_to_rgb(hue / 72, saturation, value))
    )
    for hue in range(72)
    for saturation, value in ((1, 1), (0.6, 0.9), (1, 0.4))
]


def assert_everything_is_legible(colour: str) -> None:
    for scheme in SCHEMES:
        palette = tokens(colour, scheme)
        assert contrast(palette.on_brand, palette.brand) >= 4.5
        for surface in (PAPER[scheme], CARD[scheme], palette.brand_tint):
            assert contrast(palette.brand_ink, surface) >= 4.5
        for surface in (PAPER[scheme], CARD[scheme]):
            assert contrast(palette.brand_edge, surface) >= 3
    card = card_colours(colour)
    assert contrast(card.foreground, card.background) >= 4.5
    assert contrast(card.label, card.background) >= 4.5


@pytest.mark.parametrize("colours", [GRID, HUES], ids=["a grid of 216", "72 hues"])
def test_text_and_edges_are_legible_over_the_whole_space(colours: list[str]) -> None:
    for colour in colours:
        assert_everything_is_legible(colour)


@given(COLOURS)
def test_text_and_edges_are_legible_in_any_colour(colour: str) -> None:
    assert_everything_is_legible(colour)


@given(COLOURS)
def test_the_merchant_gets_exactly_the_colour_that_was_given(colour: str) -> None:
    assert tokens(colour, "light").brand == tokens(colour, "dark").brand == colour
    assert card_colours(colour).background == colour


def test_a_colour_that_is_legible_already_stays_as_it_is() -> None:
    green = tokens("#1f6f5c", "light")
    assert green.brand_ink == green.brand_edge == "#1f6f5c"


def hue_and_chroma(colour: str) -> tuple[float, float]:
    _, chroma, hue = _to_oklch(parse(colour))
    return math.degrees(hue) % 360, chroma


@pytest.mark.parametrize(
    ("colour", "hue", "chroma"),
    [("#ff0000", 29.23, 0.2577), ("#00ff00", 142.50, 0.2948), ("#0000ff", 264.05, 0.3132)],
)
def test_hues_are_those_of_oklch(colour: str, hue: float, chroma: float) -> None:
    seen_hue, seen_chroma = hue_and_chroma(colour)
    assert seen_hue == pytest.approx(hue, abs=0.05)
    assert seen_chroma == pytest.approx(chroma, abs=0.001)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_corrected_colour_keeps_its_hue_to_the_eye(scheme: Scheme) -> None:
    for colour in HUES:
        given_hue, _ = hue_and_chroma(colour)
        seen_hue, chroma = hue_and_chroma(tokens(colour, scheme).brand_ink)
        difference = abs(given_hue - seen_hue)
        # Near grey a hue is rounding and nothing to see.
        assert chroma < 0.04 or min(difference, 360 - difference) < 2


@given(COLOURS)
def test_the_tint_is_a_quiet_surface_on_which_ordinary_text_is_legible(colour: str) -> None:
    assert contrast(tokens(colour, "light").brand_tint, "#1b1916") >= 7
    assert contrast(tokens(colour, "dark").brand_tint, "#f3f0ea") >= 7


def test_the_stylesheet_names_five_colours_for_light_and_for_dark() -> None:
    rules = re.findall(r":root\{([^}]*)\}", css("#1f6f5c"))
    names = ["--brand", "--on-brand", "--brand-ink", "--brand-edge", "--brand-tint"]
    for rule, scheme in zip(rules, SCHEMES, strict=True):
        declared = dict(line.split(":") for line in rule.split(";"))
        assert list(declared) == names
        assert list(declared.values()) == list(tokens("#1f6f5c", scheme))
    assert css("#1f6f5c").index("prefers-color-scheme:dark") > css("#1f6f5c").index(":root")


@given(COLOURS)
def test_the_stylesheet_is_plain_ascii_that_cannot_leave_its_element(colour: str) -> None:
    assert re.fullmatch(r"[-:;#a-z0-9(){}@]+", css(colour))


@pytest.mark.parametrize("spelling", ["#abc", "abc", "#aabbcc", "AABBCC", " #AaBbCc\n"])
def test_a_colour_may_be_spelled_in_several_ways(spelling: str) -> None:
    assert parse(spelling) == (0xAA, 0xBB, 0xCC)
    assert css(spelling) == css("#aabbcc")


@pytest.mark.parametrize(
    "text",
    ["", "#", "#12", "#1234", "#12345g", "red", "##aabbcc", "#aabbcc}", "rgb(1,2,3)", "#aabbcc\n#", "#١٢٣"],
)
def test_what_is_no_colour_is_refused(text: str) -> None:
    for reader in (parse, css, card_colours):
        with pytest.raises(BadColourError):
            reader(text)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000", "#fff", 21.0), ("#fff", "#fff", 1.0), ("#777", "#fff", 4.48), ("#767676", "#fff", 4.54)],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)
