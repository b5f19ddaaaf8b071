"""A merchant's logo, and what else they give, in the sizes that Apple Wallet wants.

Sizes in points after Apple's pass design guide: icon 29x29, logo at most 160x50, the strip of a store
card 375x144. Every picture is made at one, two and three pixels to the point.
"""

import io
import warnings

from PIL import Image, ImageOps

from web.wallet.card import Design, rgb

SCALES = (1, 2, 3)
ICON = (29, 29)
LOGO = (160, 50)
STRIP = (375, 144)

MAX_BYTES = 5_000_000  # a logo from the printing house; anything larger is a mistake
MAX_PIXELS = 16_000_000  # bounds the memory of decoding to some 64 MB
_FORMATS = ("PNG", "JPEG", "WEBP")
_PALETTE_ABOVE = 60_000  # bytes; a photograph in true colours would make every pass a megabyte
_ICON_MARGIN = 0.12
_RESAMPLE = Image.Resampling.LANCZOS


class PictureError(ValueError):
    """The file is no picture that can be put on a card; the message says why in plain words."""


def render_images(design: Design) -> dict[str, bytes]:
    """The PNG files of a design by their names in a pass ("icon@2x.png"). Raises PictureError."""
    logo = decode(design.logo)
    icon = decode(design.icon) if design.icon else _tile(logo, rgb(design.background))
    strip = decode(design.strip) if design.strip else None
    images: dict[str, bytes] = {}
    for scale in SCALES:
        suffix = ".png" if scale == 1 else f"@{scale}x.png"
        images["icon" + suffix] = _png(_cover(icon, ICON, scale))
        images["logo" + suffix] = _png(_within(logo, LOGO, scale))
        if strip is not None:
            images["strip" + suffix] = _png(_cover(strip, STRIP, scale))
    return images


def decode(source: bytes) -> Image.Image:
    """The picture in a PNG, JPEG or WebP file, upright, as RGBA; of an animation the first frame.

    Its size is read from the header and bounded before any pixel is decoded. Raises PictureError.
    """
    if len(source) > MAX_BYTES:
        raise PictureError(f"The picture is larger than {MAX_BYTES // 1_000_000} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful size is refused just below
            picture = Image.open(io.BytesIO(source), formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return ImageOps.exif_transpose(picture).convert("RGBA")
    except Image.DecompressionBombError as error:
        raise PictureError(f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.") from error
    except Exception as error:  # a broken file raises whatever its decoder stumbles over
        raise PictureError("The file is not a PNG, JPEG or WebP picture that can be read.") from error


def _within(picture: Image.Image, points: tuple[int, int], scale: int) -> Image.Image:
    """As large as fits the box. The size is settled in points first, so that all scales agree."""
    factor = min(points[0] / picture.width, points[1] / picture.height)
    width = max(1, round(picture.width * factor)) * scale
    height = max(1, round(picture.height * factor)) * scale
    return picture.resize((width, height), _RESAMPLE)


def _cover(picture: Image.Image, points: tuple[int, int], scale: int) -> Image.Image:
    return ImageOps.fit(picture, (points[0] * scale, points[1] * scale), _RESAMPLE)


def _tile(logo: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The logo in the middle of a square of the brand's colour; iOS itself rounds the corners."""
    side = ICON[0] * SCALES[-1]
    inner = round(side * (1 - 2 * _ICON_MARGIN))
    small = ImageOps.contain(logo, (inner, inner), _RESAMPLE)
    tile = Image.new("RGBA", (side, side), (*background, 255))
    tile.alpha_composite(small, ((side - small.width) // 2, (side - small.height) // 2))
    return tile


def _png(picture: Image.Image) -> bytes:
    plain = _encode(picture)
    return plain if len(plain) <= _PALETTE_ABOVE else min(plain, _encode(_with_palette(picture)), key=len)


def _with_palette(picture: Image.Image) -> Image.Image:
    if picture.getchannel("A").getextrema() == (255, 255):  # opaque: the finer method can be used
        return picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    return picture.quantize(256, Image.Quantize.FASTOCTREE)


def _encode(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
