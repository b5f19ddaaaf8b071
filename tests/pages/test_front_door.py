"""The front door: whose it is, in which language, and what is remembered of an arrival."""

from typing import Any
from uuid import uuid4

import pytest

from tests.pages.steps import new_address, register
from tests.support.rows import rows_of
from tests.support.serving import LAPTOP, PIXEL, Server

KEPT = ("/brewbar", "/brewbar/register", "/brewbar/card", "/brewbar/privacy")
GAINS = {
    "en": "Every tenth coffee is on us",
    "es": "El décimo café lo ponemos nosotros",
    "ar": "كل عاشر قهوة هدية منّا",
}
ROBOTS = (
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "WhatsApp/2.23.20.0",
    "curl/8.5.0",
)


def touches(server: Server, campaign: str) -> list[dict[str, Any]]:
    return rows_of(server.environment["DATABASE_URL"], "touch", campaign=campaign)


@pytest.mark.parametrize("language", GAINS)
def test_speaks_in_the_brand_s_own_words_in_each_language(sqlite_server: Server, language: str) -> None:
    with sqlite_server.client(accept_language=language) as client:
        page = client.get("/brewbar").text
    assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in page
    assert GAINS[language] in page
    assert "Brew Bar" in page


def test_language_is_the_link_s_then_the_chosen_one_then_the_browser_s_then_the_programme_s(
    sqlite_server: Server,
) -> None:
    with sqlite_server.client(accept_language="ar,en;q=0.5") as client:
        assert GAINS["ar"] in client.get("/brewbar").text
        assert GAINS["es"] in client.get("/brewbar?lang=es").text
        assert GAINS["es"] in client.get("/brewbar").text, "the chosen language lasts"
        assert GAINS["en"] in client.get("/brewbar?lang=en").text
        assert GAINS["en"] in client.get("/brewbar?lang=tlh").text, "one that is not offered changes nothing"
        assert "هذا" not in client.get("/brewbar/nothing").text, "errors speak the chosen language as well"
    with sqlite_server.client(accept_language="tlh") as client:
        assert GAINS["en"] in client.get("/brewbar").text


def test_a_programme_in_two_languages_never_answers_in_a_third(shops: Server) -> None:
    with shops.client(accept_language="ar") as client:
        assert 'lang="en"' in client.get("/atelier?lang=ar").text


def test_an_unknown_programme_is_a_404_in_plain_words(sqlite_server: Server) -> None:
    with sqlite_server.client(accept_language="es") as client:
        answer = client.get("/no-such-shop")
    assert answer.status_code == 404
    assert "no-such-shop" not in answer.text
    assert 'lang="es"' in answer.text


def test_capitals_in_the_address_lead_to_the_same_door(server: Server) -> None:
    with server.client() as client:
        assert client.get("/BREWBAR").content == client.get("/brewbar").content
        code = client.get("/brewbar/poster").text.split("/s/")[1][:6]
        for path in (f"/s/{code}", f"/S/{code}", f"/s/{code.lower()}"):
            assert client.get(path).headers["location"] == "/brewbar"
        assert client.get("/s/%00").status_code == 404
        assert client.get("/s/QQQQQQ").status_code == 404


@pytest.mark.parametrize("path", KEPT)
def test_kept_pages_are_the_same_bytes_for_everybody(sqlite_server: Server, path: str) -> None:
    with sqlite_server.client() as first:
        theirs = first.get(f"{path}?size=<b>&token=secret&{uuid4().hex}=1")
    with sqlite_server.client(user_agent=PIXEL) as other:
        mine = other.get(path)
    assert theirs.content == mine.content
    assert b"secret" not in mine.content
    assert b"form_token" not in mine.content


@pytest.mark.parametrize("path", ["/brewbar", "/brewbar/privacy"])
def test_kept_pages_show_nothing_of_a_visit(sqlite_server: Server, path: str) -> None:
    with sqlite_server.client() as client:
        before = client.get(path).content
        register(client, new_address())
        assert client.get(path).content == before


@pytest.mark.parametrize(
    "path",
    [*KEPT, "/brewbar/download", "/brewbar/verify", "/brewbar/qr.svg", "/brewbar/mark.png", "/no-such-shop"],
)
def test_head_answers_like_get_without_the_body(sqlite_server: Server, path: str) -> None:
    with sqlite_server.client() as client:
        get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    by_chance = ("date", "x-request-id")
    assert [item for item in head.headers.items() if item[0] not in by_chance] == [
        item for item in get.headers.items() if item[0] not in by_chance
    ]


def test_a_campaign_and_a_referrer_are_kept_as_a_touch(server: Server) -> None:
    campaign = uuid4().hex
    with server.client(referer="https://blog.example/posts/1?reader=ana@example.com") as client:
        utm = f"utm_source=insta&utm_medium=social&utm_campaign={campaign}&utm_term=a%00b"
        client.get(f"/BrewBar?{utm}&utm_content={'x' * 500}")
    [touch] = touches(server, campaign)
    assert (touch["source"], touch["medium"], touch["term"]) == ("insta", "social", "ab")
    assert touch["content"] == "x" * 120
    assert touch["referrer_host"] == "blog.example"
    assert touch["landing_path"] == "/brewbar"


def test_a_plain_arrival_leaves_no_row_and_no_cookie(sqlite_server: Server) -> None:
    url = sqlite_server.environment["DATABASE_URL"]
    before = len(rows_of(url, "touch")), len(rows_of(url, "visit"))
    with sqlite_server.client() as client:
        for path in KEPT:
            assert "set-cookie" not in client.get(path).headers
    with sqlite_server.client(referer=f"{sqlite_server.url}/brewbar") as client:
        client.get("/brewbar/register")
    assert (len(rows_of(url, "touch")), len(rows_of(url, "visit"))) == before


def test_nothing_is_recorded_for_robots_prefetches_and_head(sqlite_server: Server) -> None:
    campaign = uuid4().hex
    address = f"/brewbar?utm_campaign={campaign}"
    for headers in (
        {"sec_purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x_moz": "prefetch"},
        *({"user_agent": robot} for robot in ROBOTS),
    ):
        with sqlite_server.client(**headers) as client:
            assert "set-cookie" not in client.get(address).headers
    with sqlite_server.client() as client:
        assert "set-cookie" not in client.head(address).headers
    assert touches(sqlite_server, campaign) == []
    with sqlite_server.client(user_agent=LAPTOP) as client:
        client.get(address)
    assert len(touches(sqlite_server, campaign)) == 1


def test_first_and_last_touch_follow_to_the_customer_and_the_pass(server: Server) -> None:
    url, address = server.environment["DATABASE_URL"], new_address()
    first, middle, last = (uuid4().hex for _ in range(3))
    with server.client() as client:
        for campaign in (first, middle, last):
            client.get(f"/brewbar?utm_source=sign&utm_campaign={campaign}")
        client.get("/brewbar")
        register(client, address)
    [customer] = rows_of(url, "customer", email_key=address)
    [issued] = rows_of(url, "wallet_pass", customer_id=customer["id"])
    assert customer["first_touch_id"] == touches(server, first)[0]["id"]
    assert customer["last_touch_id"] == issued["touch_id"] == touches(server, last)[0]["id"]


def test_a_campaign_on_the_first_step_counts_as_well(server: Server) -> None:
    campaign, address = uuid4().hex, new_address()
    with server.client() as client:
        assert client.get(f"/brewbar/register?utm_campaign={campaign}").status_code == 200
        register(client, address)
    [customer] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    assert customer["first_touch_id"] == touches(server, campaign)[0]["id"]
