"""A coupon or gift card on its way into a wallet, and a phone that is gone."""

import json
import re
import zipfile
from datetime import timedelta
from io import BytesIO

from sqlalchemy.engine import Connection

from tests.pages.members import Somebody, beside, member
from tests.pages.steps import change
from tests.support.rows import rows_of
from tests.support.serving import IPHONE, Server
from web.foundation.schema import utc_now
from web.loyalty.assigning import assign, use
from web.loyalty.coupon import NewCoupon, add_coupon
from web.loyalty.pass_item import NewItem, issue_item
from web.loyalty.program import Program


def pass_in(content: bytes) -> dict[str, object]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return dict(json.loads(archive.read("pass.json")))


def number_of(somebody: Somebody) -> str:
    [row] = rows_of(somebody.server.environment["DATABASE_URL"], "customer", id=somebody.id)
    return str(row["card_number"])


def test_a_coupon_goes_from_its_page_into_the_wallet_and_is_worthless_when_it_was_used(
    server: Server,
) -> None:
    with member(server) as kim:

        def gives(conn: Connection, program: Program) -> str:
            new = NewCoupon(name={"en": f"Cup <b>&amp; {kim.id[-6:]}"}, kind="percent", value=20)
            return assign(conn, program, add_coupon(conn, program.id, new), kim.id, key="a").id

        assigned_id = beside(server, gives)
        assert "Put it into the wallet" in kim.page(f"coupons/{assigned_id}").text
        page = kim.client.post(f"/brewbar/coupons/{assigned_id}/wallet", follow_redirects=True)
        assert page.status_code == 200
        assert "Cup &lt;b&gt;" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        path = page.url.path
        taken = kim.client.post(f"{path}/apple", headers={"user-agent": IPHONE})
        assert taken.headers["content-type"] == "application/vnd.apple.pkpass"
        content = pass_in(taken.content)
        assert "coupon" in content
        again = pass_in(kim.client.post(f"{path}/apple").content)
        assert again["serialNumber"] == content["serialNumber"]
        google = kim.client.post(f"{path}/google", follow_redirects=False)
        assert google.headers["location"].startswith("https://pay.google.com/gp/v/save/")
        beside(server, lambda conn, program: use(conn, program, assigned_id))
        gone = kim.client.get(path)
        assert gone.status_code == 410
        assert "was used" in gone.text
        assert kim.client.post(f"{path}/apple", follow_redirects=False).status_code == 303


def test_somebody_else_s_coupon_is_nobody_s_to_take(server: Server) -> None:
    with member(server) as kim, member(server) as sam:

        def gives(conn: Connection, program: Program) -> str:
            new = NewCoupon(name={"en": f"Cake {kim.id[-6:]}"})
            return assign(conn, program, add_coupon(conn, program.id, new), kim.id, key="a").id

        assert sam.posts(f"coupons/{beside(server, gives)}/wallet").status_code == 404
        assert sam.client.get(f"/brewbar/passes/{'A' * 26}").status_code == 404


def test_a_gift_card_s_address_shows_what_is_left_and_nobody_s_name(server: Server) -> None:
    with member(server, name="Kim Secret") as kim:

        def gives(conn: Connection, program: Program) -> str:
            new = NewItem(kind="gift_card", title={"en": "Gift card"}, number="6391", amount=2550)
            return issue_item(conn, program.id, kim.id, new).code

        page = server.client().get(f"/brewbar/passes/{beside(server, gives)}")
        assert page.status_code == 200
        assert "€25.50" in page.text
        assert "Secret" not in page.text


def test_a_lost_phone_s_card_is_replaced_without_staff(server: Server) -> None:
    with member(server, points=70) as kim:
        old = pass_in(kim.page("card.pkpass").content)
        number = number_of(kim)
        assert "My old phone is gone" in kim.page("profile/devices").text
        asked = kim.posts("profile/lost-phone")
        assert asked.status_code == 422
        assert re.search(r'<a href="#sure">', asked.text)
        assert number_of(kim) == number
        done = kim.client.post("/brewbar/profile/lost-phone", data={"sure": "yes"}, follow_redirects=True)
        assert done.status_code == 200
        assert "Your new card" in done.text
        assert number_of(kim) != number
        assert [row["status"] for row in kim.rows("wallet_pass", id=old["serialNumber"])] == ["voided"]
        new = pass_in(kim.page("card.pkpass").content)
        assert new["serialNumber"] != old["serialNumber"]


def test_who_has_not_just_come_from_the_inbox_is_sent_there_first(server: Server) -> None:
    with member(server) as kim:
        change(kim.server, "session", {"customer_id": kim.id}, created_at=utc_now() - timedelta(hours=2))
        assert "Send me the link" in kim.page("profile/lost-phone").text
        number = number_of(kim)
        kim.posts("profile/lost-phone", sure="yes")
        assert number_of(kim) == number
