"""Limits at their borders, as a person meets them."""

import html
from collections.abc import Callable
from random import randrange

import httpx
import pytest

from tests.pages.steps import new_address, register
from tests.support.serving import Server

Try = Callable[[httpx.Client, int], httpx.Response]

RULES: dict[str, tuple[int, Try]] = {
    "registration_burst": (12, lambda client, _: fresh(client)),
    "card_request_by_network": (
        20,
        lambda client, _: client.post("/brewbar/card", data={"contact": new_address()}),
    ),
    "link_use, download": (60, lambda client, _: client.post("/brewbar/download/apple")),
    "link_use, download again": (60, lambda client, _: client.post("/brewbar/download/again")),
    "link_use, verify": (60, lambda client, _: client.post("/brewbar/verify")),
    "link_use, verify again": (60, lambda client, _: client.post("/brewbar/verify/again")),
    "signage": (120, lambda client, n: client.get(f"/brewbar/{('qr.svg', 'poster')[n % 2]}")),
}


def fresh(client: httpx.Client) -> httpx.Response:
    client.cookies.clear()
    return register(client, new_address())


def first_refusal(client: httpx.Client, attempt: Try) -> httpx.Response:
    """The next refusal: at once, but that the sliding window of a minute lets some more in while it slides."""
    answers = (attempt(client, number) for number in range(9))
    return next((answer for answer in answers if answer.status_code == 429), attempt(client, 9))


@pytest.mark.parametrize("rule", RULES)
def test_the_border_of_each_rule(sqlite_server: Server, rule: str) -> None:
    most, attempt = RULES[rule]
    with sqlite_server.client(accept_language="es") as client:
        for number in range(most):
            assert attempt(client, number).status_code != 429, f"try {number + 1} of {most}"
        refused = first_refusal(client, attempt)
        neighbour = client.headers["x-forwarded-for"].rsplit(".", 1)[0] + ".250"
        client.headers["x-forwarded-for"] = neighbour
        assert first_refusal(client, attempt).status_code == 429, "the same network"
        client.headers["x-forwarded-for"] = f"172.{randrange(256)}.{randrange(256)}.7"
        assert attempt(client, most + 2).status_code != 429, "another network"
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["cache-control"] == "no-store"
    assert 'lang="es"' in refused.text
    assert "rule" not in refused.text


def test_a_person_who_registers_too_fast_loses_nothing_of_what_they_typed(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        for _ in range(12):
            fresh(client)
        client.cookies.clear()
        answer = register(client, new_address(), name="Zoë <the> last", field_favourite="tea")
        assert answer.status_code == 429
        page = client.get("/brewbar/register/about").text
        assert "Zoë <the> last" in html.unescape(page)
        assert 'value="tea" checked' in page


def test_an_address_may_be_asked_for_three_times_an_hour_however_it_is_spelt(server: Server) -> None:
    local = new_address().partition("@")[0].replace("-", "")
    spellings = [local, f"{local}+shop", local[:3] + "." + local[3:], local.upper()]
    answers = []
    for spelling in spellings:
        with server.client() as client:
            answers.append(client.post("/brewbar/card", data={"contact": f"{spelling}@gmail.com"}))
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert int(answers[-1].headers["retry-after"]) <= 3600
    assert f'value="{spellings[-1]}@gmail.com"' in answers[-1].text, "what was typed is still there"
    assert "Please try again in" in answers[-1].text
    assert answers[-1].headers["hx-push-url"] == "false"


def test_a_client_s_word_for_its_address_counts_only_from_our_own_proxies(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        ours = client.headers["x-forwarded-for"]
        for number in range(20):
            # What the client itself put in front is not believed: our proxy's own word is the last one.
            client.headers["x-forwarded-for"] = f"198.51.{number}.1, {ours}"
            assert client.post("/brewbar/card", data={"contact": new_address()}).status_code == 202
        client.headers["x-forwarded-for"] = f"203.0.113.9, {ours}, 127.0.0.9"
        assert client.post("/brewbar/card", data={"contact": new_address()}).status_code == 429
