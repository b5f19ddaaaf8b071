"""A code as a page shows it: to be read out, copied, or scanned as barcode or QR."""

from typing import Any

from web.foundation import barcode, qr
from web.foundation.short_code import grouped


def code_view(code: str, *, is_ours: bool) -> dict[str, Any]:
    """`shown` is in groups for a code of ours; others may mean something by their spaces and dashes."""
    try:
        bars = barcode.svg(code)
    except barcode.NotEncodableError:
        bars = None
    return {
        "plain": code,
        "shown": grouped(code, 3) if is_ours else code,
        "barcode_svg": bars,
        "qr_svg": qr.svg(code, "M"),
    }
