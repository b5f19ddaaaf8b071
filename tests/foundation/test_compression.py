"""Content codings: which one a browser wants, and that it gets its bytes back."""

import gzip
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.compression import BEST, Coding, Start, compress, compress_page, negotiate


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("x-gzip", "gzip"),
        ("BR", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0, gzip;q=0", ""),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("*;q=0", ""),
        ("identity", ""),
        ("identity;q=0", ""),
        ("deflate, zstd", ""),
        ("br;q=2, gzip;q=x", ""),
        ("", ""),
    ],
)
def test_the_heaviest_coding_wins_and_brotli_before_gzip(accept_encoding: str, coding: Coding) -> None:
    assert negotiate(accept_encoding) == coding


@given(st.text())
def test_any_field_is_answered(accept_encoding: str) -> None:
    assert negotiate(accept_encoding) in ("br", "gzip", "")


@given(st.binary())
def test_every_coding_gives_the_bytes_back(body: bytes) -> None:
    assert brotli.decompress(compress(body, "br")) == body
    assert gzip.decompress(compress(body, "gzip")) == body
    assert compress(body, "") == body


def test_the_best_level_is_smaller_and_the_same_every_time() -> None:
    body = Path(__file__).read_bytes()
    for coding in ("br", "gzip"):
        best = compress(body, coding, BEST[coding])
        assert len(best) < len(compress(body, coding, 1))
        assert best == compress(body, coding, BEST[coding])


@given(st.binary(max_size=40_000), st.binary(max_size=40_000), st.binary())
def test_what_begins_alike_is_packed_once_and_whole_again_after_it(
    plain: bytes, rest: bytes, other: bytes
) -> None:
    start = Start(plain)
    for end in (rest, other, b""):
        assert gzip.decompress(start.gzip(end)) == plain + end


def test_a_page_is_hardly_larger_than_packed_as_a_whole() -> None:
    style = b"".join(path.read_bytes() for path in sorted(Path("assets/css").glob("*.css")))
    page = b"<style>" + style + b"</style>" + Path(__file__).read_bytes()
    packed, coding = compress_page(page, "gzip, br")
    assert coding == "gzip"
    assert gzip.decompress(packed) == page
    assert len(packed) < 1.1 * len(gzip.compress(page, 6))
