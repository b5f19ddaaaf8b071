"""The site's CSS as one text that stands in the page itself: it saves the round trip of a linked file."""

import base64
import hashlib
import re
from pathlib import Path

_TOKEN = re.compile(
    r"""
    (?P<kept> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | url\(\s*[^"'\s)][^)]*\) )
    | (?P<punctuation> (?:\s|/\*.*?\*/)* [{};,] (?:\s|/\*.*?\*/)* )
    | (?P<colon> :(?:\s|/\*.*?\*/)+ )
    | (?P<gap> (?:\s|/\*.*?\*/)+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def stylesheet(folder: Path) -> str:
    """The `.css` files of `folder` in the order of their names (`00-layers.css` first), minified.

    ValueError for a file that would end the `<style>` element it is written into.
    """
    css = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.css")))
    if "</style" in css.lower():
        raise ValueError(f"the style sheets in {folder} contain </style")
    return minify(css)


def minify(css: str) -> str:
    """`css` without comments and needless white space; strings and addresses stay as they are.

    White space between two words, and before a colon, can mean something: it becomes one space.
    """
    return _TOKEN.sub(_shortened, css).replace(";}", "}").strip()


def _shortened(token: re.Match[str]) -> str:
    text = token[0]
    if token["kept"]:
        return text
    blank = _COMMENT.sub("", text)
    if token["gap"]:
        # A comment alone keeps two words apart without being a space: `a/**/b`.
        return " " if blank else "/**/"
    return blank.strip()


def style_hash(css: str) -> str:
    """The source expression that allows `<style>{css}</style>` in a Content-Security-Policy (CSP 3, 6.7.2).

    The page must contain exactly `css`: an escaped quote would change the hash.
    """
    digest = hashlib.sha256(css.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
