"""Coupons: those to use, those used, those that are over; each with its code, its owner's alone."""

import re
from datetime import timedelta

from sqlalchemy.engine import Connection

from tests.pages.members import beside, member
from tests.support.serving import Server
from web.foundation.schema import new_id, utc_now
from web.loyalty.assigning import assign, expire, revoke, use
from web.loyalty.coupon import NewCoupon, add_coupon
from web.loyalty.program import Program


def test_coupons_go_from_to_use_to_used_or_over(server: Server) -> None:
    with member(server) as kim, member(server) as sam:

        def gives(conn: Connection, program: Program) -> list[str]:
            """Two to use, one used, one over, one taken back; and 25 of another to leaf through."""
            now, ids = utc_now(), list[str]()
            treat = add_coupon(
                conn,
                program.id,
                NewCoupon(
                    name={"en": f"Treat {kim.id[-6:]}"}, kind="percent", value=20, good_days=20, most_each=50
                ),
            )
            shared = NewCoupon(
                name={"en": "Shared"},
                kind="fixed",
                value=500,
                code_source="shared",
                shared_code=f"OPEN-{kim.id[-6:]}",
            )
            ids.append(assign(conn, program, treat, kim.id, key="a").id)
            ids.append(assign(conn, program, add_coupon(conn, program.id, shared), kim.id, key="b").id)
            used = assign(conn, program, treat, kim.id, key="c")
            use(conn, program, used.id)
            over = assign(conn, program, treat, kim.id, key="d", now=now - timedelta(days=30))
            expire(conn, program, over.id, now)
            gone = assign(conn, program, treat, kim.id, key="e")
            revoke(conn, program, gone.id)
            for number in range(25):
                assign(conn, program, treat, sam.id, key=str(number))
            return [*ids, used.id, over.id, gone.id]

        treat, shared, used, over, gone = beside(server, gives)
        page = kim.page("coupons").text
        assert re.findall(r'href="/brewbar/coupons/([\w-]{36})"', page) == [shared, treat], "the newest first"
        assert "20%" in page
        assert "€5</bdi>" in page
        [code] = [row["code"] for row in kim.rows("coupon_code", id=treat)]
        one = kim.page(f"coupons/{treat}").text
        assert f'data-copy="{code}"' in one
        assert one.count("<svg") == 2
        assert "Until" in one
        assert f"OPEN-{kim.id[-6:]}" in kim.page(f"coupons/{shared}").text
        assert "Used on" in kim.page("coupons?show=used").text
        assert "Over since" in kim.page("coupons?show=expired").text
        for closed in (used, over):
            page = kim.page(f"coupons/{closed}")
            assert page.status_code == 200
            assert "data-copy" not in page.text, "what is over has no code to show"
        for hidden in (gone, new_id(), "x"):
            assert kim.page(f"coupons/{hidden}").status_code == 404
        assert sam.page(f"coupons/{treat}").status_code == 404, "not theirs"
        seen, path = list[str](), "coupons"
        while path:
            page = sam.page(path).text
            seen += re.findall(r'href="/brewbar/coupons/([\w-]{36})"', page)
            older = re.search(r'href="/brewbar/(coupons\?before=[\w-]+)"', page)
            path = older[1] if older else ""
        assert len(seen) == len(set(seen)) == 25


def test_without_coupons_the_page_says_what_will_be_there(server: Server) -> None:
    with member(server) as kim:
        assert "it waits here with its code" in kim.page("coupons").text
        assert "You have not used one yet." in kim.page("coupons?show=used").text
        assert "None of yours ran out." in kim.page("coupons?show=expired").text
        assert kim.page("coupons?show=zzz&before=zzz").status_code == 200
