"""Back, reload, double tap, two tabs, a lost connection, another language: nothing typed is lost, nobody is twice."""

import re
from typing import Any

import pytest
from playwright.sync_api import Route

from e2e.person import People, Person, new_address
from tests.support.rows import rows_of


def customers(person: Person, address: str) -> list[dict[str, Any]]:
    return rows_of(person.server.environment["DATABASE_URL"], "customer", email_key=address)


def at_step_two(person: Person) -> str:
    address = new_address()
    person.opens("/brewbar/register")
    person.enters(address)
    person.page.wait_for_url("**/register/about")
    return address


def shown_card(person: Person) -> str:
    person.page.wait_for_url("**/register/card")
    return person.heading.inner_text()


@pytest.mark.parametrize("script", [True, False])
def test_going_back_shows_what_was_typed(people: People, script: bool) -> None:
    ana = people("iphone", java_script_enabled=script)
    address = at_step_two(ana)
    ana.page.go_back()
    assert ana.page.get_by_label("E-mail address or mobile number").input_value() == address
    ana.taps("Continue")
    ana.page.wait_for_url("**/register/about")
    ana.tells("Ana")
    ana.taps("Back")
    ana.page.wait_for_url("**/register")
    assert ana.page.get_by_label("E-mail address or mobile number").input_value() == address


def test_typing_that_was_not_sent_yet_outlives_a_reload(people: People) -> None:
    ana = people("iphone")
    at_step_two(ana)
    ana.tells("Ana", birthday=("27", "3", ""), consents=True)
    ana.page.get_by_label("Flat white").check()
    ana.page.reload()
    _has_all_of_it(ana)


def test_typing_that_was_not_sent_yet_outlives_going_back_and_forth(people: People) -> None:
    ana = people("iphone")
    at_step_two(ana)
    ana.tells("Ana", birthday=("27", "3", ""), consents=True)
    ana.page.get_by_label("Flat white").check()
    ana.taps("Back")
    ana.page.wait_for_url("**/register")
    ana.taps("Continue")
    ana.page.wait_for_url("**/register/about")
    _has_all_of_it(ana)


def _has_all_of_it(person: Person) -> None:
    page = person.page
    assert page.get_by_label("Your name").input_value() == "Ana"
    assert page.get_by_label("Day").input_value() == "27"
    assert page.get_by_label("Month").input_value() == "3"
    assert page.get_by_label("Flat white").is_checked()
    assert all(box.is_checked() for box in page.get_by_role("checkbox").all())


def test_a_change_of_language_in_the_middle_loses_nothing(people: People) -> None:
    ana = people("iphone")
    ana.opens("/brewbar/register")
    address = new_address()
    ana.page.get_by_label("E-mail address or mobile number").fill(address)
    _speaks(ana, "Español")
    assert ana.page.locator("html").get_attribute("lang") == "es"
    assert ana.page.locator("#contact").input_value() == address
    ana.page.locator("main form button[type=submit]").first.click()
    ana.page.wait_for_url("**/register/about")
    ana.page.locator("#name").fill("أنا")
    ana.page.locator("main input[type=checkbox]").first.check()
    _speaks(ana, "العربية")
    assert ana.page.locator("html").get_attribute("dir") == "rtl"
    assert ana.page.locator("#name").input_value() == "أنا"
    assert ana.page.locator("main input[type=checkbox]").first.is_checked()
    ana.page.locator("main form button[type=submit]").first.click()
    assert "أنا" in shown_card(ana)
    [customer] = customers(ana, address)
    assert customer["locale"] == "ar"


def _speaks(person: Person, language: str) -> None:
    foot = person.page.locator("footer")
    if foot.locator("summary").count():
        foot.locator("summary").click()
    foot.get_by_role("link", name=language).click()
    person.page.wait_for_url(re.compile("lang="))


@pytest.mark.parametrize("script", [True, False])
def test_a_double_tap_makes_one_customer_with_one_card(people: People, script: bool) -> None:
    ana = people("iphone", java_script_enabled=script)
    address = at_step_two(ana)
    ana.tells("Ana")
    ana.button("Create my card").dblclick(no_wait_after=True)
    assert shown_card(ana) == "Ana, here is your card"
    assert len(customers(ana, address)) == 1


def test_two_tabs_make_one_customer_with_one_card(people: People) -> None:
    ana = people("iphone")
    address = at_step_two(ana)
    first, second = ana.page, ana.context.new_page()
    second.goto(first.url)
    for tab in (first, second):
        ana.page = tab
        ana.tells("Ana")
    for tab in (first, second):
        ana.page = tab
        ana.taps("Create my card")
        assert shown_card(ana) == "Ana, here is your card"
    assert len(customers(ana, address)) == 1


@pytest.mark.parametrize("then", ["tries again", "reloads", "opens the address again"])
def test_a_connection_lost_before_the_answer_came_costs_nothing(people: People, then: str) -> None:
    ana = people("iphone")
    address = at_step_two(ana)
    ana.tells("Ana")
    ana.page.route("**/register/about", _reach_the_server_and_lose_the_answer)
    ana.taps("Create my card")
    ana.page.get_by_role("status").get_by_text("No answer came").wait_for()
    assert len(customers(ana, address)) == 1
    assert ana.page.get_by_label("Your name").input_value() == "Ana"
    ana.page.unroute("**/register/about")
    if then == "tries again":
        ana.taps("Create my card")
    elif then == "reloads":
        ana.page.reload()
    else:
        ana.opens("/brewbar/register")
    assert shown_card(ana) == "Ana, here is your card"
    assert len(customers(ana, address)) == 1


def test_without_a_script_a_lost_answer_costs_nothing_either(people: People) -> None:
    ana = people("iphone", java_script_enabled=False)
    address = at_step_two(ana)
    ana.tells("Ana")
    ana.page.route("**/register/about", _reach_the_server_and_lose_the_answer)
    ana.taps("Create my card")
    ana.page.wait_for_url("chrome-error://**")
    ana.page.unroute("**/register/about")
    ana.opens("/brewbar/register/about")
    assert shown_card(ana) == "Ana, here is your card"
    assert len(customers(ana, address)) == 1


def _reach_the_server_and_lose_the_answer(route: Route) -> None:
    if route.request.method == "POST":
        route.fetch(max_redirects=0)
        route.abort()
    else:
        route.continue_()


@pytest.mark.parametrize("script", [True, False])
def test_a_browser_that_names_no_origin_is_served_all_the_same(people: People, script: bool) -> None:
    """Safari before 16.4: no Fetch Metadata, and "null" for the origin of a page that sends no referrer."""
    ana = people("iphone", java_script_enabled=script)
    ana.page.route("**/register*", lambda route: route.fulfill(response=route.fetch(max_redirects=0)))
    ana.page.route("**/register/**", lambda route: route.fulfill(response=route.fetch(max_redirects=0)))
    address = ana.registers()
    assert len(customers(ana, address)) == 1


def test_a_server_that_was_away_is_told_of_and_the_next_tap_goes_through(people: People) -> None:
    ana = people("pixel")
    at_step_two(ana)
    ana.tells("Ana")
    ana.context.set_offline(True)
    ana.taps("Create my card")
    ana.page.get_by_role("status").get_by_text("No answer came").wait_for()
    ana.context.set_offline(False)
    ana.taps("Create my card")
    assert shown_card(ana) == "Ana, here is your card"


def test_on_a_shared_screen_the_next_person_begins_with_nothing(people: People) -> None:
    ana = people("laptop")
    ana.registers(name="Ana")
    ana.taps("Make a card for somebody else")
    ana.page.wait_for_url("**/register")
    assert ana.page.get_by_label("E-mail address or mobile number").input_value() == ""
    ana.enters(new_address())
    ana.page.wait_for_url("**/register/about")
    assert ana.page.get_by_label("Your name").input_value() == ""
    assert not any(box.is_checked() for box in ana.page.get_by_role("checkbox").all())
