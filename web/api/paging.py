"""Pages of lists: by the place where the last one ended, so that the thousandth costs what the first does."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from web.api.problems import invalid_parameter

T = TypeVar("T")

Limit = Annotated[int, Meta(ge=1, le=100, description="How many items at most.")]
Cursor = Annotated[
    str, Meta(max_length=400, description="`nextCursor` of the page before; without it, the first page.")
]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 50
    cursor: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """One page of a list; `nextCursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None


def cursor_at(place: str) -> str:
    """The cursor for what comes after `place`. Callers pass it back as it is and read nothing into it."""
    return base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def place_of(cursor: str | None) -> str | None:
    """The place that a cursor of ours means. Raises: Problem."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise invalid_parameter("cursor", "This is no cursor of ours; begin without one.") from None
