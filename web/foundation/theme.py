"""From a merchant's one colour to a palette that everybody can read, in light and in dark.

Colours move in OKLCH, where a step in lightness looks the same in every hue; the contrast ratio
of WCAG 2.2 (success criteria 1.4.3 and 1.4.11) decides when they have moved far enough.
"""

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

RGB = tuple[int, int, int]
Scheme = Literal["light", "dark"]

# The neutral surfaces of the stylesheet, on which a brand's text and edges must be legible.
PAPER: Final[dict[Scheme, str]] = {"light": "#faf8f4", "dark": "#141311"}
CARD: Final[dict[Scheme, str]] = {"light": "#ffffff", "dark": "#1f1d1a"}

# The contrast of text to its background that WCAG asks for at level AA.
READABLE: Final = 4.5
_EDGE_CONTRAST: Final = 3.0
# A screen rounds as well, and a border case should not fail somebody else's checker.
_MARGIN: Final = 0.05
_STEP: Final = 0.01
_WHITE: Final[RGB] = (255, 255, 255)
_BLACK: Final[RGB] = (0, 0, 0)
_HEX: Final = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


class BadColourError(ValueError):
    """The text is no colour of the form #rrggbb or #rgb."""


class CardColours(NamedTuple):
    """Colours of a wallet pass as #rrggbb; the second and third are legible on the first."""

    background: str
    foreground: str
    label: str


class Tokens(NamedTuple):
    """Colours of one scheme as #rrggbb, in the order of the custom properties --brand to --brand-tint."""

    brand: str
    on_brand: str
    brand_ink: str
    brand_edge: str
    brand_tint: str


def parse(colour: str) -> RGB:
    """Red, green and blue from 0 to 255. Raises BadColourError."""
    match = _HEX.fullmatch(colour.strip())
    if not match:
        raise BadColourError(f"{colour[:40]!r} is not a colour like #1f6f5c")
    digits = match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours by WCAG 2.2, 1.0 to 21.0. Raises BadColourError."""
    return _contrast(parse(one), parse(other))


@lru_cache(maxsize=1024)
def tokens(colour: str, scheme: Scheme) -> Tokens:
    """The palette of one scheme. Raises BadColourError.

    on_brand    text on brand: black or white, whichever is clearer, never below 4.58
    brand_ink   text and links in the brand's hue, 4.5 or more on paper, card and tint
    brand_edge  outline of a control filled with brand, 3 or more on paper and card
    brand_tint  a quiet surface in the brand's hue
    """
    brand = parse(colour)
    lightness, chroma, hue = _to_oklch(brand)
    paper, card = parse(PAPER[scheme]), parse(CARD[scheme])
    tint = _from_oklch(0.955 if scheme == "light" else 0.27, min(chroma, 0.035), hue)
    step = -_STEP if scheme == "light" else _STEP
    ink = _moved_until(READABLE, (paper, card, tint), lightness, chroma, hue, step)
    edge = _moved_until(_EDGE_CONTRAST, (paper, card), lightness, chroma, hue, step)
    return Tokens(_hex(brand), _hex(_clearest_on(brand)), _hex(ink), _hex(edge), _hex(tint))


@lru_cache(maxsize=1024)
def css(colour: str) -> str:
    """A stylesheet of custom properties for both schemes, the same bytes for the same colour.

    Raises BadColourError.
    """
    light, dark = (_declarations(tokens(colour, scheme)) for scheme in ("light", "dark"))
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


@lru_cache(maxsize=1024)
def on_brand(colour: str) -> str:
    """Black or white, whichever is easier to read on the merchant's colour. Raises BadColourError."""
    return _hex(_clearest_on(parse(colour)))


def card_colours(
    colour: str, background: str | None = None, foreground: str | None = None, label: str | None = None
) -> CardColours:
    """Background, foreground and label of a wallet pass: what was chosen, the rest derived. Raises BadColourError.

    The label is the foreground softened towards the background, as far as 4.5 allows.
    """
    ground = parse(background or colour)
    text = parse(foreground) if foreground else _clearest_on(ground)
    return CardColours(_hex(ground), _hex(text), _hex(parse(label) if label else _softened(text, ground)))


def _softened(foreground: RGB, background: RGB) -> RGB:
    for share in (0.24, 0.18, 0.12, 0.06):
        label = _mixed(foreground, background, share)
        if _contrast(label, background) >= READABLE + _MARGIN:
            return label
    return foreground


def _declarations(values: Tokens) -> str:
    return ";".join(f"--{name.replace('_', '-')}:{value}" for name, value in values._asdict().items())


def _clearest_on(background: RGB) -> RGB:
    # Black and white meet at a ratio of the square root of 21, so the better one is at least 4.58.
    return max((_WHITE, _BLACK), key=lambda text: _contrast(text, background))


def _moved_until(
    ratio: float, surfaces: Iterable[RGB], lightness: float, chroma: float, hue: float, step: float
) -> RGB:
    """The nearest colour of this hue, along `step`, that keeps `ratio` on all surfaces."""
    surfaces = tuple(surfaces)
    while 0 <= lightness <= 1:
        colour = _from_oklch(lightness, chroma, hue)
        if all(_contrast(colour, surface) >= ratio + _MARGIN for surface in surfaces):
            return colour
        lightness += step
    return _WHITE if step > 0 else _BLACK


def _mixed(colour: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(one + (two - one) * share) for one, two in zip(colour, other, strict=True))
    return red, green, blue


def _hex(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _contrast(one: RGB, other: RGB) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: RGB) -> float:
    red, green, blue = (_linear(channel) for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@lru_cache(maxsize=256)
def _linear(channel: int) -> float:
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _gamma(value: float) -> int:
    value = min(1.0, max(0.0, value))
    curved = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * curved)


# Matrices of OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
def _to_oklch(colour: RGB) -> tuple[float, float, float]:
    red, green, blue = (_linear(channel) for channel in colour)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(a, b), math.atan2(b, a)


def _from_oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """The screen's nearest colour: chroma gives way until the colour exists, lightness and hue stay."""
    for _ in range(40):
        channels = _linear_rgb(lightness, chroma, hue)
        if all(-1e-4 <= channel <= 1 + 1e-4 for channel in channels):
            break
        chroma *= 0.9
    red, green, blue = (_gamma(channel) for channel in channels)
    return red, green, blue


def _linear_rgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
