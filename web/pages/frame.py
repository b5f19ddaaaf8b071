"""What surrounds a session page: rendered once for a programme, language and section, and kept as bytes.

A frame is the head with its style, the sections and the foot: four fifths of a page, and the same for everybody. It is
made without looking at any visitor, so nothing of one can stay in it; what differs goes through holes, marked by the
one character that no text here may contain.
"""

from collections.abc import Mapping

from markupsafe import Markup

from web.foundation.compression import Start, takes_gzip

MARK = "\0"
HOLES = {name: Markup(f"{MARK}{name}{MARK}") for name in ("title", "page", "here")}  # noqa: S704 (our own words)


class Frame:
    """A frame's HTML, cut at its holes."""

    def __init__(self, html: str) -> None:
        start, *rest = html.split(MARK)
        self._start = Start(start.encode())
        self._holes, self._texts = rest[::2], rest[1::2]

    def around(self, holes: Mapping[str, str], accept_encoding: str) -> tuple[bytes, str]:
        """The page with its holes filled, and the content coding that it is in: gzip or none.

        Brotli has to read the whole page again; gzip knows the start already.
        """
        pieces: list[str] = []
        for hole, text in zip(self._holes, self._texts, strict=True):
            pieces += (holes[hole], text)
        rest = "".join(pieces).encode()
        if takes_gzip(accept_encoding):
            return self._start.gzip(rest), "gzip"
        return self._start.plain + rest, ""
