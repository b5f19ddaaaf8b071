"""The three steps, over real HTTP and on both databases."""

import contextlib
import html
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pages.conftest import create_program
from tests.pages.steps import change, customer_of, links_in, new_address, register, registered
from tests.support.rows import rows_of
from tests.support.serving import Server
from web.foundation.schema import utc_now

EVIL = "<b>Zoë</b>\"'&{{7*7}}"
HARD_NAMES = {
    "two\r\nlines\tand a tab": "two lines and a tab",
    "right\u202eto left": "right to left",
    "\u2066isolated\u2069": "isolated",
    "  many    spaces  ": "many spaces",
    "Ωμέγα 王小明 🎉": "Ωμέγα 王小明 🎉",
}
ATELIER = {
    "field_shoe": "42",
    "field_since_day": "1",
    "field_since_month": "2",
    "field_since_year": "2020",
    "field_style": "lush",
    "field_born_day": "29",
    "field_born_month": "2",
    "field_born_year": "1988",
}


def test_three_steps_make_a_customer_with_a_card(server: Server) -> None:
    address = new_address()
    with server.client() as client:
        about = client.get("/brewbar/register/about")
        assert about.headers["location"] == "/brewbar/register", "step 2 needs step 1"
        done = register(client, address, consents="news")
        assert done.headers["location"] == "/brewbar/register/card"
        card = client.get("/brewbar/register/card")
        assert "Zoë, here is your card" in card.text
        assert client.get("/brewbar/card.pkpass").headers["content-type"] == "application/vnd.apple.pkpass"
    customer = customer_of(server, address)
    assert customer["name"] == "Zoë"
    assert customer["visit_id"]


def test_boxes_are_empty_and_both_decisions_are_kept_with_their_wording(server: Server) -> None:
    url, address = server.environment["DATABASE_URL"], new_address()
    with server.client(accept_language="es") as client:
        client.post("/brewbar/register", data={"contact": address})
        page = client.get("/brewbar/register/about").text
        assert 'type="checkbox"' in page
        assert "checked" not in page
        client.post("/brewbar/register/about", data={"name": "Zoë", "consents": ["news", "made-up"]})
    decisions = rows_of(url, "consent_event", customer_id=customer_of(server, address)["id"])
    assert {row["purpose"]: row["decision"] for row in decisions} == {
        "news": "granted",
        "card_messages": "refused",
    }
    for row in decisions:
        [wording] = rows_of(url, "consent_wording", purpose=row["purpose"], locale="es")
        assert (row["wording_version"], row["wording_sha256"]) == (wording["version"], wording["sha256"])


def test_a_known_address_is_told_to_look_in_its_inbox_and_shown_nothing(server: Server) -> None:
    with server.client() as client:
        answer = register(client, "Ana@Example.com")
        assert answer.headers["location"] == "/brewbar/register/sent"
        page = client.get("/brewbar/register/sent")
        assert "Ana@example.com" in page.text
        assert "López" not in page.text
        assert client.get("/brewbar/register/card").status_code == 303
        assert client.get("/brewbar/card.pkpass").status_code == 303
        assert client.get("/brewbar/google-wallet").status_code == 303
    assert server.messages("ana@example.com")
    assert not server.messages("Ana@example.com", most=0), "the link goes to the address as it is stored"


def test_a_phone_number_in_national_form_registers(server: Server) -> None:
    with server.client() as client:
        number = f"6{abs(hash(client)) % 10**8:08d}"
        answer = register(client, f"{number[:3]} {number[3:6]} {number[6:]}")
        assert answer.headers["location"] == "/brewbar/register/card"
        assert client.get("/brewbar/register/card").status_code == 200
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", phone=f"+34{number}")
    assert row["email"] is None
    [text] = server.messages(f"+34{number}")
    assert text["channel"] == "sms"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Enter an e-mail address"),
        ("   ", "Enter an e-mail address"),
        ("zoe@", "Enter an e-mail address"),
        ("zoe@host", "Enter an e-mail address"),
        ("josé@example.org", "Enter an e-mail address"),
        ("12", "or a mobile number"),
        ("+1 900 555 0123", "or a mobile number"),
        ("zoe\u202e@example.org", "Enter an e-mail address"),
        (EVIL, "Enter an e-mail address"),
    ],
)
@pytest.mark.parametrize("path", ["/brewbar/register", "/brewbar/card"])
def test_a_wrong_address_is_asked_for_again_with_what_was_typed(
    sqlite_server: Server, path: str, typed: str, says: str
) -> None:
    with sqlite_server.client() as client:
        answer = client.post(path, data={"contact": typed})
    assert answer.status_code == 422
    assert answer.headers["hx-push-url"] == "false"
    assert says in answer.text
    assert (
        f'value="{html.escape(typed.strip()).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")}"'
        in answer.text
    )
    assert "<b>Zoë" not in answer.text


@pytest.mark.parametrize(
    ("slug", "field", "good", "bad", "says"),
    [
        ("atelier", "email", "zoe.atelier@example.org", "07400 123456", "Enter an e-mail address like"),
        ("kiosk", "phone", "07400 123456", "zoe@example.org", "Enter a mobile number like 07400 123456"),
    ],
)
def test_a_programme_asks_for_what_it_wants(
    shops: Server, slug: str, field: str, good: str, bad: str, says: str
) -> None:
    with shops.client() as client:
        assert f'name="{field}"' in client.get(f"/{slug}/register").text
        refused = client.post(f"/{slug}/register", data={field: bad})
        assert refused.status_code == 422
        assert says in refused.text
        assert client.post(f"/{slug}/register", data={field: good}).status_code == 303


def test_a_programme_made_while_the_server_runs_is_there_within_seconds(server: Server) -> None:
    create_program(server, "corner", "--slug", "corner", "--name", "Corner", "--asks", "email")
    with server.client() as client:
        answer = register(client, new_address(), slug="corner", field="email")
        assert answer.headers["location"] == "/corner/register/card"
        assert client.get("/corner/card.pkpass").status_code == 200


def test_a_likely_slip_is_questioned_and_either_answer_is_taken(sqlite_server: Server) -> None:
    for answer, kept in (("zoe.slip@gmail.com", "zoe.slip@gmail.com"), ("keep", "zoe.slip@gmial.com")):
        with sqlite_server.client() as client:
            asked = client.post("/brewbar/register", data={"contact": "zoe.slip@gmial.com"})
            assert asked.status_code == 422
            assert "zoe.slip@gmail.com" in asked.text
            assert 'value="zoe.slip@gmial.com"' in asked.text
            again = {"contact": "zoe.slip@gmial.com", "slip": answer}
            assert client.post("/brewbar/register", data=again).status_code == 303
            assert f'value="{kept}"' in client.get("/brewbar/register").text


def test_every_fault_of_step_two_is_said_at_once_and_nothing_is_lost(shops: Server) -> None:
    wrong = {
        "name": "",
        "field_shoe": "x" * 201,
        "field_since_day": "31",
        "field_since_month": "2",
        "field_since_year": "2020",
        "field_style": "baroque",
        "field_born_day": "1",
        "field_born_month": "1",
        "field_born_year": str(utc_now().year + 1),
        "field_note": EVIL,
    }
    with shops.client() as client:
        client.post("/atelier/register", data={"email": new_address()})
        answer = client.post("/atelier/register/about", data=wrong)
        assert answer.status_code == 422
        assert answer.headers["hx-push-url"] == "false"
        for sentence in (
            "Enter the name that should be on the card",
            "Use at most 200 characters: Your shoe size",
            "Enter a real date, like 27 3 1990: Customer since",
            "Choose one: Your style",
            "A birthday lies in the past",
        ):
            assert answer.text.count(sentence) == 2, f"in the summary and at the field: {sentence}"
        assert "x" * 201 in answer.text
        assert "<b>Zoë" not in answer.text
        later = client.get("/atelier/register/about").text
        assert html.unescape(later).count(EVIL) == 1, "what was typed is there after a reload too"
        assert later.count('value="31"') == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "  \u202e\x07 "}, "Enter the name that should be on the card"),
        ({"name": "x" * 81}, "Use at most 80 characters for the name"),
        ({"field_shoe": ""}, "Fill this in: Your shoe size"),
        ({"field_style": ""}, "Choose one: Your style"),
        ({"field_since_day": "", "field_since_month": "", "field_since_year": ""}, "Enter a real date"),
        ({"field_since_year": "90"}, "Enter a real date"),
        ({"field_since_day": "1_0"}, "Enter a real date"),
        ({"field_moved_day": "1"}, "Enter a real date, like 27 3 1990: Moved in"),
        ({"field_born_year": "1987"}, "Enter a real birthday"),
        ({"field_born_year": "1788"}, "Enter a real birthday"),
        ({"field_born_month": "13"}, "Enter a real birthday"),
        ({"field_born_day": "", "field_born_month": "", "field_born_year": ""}, "Enter a real birthday"),
        ({"field_note": "x" * 201}, "Use at most 200 characters: Anything else"),
    ],
)
def test_each_field_says_what_to_do(shops: Server, given: dict[str, str], sentence: str) -> None:
    with shops.client() as client:
        answer = register(client, new_address(), slug="atelier", field="email", **{**ATELIER, **given})
    assert answer.status_code == 422
    assert sentence in answer.text


@pytest.mark.parametrize(
    ("born", "kept"),
    [
        (("29", "2", "1988"), "1988-02-29"),
        (("29", "2", ""), "--02-29"),
        (("7", "11", ""), "--11-07"),
    ],
)
def test_the_answers_are_kept(shops: Server, born: tuple[str, str, str], kept: str) -> None:
    address = new_address()
    parts = dict(zip(("field_born_day", "field_born_month", "field_born_year"), born, strict=True))
    with shops.client() as client:
        done = register(client, address, slug="atelier", field="email", **{**ATELIER, **parts})
        assert done.headers["location"] == "/atelier/register/card"
    row = customer_of(shops, address)
    assert row["birthday"] == kept
    assert row["extra"] == {"shoe": "42", "since": "2020-02-01", "style": "lush"}


@pytest.mark.parametrize(("typed", "kept"), HARD_NAMES.items())
def test_a_name_is_freed_of_what_could_mislead(server: Server, typed: str, kept: str) -> None:
    assert registered(server, name=typed)["name"] == kept


def test_a_name_is_text_wherever_it_is_shown(server: Server) -> None:
    address = new_address()
    with server.client() as client:
        register(client, address, name=EVIL)
        page = client.get("/brewbar/register/card").text
        assert EVIL in html.unescape(page)
        assert "<b>Zoë" not in page
        assert client.get("/brewbar/card.pkpass").status_code == 200
    [mail] = server.messages(address)
    assert "<b>Zoë" not in mail["html"]
    assert links_in(mail)


BODIES = [
    (b"contact=a%00b@example.org", 400),
    (b"contact=\xff\xfe", 400),
    (b"contact=%ff%fe", 400),
    (b"contact=%ed%a0%80", 400),
    ("&".join(f"f{n}=x" for n in range(1000)).encode(), 400),
    (b"contact=" + b"x" * 3000, 400),
    (b"contact=" + b"x" * 2**20, 413),
    (b'{"contact": "zoe@example.org"}', 422),
    (b"", 422),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: repr(value)[:24])
@pytest.mark.parametrize("path", ["/brewbar/register", "/brewbar/card"])
def test_forms_that_no_browser_sends_are_refused_in_plain_words(
    server: Server, path: str, body: bytes, status: int
) -> None:
    with server.client(content_type="application/x-www-form-urlencoded") as client:
        answer = client.post(path, content=body)
        chunked = client.post(path, content=iter([body]))
    assert answer.status_code == chunked.status_code == status
    assert "Brew Bar" in answer.text


FORM = st.dictionaries(
    st.sampled_from(["contact", "slip", "name", "consents", "field_birthday_day", "field_birthday_year"])
    | st.text(max_size=8),
    st.text(max_size=60) | st.sampled_from(["zoe@example.org", "keep", "600123456"]),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=FORM, raw=st.binary(max_size=80), path=st.sampled_from(["register", "register/about", "card"]))
def test_no_form_breaks_the_server(server: Server, form: dict[str, str], raw: bytes, path: str) -> None:
    with server.client(content_type="application/x-www-form-urlencoded") as client:
        assert client.post("/brewbar/register", data={"contact": "anybody@example.net"}).status_code == 303
        with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate, which HTTP has no bytes for
            assert client.post(f"/brewbar/{path}", data=form).status_code < 500
        assert client.post(f"/brewbar/{path}", content=raw).status_code < 500


def test_fifty_at_once_with_one_address_make_one_customer(server: Server) -> None:
    address = new_address()

    def one(_: int) -> str:
        with server.client() as client:
            return register(client, address).headers["location"]

    with ThreadPoolExecutor(16) as pool:
        ways = list(pool.map(one, range(50)))
    assert ways.count("/brewbar/register/card") == 1
    assert ways.count("/brewbar/register/sent") == 49
    customer_of(server, address)


def test_a_double_tap_makes_one_customer_and_both_taps_see_the_card(server: Server) -> None:
    with server.client() as client:
        client.post("/brewbar/register", data={"contact": new_address()})

        def tap(_: int) -> httpx.Response:
            return client.post("/brewbar/register/about", data={"name": "Zoë"})

        with ThreadPoolExecutor(8) as pool:
            taps = list(pool.map(tap, range(8)))
        assert {tap.headers["location"] for tap in taps} == {"/brewbar/register/card"}
        assert client.get("/brewbar/register/card").status_code == 200


def test_back_and_a_change_of_language_lose_nothing(sqlite_server: Server) -> None:
    address = new_address()
    with sqlite_server.client() as client:
        client.post("/brewbar/register", data={"contact": address})
        client.post("/brewbar/register/about", data={"name": "", "field_favourite": "tea"})
        spanish = client.get("/brewbar/register/about?lang=es")
        assert 'lang="es"' in spanish.text
        assert 'value="tea" checked' in spanish.text
        assert f'value="{address}"' in client.get("/brewbar/register").text


def test_after_the_grant_the_next_person_at_this_screen_registers(server: Server) -> None:
    with server.client() as client:
        first = registered(server, client)
        change(server, "visit", {"customer_id": first["id"]}, granted_until=utc_now() - timedelta(seconds=1))
        assert client.get("/brewbar/register/card").headers["location"] == "/brewbar/card"
        second = registered(server, client)
    assert second["id"] != first["id"]


def test_somebody_else_begins_with_nothing_of_the_one_before(server: Server) -> None:
    with server.client() as client:
        registered(server, client)
        over = client.post("/brewbar/register/over")
        assert over.headers["location"] == "/brewbar/register"
        assert not client.cookies
        assert client.get("/brewbar/card.pkpass").status_code == 303


def test_a_visit_that_we_did_not_give_out_is_not_taken_over(server: Server) -> None:
    with server.client() as client:
        client.cookies.set("visit-brewbar", "chosen-by-somebody-else")
        client.post("/brewbar/register", data={"contact": new_address()})
        tokens: list[Any] = [cookie.value for cookie in client.cookies.jar if cookie.name == "visit-brewbar"]
        assert any(token != "chosen-by-somebody-else" for token in tokens)
