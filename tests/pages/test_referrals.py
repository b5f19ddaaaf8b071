"""Friends: a link of one's own, who came by it, and what it earned."""

import re

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from tests.pages.members import Somebody, beside, member
from tests.support.serving import Server
from web.foundation.schema import new_id, utc_now
from web.loyalty.program import Program
from web.loyalty.referral import referral


def joins(friend: Somebody, advocate: Somebody, state: str) -> None:
    def work(conn: Connection, program: Program) -> None:
        conn.execute(
            insert(referral).values(
                program_id=program.id, id=new_id(), advocate_id=advocate.id, friend_id=friend.id, state=state,
                signals=["same_network"], action="verify", min_amount=0, advocate_points=50, friend_points=50,
                hold_days=0, created_at=utc_now(), updated_at=utc_now(),
            )
        )  # fmt: skip

    beside(friend.server, work)


def test_a_link_of_ones_own_and_who_came_by_it(server: Server) -> None:
    with (
        member(server) as kim,
        member(server, name="Rosa Luz <b>Prieto</b>") as rosa,
        member(server, name="Otto Meier") as otto,
        member(server, name="Ida Falk") as ida,
    ):
        page = kim.page("referrals").text
        link = re.search(r'data-link readonly dir="ltr" value="(.*?)"', page)
        assert link
        assert re.fullmatch(rf"{server.url}/brewbar/r/[0-9A-Z]{{8}}", link[1])
        assert link[1] in kim.page("referrals").text, "it stays the same"
        assert "50 Beans for each of you." in page
        assert "Nobody yet" in page
        for way in ("https://wa.me/?text=", "sms:?", "mailto:?"):
            assert way in page
        joins(rosa, kim, "rewarded")
        joins(otto, kim, "flagged")
        joins(ida, kim, "blocked")
        page = kim.page("referrals").text
        assert "2 friends joined" in page
        assert "50 earned" in page
        assert "<bdi>Rosa</bdi>" in page
        assert "Prieto" not in page, "first names only"
        assert "Meier" not in page
        assert "We are looking at it" in page
        assert "Does not count" in page
        assert "same_network" not in page, "what made us look stays with us"
        assert "Rosa" not in otto.page("referrals").text
        assert kim.page("referrals?before=x").status_code == 200
