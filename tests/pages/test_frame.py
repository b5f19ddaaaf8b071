"""What surrounds a session page is kept, and nobody's own ever stays in it."""

import gzip

import pytest

from tests.pages.members import member
from tests.support.serving import Server
from web.pages.frame import HOLES, Frame


@pytest.mark.parametrize("accepted", ["gzip, br", ""])
def test_holes_are_filled_anew_each_time(accepted: str) -> None:
    frame = Frame(
        f"<title>{HOLES['title']}</title><p>{HOLES['here']}en {HOLES['here']}es</p>{HOLES['page']}."
    )
    for name in ("Ana", "Ben"):
        body, coding = frame.around({"title": name, "here": "/x?lang=", "page": f"<b>{name}</b>"}, accepted)
        plain = gzip.decompress(body) if coding else body
        assert plain.decode() == f"<title>{name}</title><p>/x?lang=en /x?lang=es</p><b>{name}</b>."


def test_each_sees_their_own_page_in_the_frame_that_both_share(server: Server) -> None:
    with member(server, points=111, name="Ana One") as ana, member(server, points=222, name="Ben Two") as ben:
        for _ in range(2):
            for who, name, points in ((ana, "Ana One", "+111"), (ben, "Ben Two", "+222")):
                page = who.page("profile").text
                assert {each for each in ("Ana One", "Ben Two") if each in page} == {name}
                assert {each for each in ("+111", "+222") if each in page} == {points}
        for path in ("profile", "transactions"):
            page = ana.page(f"{path}?x=%22%3E&lang=en").text
            assert f'href="/brewbar/{path}?x=%22%3E&amp;lang=es"' in page
