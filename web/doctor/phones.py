"""Phones that hold cards: do they complain?"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy.engine import Connection

from web.foundation.finding import Finding
from web.foundation.schema import utc_now
from web.wallet.apple.phone_log import complaints

LATELY = timedelta(days=1)
SHOWN = 160


def look_at_phones(conn: Connection) -> Iterator[Finding]:
    """What phones told Apple's web service of ours in the last day."""
    told = complaints(conn, most=1000, since=utc_now() - LATELY)
    if not told:
        yield Finding("ok", "No phone complained in the last day.")
        return
    different = "1 complaint" if len(told) == 1 else f"{len(told)} different complaints"
    yield Finding(
        "note",
        f"Phones had {different} in the last day; the last one: {told[0].message[:SHOWN]}",
        "See all: python -m web passkit log",
    )
