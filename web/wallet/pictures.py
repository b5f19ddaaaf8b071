"""A merchant's picture as it is taken in: encoded again from its pixels, in the sizes that pages and wallets need."""

import io

from PIL import Image

from web.loyalty.program import ImageKind
from web.wallet.apple.images import decode

LARGEST_SIDE = 1200
# 44 points on a phone with three pixels to the point.
MARK_SIDE = 132


def take_in(kind: ImageKind, given: bytes) -> dict[ImageKind, bytes]:
    """What to keep of a picture; of a logo also the small one that pages show.

    Whatever else was in the merchant's file stays behind. Raises: PictureError.
    """
    picture = decode(given)
    kept: dict[ImageKind, bytes] = {kind: _encode(picture, LARGEST_SIDE)}
    if kind == "logo":
        kept["mark"] = _encode(picture, MARK_SIDE)
    return kept


def _encode(picture: Image.Image, side: int) -> bytes:
    smaller = picture.copy()
    smaller.thumbnail((side, side))
    encoded = io.BytesIO()
    smaller.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
