import io
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.wallet.designs import design, picture
from web.wallet.apple.images import MAX_BYTES, PictureError, decode, render_images


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png), formats=("PNG",)).size


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_a_logo_of_any_shape_fits_its_box_at_every_scale(width: int, height: int) -> None:
    images = render_images(design(logo=picture(width, height)))
    one = size(images["logo.png"])
    assert one[0] <= 160
    assert one[1] <= 50
    assert one[0] == 160 or one[1] == 50
    for scale in (2, 3):
        assert size(images[f"logo@{scale}x.png"]) == (one[0] * scale, one[1] * scale)
        assert size(images[f"icon@{scale}x.png"]) == (29 * scale, 29 * scale)


def test_the_icon_shows_the_logo_on_the_brands_colour() -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(clear, "PNG")
    icon = Image.open(io.BytesIO(render_images(design(logo=clear.getvalue()))["icon@3x.png"])).convert("RGBA")
    assert icon.getpixel((0, 0)) == icon.getpixel((43, 43)) == (0x12, 0x34, 0x56, 255)
    marked = Image.open(io.BytesIO(render_images(design(logo=picture(90, 90)))["icon@3x.png"]))
    assert marked.convert("RGB").getpixel((43, 43)) == (0xC0, 0x39, 0x2B)


def test_a_given_icon_and_strip_are_used() -> None:
    images = render_images(
        design(icon=picture(300, 200, colour="#00ff00"), strip=picture(1000, 1000, "WEBP"))
    )
    icon = Image.open(io.BytesIO(images["icon.png"])).convert("RGB")
    assert icon.getpixel((14, 14)) == (0, 255, 0)
    assert size(images["strip@2x.png"]) == (750, 288)


def test_a_photograph_does_not_make_the_pass_a_megabyte() -> None:
    out = io.BytesIO()
    Image.effect_noise((1125, 432), 60).convert("RGB").save(out, "JPEG")
    assert len(render_images(design(strip=out.getvalue()))["strip@3x.png"]) < 520_000


def test_a_photograph_lying_on_its_side_is_set_upright() -> None:
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (40, 20)).save(out, "JPEG", exif=exif)
    assert decode(out.getvalue()).size == (20, 40)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_kinds_of_pictures_are_refused(form: str) -> None:
    with pytest.raises(PictureError):
        decode(picture(10, 10, form))


@pytest.mark.parametrize("junk", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF0000WEBP"])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(PictureError):
        decode(junk)


@settings(max_examples=50, deadline=None)
@given(st.integers(8, 400), st.binary(min_size=1, max_size=40))
def test_a_damaged_picture_is_read_or_refused_and_never_anything_else(at: int, junk: bytes) -> None:
    source = picture(64, 64)
    with suppress(PictureError):
        decode(source[:at] + junk + source[at + len(junk) :])


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    header = struct.pack(">2L5B", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))
    with pytest.raises(PictureError, match="million pixels"):
        decode(bomb)


def test_a_file_too_large_is_refused_unread() -> None:
    with pytest.raises(PictureError, match="larger than 5 MB"):
        decode(bytes(MAX_BYTES + 1))


def test_pictures_carry_no_secrets_of_their_camera() -> None:
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (400, 200)).save(out, "JPEG", exif=exif)
    assert all(b"taken at home" not in image for image in render_images(design(logo=out.getvalue())).values())
