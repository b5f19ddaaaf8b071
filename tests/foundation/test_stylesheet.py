"""The site's CSS in the page: smaller, and meaning the same."""

import base64
import hashlib
from pathlib import Path

import pytest

from web.foundation.stylesheet import minify, style_hash, stylesheet


@pytest.mark.parametrize(
    ("css", "minified"),
    [
        ("a {\n  color: red;\n  margin: 0 auto;\n}\n", "a{color:red;margin:0 auto}"),
        ("/* why */\na, b { color: red }", "a,b{color:red}"),
        ("a :is(b) { }", "a :is(b){}"),
        ("a :hover{} a:hover{}", "a :hover{}a:hover{}"),
        ("a{width:calc(1px + 2px - 3px)}", "a{width:calc(1px + 2px - 3px)}"),
        ("a{margin:1px/**/2px} a/**/.b{}", "a{margin:1px/**/2px}a/**/.b{}"),
        ("a { /* one */ /* two */ color : red; }", "a{color :red}"),
        ("a::before { content: ' { /* no */ ; } ' }", "a::before{content:' { /* no */ ; } '}"),
        ('a::before { content: "\\"  ;  " }', 'a::before{content:"\\"  ;  "}'),
        ("a { background: url(data:image/svg+xml;utf8,x) }", "a{background:url(data:image/svg+xml;utf8,x)}"),
        ("@media (width >= 40rem) and (hover) { a { b: c } }", "@media (width >= 40rem) and (hover){a{b:c}}"),
        ("@layer reset, base;\n@layer base { a { --x: 1px } }", "@layer reset,base;@layer base{a{--x:1px}}"),
        ("a { & > b { c: d } ; }", "a{& > b{c:d}}"),
    ],
)
def test_only_what_means_nothing_is_left_out(css: str, minified: str) -> None:
    assert minify(css) == minified
    assert minify(minified) == minified


def test_files_are_joined_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "card.css").write_text("@layer parts { c { d: e } } /* end")
    (tmp_path / "card.css").write_text("@layer parts { c { d: e } }")
    (tmp_path / "00-layers.css").write_text("@layer base, parts;")
    (tmp_path / "note.txt").write_text("not a style")
    assert stylesheet(tmp_path) == "@layer base,parts;@layer parts{c{d:e}}"


def test_css_that_would_end_its_element_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text('a::after { content: "</STYLE>" }')
    with pytest.raises(ValueError, match="</style"):
        stylesheet(tmp_path)


def test_a_site_without_styles_has_an_empty_one(tmp_path: Path) -> None:
    assert stylesheet(tmp_path / "css") == ""


def test_the_hash_is_the_one_a_browser_computes() -> None:
    digest = base64.b64encode(hashlib.sha256("a{content:'é'}".encode()).digest()).decode()
    assert style_hash("a{content:'é'}") == f"'sha256-{digest}'"
