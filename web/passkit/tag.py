"""What a phone is told to ask with next time: `passesUpdatedSince`.

The tag is made of the very versions that the phone was told of, one for each pass it holds. So whatever order
transactions commit in, and whatever clocks say, a version that the phone was not told of differs from its tag.
"""

import hashlib
from collections.abc import Sequence

import msgspec

# Beyond these a tag would be too long for an address, and stands for all of them by one digest.
MOST_WRITTEN_OUT = 24


class Held(msgspec.Struct, frozen=True):
    """A pass that a phone holds, by its serial number and its present version."""

    id: str
    version: int


def tag_of(passes: Sequence[Held]) -> str:
    """The tag of all that a phone holds, in whatever order."""
    entries = sorted(_entry(held) for held in passes)
    written = ".".join(entries)
    if len(entries) <= MOST_WRITTEN_OUT:
        return written
    return "all-" + hashlib.sha256(written.encode()).hexdigest()


def changed_since(tag: str, passes: Sequence[Held]) -> list[str]:
    """The serials of those passes that differ from what the tag says; all of them for a tag that says nothing.

    One too many costs an answer of "not modified"; one too few is a card that stays old.
    """
    if tag == tag_of(passes):
        return []
    known = set(tag.split("."))
    return [held.id for held in passes if _entry(held) not in known]


def _entry(held: Held) -> str:
    # The last group of a serial has 48 random bits.
    return f"{held.id.rpartition('-')[2]}-{held.version}"
