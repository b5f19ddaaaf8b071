"""Messages as a customer meets them: the switches in their own pages, and the link in a message."""

import time

import msgspec
from sqlalchemy.engine import Connection

from tests.pages.members import Somebody, beside, member
from tests.support.serving import IPHONE, Server
from web.loyalty.installation import mark_installed
from web.loyalty.program import Program, change_program
from web.loyalty.program_settings import Notices
from web.loyalty.push_message import push
from web.loyalty.wallet_pass import pass_for

PREVIEW = "WhatsApp/2.23.20.0"
URL = "https://example.com/rewards?a=1&b=2"


def message_code(server: Server, somebody: Somebody) -> str:
    """The end of the address that a message on their card links to."""

    def send(conn: Connection, program: Program) -> None:
        held = pass_for(conn, program.id, somebody.id, "apple")
        mark_installed(conn, program.id, held.id)
        push(conn, program, somebody.id, "Look here", kind="service", actor="test", url=URL)

    beside(server, send)
    [row] = somebody.rows("push_message")
    return str(row["code"])


def test_a_link_in_a_message_notes_a_persons_tap_and_leads_on(sqlite_server: Server) -> None:
    with member(sqlite_server) as somebody:
        code = message_code(sqlite_server, somebody)
        clicks = [("head", IPHONE, {}), ("get", PREVIEW, {}), ("get", IPHONE, {"sec-purpose": "prefetch"})]
        for method, agent, more in clicks:
            looked = somebody.client.request(
                method, f"/brewbar/m/{code}", headers={"user-agent": agent, **more}
            )
            assert (looked.status_code, looked.headers["location"]) == (303, URL)
        assert not somebody.rows("event", name="Loyalty card clicked"), "nobody has tapped"
        for _ in range(2):
            tapped = somebody.client.get(f"/brewbar/m/{code.lower()}?url=https://evil.example")
            assert (tapped.status_code, tapped.headers["location"]) == (303, URL)
            assert tapped.headers["referrer-policy"] == "no-referrer"
        [told] = somebody.rows("event", name="Loyalty card clicked")
        [held] = somebody.rows("wallet_pass", platform="apple")
        assert told["properties"]["url"] == URL
        assert told["properties"]["passId"] == held["id"]
        for unknown in ("0" * 12, "x", "%2F%2Fevil.example", code[:-1] + ("0" if code[-1] != "0" else "1")):
            lost = somebody.client.get(f"/brewbar/m/{unknown}")
            assert "evil" not in lost.headers.get("location", "")
            assert lost.headers.get("location", "/brewbar") == "/brewbar"


def test_the_switches_are_those_that_switch_something_and_say_what_else_it_takes(
    sqlite_server: Server,
) -> None:
    def set_notices(notices: Notices) -> None:
        def work(conn: Connection, program: Program) -> None:
            changed = msgspec.structs.replace(program.settings, notices=notices)
            change_program(conn, program.slug, changed)

        beside(sqlite_server, work)

    with member(sqlite_server) as somebody:
        page = somebody.page("profile/messages").text
        for key in ("balance", "tier", "reward", "marketing"):
            assert f'value="{key}" checked' in page, key
        assert "News and offers come only if you agree below." in page
        somebody.client.post(
            "/brewbar/profile/messages",
            data={"consents": "card_messages", "notifications": ["balance", "marketing"]},
        )
        page = somebody.page("profile/messages").text
        assert "News and offers come only" not in page
        assert 'value="reward" checked' not in page
        before = Notices()
        try:
            set_notices(Notices(tier=False, quiet_hours="21:00-09:00"))
            # Every process has it within seconds.
            ends = time.monotonic() + 15
            while time.monotonic() < ends:
                page = somebody.page("profile/messages").text
                if 'value="tier"' not in page:
                    break
            assert 'value="tier"' not in page, "what the programme does not tell has no switch"
            assert "Between 9:00" in page
            somebody.client.post("/brewbar/profile/messages", data={"notifications": ["tier", "balance"]})
        finally:
            set_notices(before)
        [row] = [each for each in somebody.rows("consent_event") if each["purpose"] == "card_messages"][-1:]
        assert row["decision"] == "withdrawn"
    [customer] = beside(
        sqlite_server,
        lambda conn, _: conn.exec_driver_sql(
            f"select notifications from customer where id = '{somebody.id}'"
        ).all(),
    )
    kept = msgspec.json.decode(customer[0])
    assert (kept["tier"], kept["balance"], kept["marketing"]) == (False, True, False)
