"""Ways to earn: each says where it stands, and a tap on a merchant's link earns once and leads on."""

import re
from datetime import date
from html import unescape

import pytest
from sqlalchemy.engine import Connection

from tests.pages.members import beside, member
from tests.pages.steps import change
from tests.support.serving import Server
from web.foundation.schema import utc_now
from web.loyalty.earning import run_flow
from web.loyalty.earning_rules import Happening
from web.loyalty.program import Program
from web.pages.earning_flows import next_period


def way(page: str, title: str) -> str:
    """One way to earn on the page."""
    return next(part for part in page.split('<li class="way') if f"<h2>{title}</h2>" in part)


def test_each_way_says_where_it_stands(server: Server) -> None:
    with member(server) as kim:
        page = kim.page("loyalty/earning-flows").text
        assert "for each €1" in way(page, "Everything you buy")
        assert "Fill in my details" in way(page, "Tell us how you like it")
        assert "Say when it is" in way(page, "Your birthday")
        change(server, "customer", {"id": kim.id}, birthday="--03-27")
        assert "Say when it is" not in kim.page("loyalty/earning-flows").text

        def brings_a_cup(conn: Connection, program: Program) -> None:
            run_flow(conn, program, kim.id, "CUSTOM_1", Happening(at=utc_now()), key=kim.id)

        beside(server, brings_a_cup)
        assert "Again from" in way(kim.page("loyalty/earning-flows").text, "Bring your own cup")


def test_a_tap_on_a_link_earns_once_and_leads_on(server: Server) -> None:
    with member(server) as kim:
        page = kim.page("loyalty/earning-flows").text
        form = re.search(r'action="/brewbar/(loyalty/earning-flows/[\w-]+)" target="_blank"', page)
        assert form
        for points in (10, 10):
            gone = kim.posts(form[1], link="instagram")
            assert gone.status_code == 200
            assert "url=https://www.instagram.com/brewbar.example" in unescape(gone.text)
            assert gone.headers["referrer-policy"] == "no-referrer"
            assert kim.points() == points
        after = way(kim.page("loyalty/earning-flows").text, "See what is roasting")
        assert "Instagram</bdi> ✓" in after
        assert 'value="tiktok"' in after
        assert kim.posts(form[1], link="tiktok").status_code == 200
        assert kim.points() == 20
        assert "Done" in way(kim.page("loyalty/earning-flows").text, "See what is roasting")
        for wrong, link in (
            (form[1], "https://evil.example"),
            (form[1], ""),
            ("loyalty/earning-flows/x", "tiktok"),
        ):
            assert kim.posts(wrong, link=link).status_code == 404
        assert kim.client.get(f"/brewbar/{form[1]}").status_code == 405, "looking earns nothing"


@pytest.mark.parametrize(
    ("recurrence", "today", "again"),
    [
        ("day", date(2026, 12, 31), date(2027, 1, 1)),
        ("week", date(2026, 11, 21), date(2026, 11, 23)),
        ("week", date(2026, 11, 23), date(2026, 11, 30)),
        ("month", date(2026, 1, 31), date(2026, 2, 1)),
        ("quarter", date(2026, 11, 21), date(2027, 1, 1)),
        ("quarter", date(2026, 1, 1), date(2026, 4, 1)),
        ("year", date(2028, 2, 29), date(2029, 1, 1)),
        ("once", date(2026, 11, 21), None),
    ],
)
def test_it_can_be_had_again_when_the_next_period_begins(
    recurrence: str, today: date, again: date | None
) -> None:
    assert next_period(recurrence, today) == again  # type: ignore[arg-type]
