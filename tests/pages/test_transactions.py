"""Activity: every change is there once, explained, and can be looked at by its kind."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy.engine import Connection

from tests.pages.members import Somebody, beside, demo_customer, member
from tests.pages.steps import change
from tests.support.ledger import an_order
from tests.support.serving import Server
from web.foundation.schema import utc_now
from web.loyalty import points
from web.loyalty.due import expire_due, release_due
from web.loyalty.earning_rules import Line
from web.loyalty.program import Program
from web.loyalty.program_settings import PointsRules
from web.loyalty.purchase import order_paid, order_refunded
from web.loyalty.purchase_record import Paid, Refund

RULES = PointsRules(hold_days=14, expiry="after_earn", expiry_days=60)


def strict(program: Program) -> Program:
    """The demo with points that wait and run out."""

    return msgspec.structs.replace(program, settings=msgspec.structs.replace(program.settings, points=RULES))


def lives(conn: Connection, program: Program, customer_id: str) -> None:
    """Something of each kind: run out, reversed, given back, waiting."""
    rules, now = strict(program), utc_now()
    points.earn(conn, rules, customer_id, 40, an_order(reason="Old toast"))
    expire_due(conn, rules, customer_id, now + timedelta(days=61))
    earned = points.earn(conn, rules, customer_id, 500, an_order(reason="Party", source_ref="T-1024"))
    spent = points.spend(conn, rules, customer_id, 180, an_order(reason="Slice of cake", source="reward"))
    points.give_back(conn, rules, spent.entry_id or "", an_order(reason="Slice of cake", source="reward"))
    points.reverse(conn, rules, earned.entry_id or "", an_order(reason="Party sent back"), amount=100)
    points.earn(conn, rules, customer_id, 25, an_order(reason="Lunch"), hold=True)
    assert release_due(conn, rules, customer_id, now) is None


def reasons(somebody: Somebody, show: str) -> list[str]:
    page = somebody.page(f"transactions?show={show}").text
    return re.findall(r'<span class="entry__for"><bdi>(.*?)</bdi>', page)


def test_each_kind_can_be_looked_at_alone_and_each_entry_says_why(server: Server) -> None:
    with member(server) as kim:
        beside(server, lambda conn, program: lives(conn, program, kim.id))
        assert reasons(kim, "all") == [
            "Party sent back", "Slice of cake", "Slice of cake", "Party", "Ran out", "Old toast",
        ]  # fmt: skip
        assert reasons(kim, "earned") == ["Slice of cake", "Party", "Old toast"]
        assert reasons(kim, "spent") == ["Slice of cake"]
        assert reasons(kim, "expired") == ["Ran out"]
        assert reasons(kim, "waiting") == ["Lunch"]
        assert reasons(kim, "no-such") == reasons(kim, "all")
        page = kim.page("transactions").text
        assert "25 more on their way" in page
        assert "Their last day passed before they were spent." in page
        assert "You spent these, and they came back to you." in page
        assert "sent back or cancelled" in page
        assert "Receipt or order: T-1024" in page
        assert "400 of them are left, and good until" in page
        assert "You can spend them from" in kim.page("transactions?show=waiting").text
        profile = kim.page("profile").text
        assert "+25" in profile
        assert "Good until" in profile


def test_a_purchase_says_how_its_points_came_and_one_without_says_why(server: Server) -> None:
    with member(server) as kim:

        def buys(conn: Connection, program: Program) -> None:
            for number, (amount, gift) in enumerate(((1260, False), (5000, True))):
                line = Line(id="1", amount=amount, gift_card=gift)
                order_paid(
                    conn,
                    program,
                    kim.id,
                    Paid(id=f"{kim.id}-{number}", source="shop", paid_at=utc_now(), lines=(line,)),
                )
            order_refunded(conn, program, "shop", f"{kim.id}-0", Refund(id="1", lines={"1": 630}))

        beside(server, buys)
        page = kim.page("transactions").text
        assert reasons(kim, "all") == ["Refund", "Purchase"]
        assert "€12.60 counted: 4 Beans for every €1.00." in page
        assert "What does not make a whole point is kept for the next time." in page
        assert "Here is why" in page
        assert "gift cards do not" in page
        # Their data can be taken away with all of this, fractions too.
        assert kim.posts("profile/data/export").is_success


def test_the_profile_says_how_far_the_next_tier_is_and_until_when_this_one_is_kept(server: Server) -> None:
    with member(server, points=620) as kim:
        page = kim.page("profile").text
        assert "1,380 more to" in page
        assert "A quarter more beans for every purchase." in page
        assert "Yours until" not in page
        ends = {
            "tier_kept_until": datetime(2030, 1, 1, tzinfo=UTC),
            "cycle_ends_at": datetime(2029, 1, 1, tzinfo=UTC),
        }
        change(server, "balance", {"customer_id": kim.id}, **ends)
        # The programme's midnight is an hour after that of UTC.
        assert "Yours until January 1, 2030." in kim.page("profile").text
        change(server, "balance", {"customer_id": kim.id}, tier_points=420)
        assert "80 more, and you keep it for another year." in kim.page("profile").text


def test_page_by_page_everything_is_seen_once(server: Server) -> None:
    with demo_customer(server, "daniel") as daniel:
        path, balances = "transactions", list[int]()
        while path:
            page = daniel.page(path).text
            shown = re.findall(r"then (−?\d+)</span>", page)
            assert shown
            balances += map(int, shown)
            older = re.search(r'href="/brewbar/(transactions\?before=\d+)"', page)
            path = older[1] if older else ""
        entries = [row for row in daniel.rows("ledger_entry") if row["kind"] in ("earn", "spend", "adjust")]
        expected = sorted(entries, key=lambda row: -row["number"])
        assert balances == [row["available_after"] for row in expected]
        for wrong in ("before=x", "before=99999999999", "before=-1", "n=x&day=%00", "show=%27"):
            assert daniel.page(f"transactions?{wrong}").status_code == 200


def test_a_day_goes_on_under_the_heading_that_it_has(server: Server) -> None:
    with member(server) as kim:

        def drinks(conn: Connection, program: Program) -> None:
            for _ in range(31):
                points.earn(conn, program, kim.id, 1, an_order())

        beside(server, drinks)
        first = kim.page("transactions").text
        assert first.count('class="day"') == 1
        more = re.search(r'hx-get="/brewbar/(.*?)"', first)[1].replace("&amp;", "&")  # type: ignore[index]
        scrolled = kim.client.get(f"/brewbar/{more}", headers={"hx-request": "true"}).text
        assert (scrolled.count('class="day"'), scrolled.count("<details")) == (0, 1)
        assert kim.page(more).text.count('class="day"') == 1, "opened by itself, the page names its day"


def test_nobody_without_history_faces_an_empty_page(server: Server) -> None:
    with member(server) as kim:
        assert "your first points land here" in kim.page("transactions").text
        assert "Nothing ever ran out" in kim.page("transactions?show=expired").text
        assert "Nothing is on its way" in kim.page("transactions?show=waiting").text
        assert "Nothing spent yet" in kim.page("transactions?show=spent").text
        assert "Nothing older" in kim.page("transactions?before=1").text
