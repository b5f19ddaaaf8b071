"""A merchant's colour becomes a palette that everybody can read, whatever the colour."""

import colorsys
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.theme import (
    CARD,
    PAPER,
    BadColourError,
    Scheme,
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


@pytest.mark.parametrize("colour", ["#ffd400", "#1f6f5c", "#c2185b", "#2962ff"])
def test_a_corrected_colour_keeps_its_hue(colour: str) -> None:
    def hue(text: str) -> float:
        return colorsys.rgb_to_hls(*(part / 255 for part in parse(text)))[0]

    for scheme in SCHEMES:
        difference = abs(hue(tokens(colour, scheme).brand_ink) - hue(colour))
        assert min(difference, 1 - difference) < 0.07


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
