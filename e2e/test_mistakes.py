"""What goes wrong on a form is said once, where it is heard, and costs nothing that was typed."""

import pytest
from playwright.sync_api import Locator

from e2e.person import People, Person, new_address


def is_described_by(field: Locator, message: str) -> bool:
    """Whether assistive technology reads this message with the field."""
    found = field.evaluate(
        """e => (e.getAttribute("aria-describedby") ?? "").split(" ")
        .map((id) => document.getElementById(id)?.innerText ?? "")"""
    )
    return message in found


def at_step_two(person: Person) -> None:
    person.opens("/brewbar/register")
    person.enters(new_address())
    person.sees("Whose name goes on it?")


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("typed", ["", "zoe@", "zoe example.org", "12"])
def test_a_wrong_address_is_told_beside_its_field(people: People, typed: str, script: bool) -> None:
    ana = people("iphone", java_script_enabled=script)
    ana.opens("/brewbar/register")
    ana.enters(typed)
    summary = ana.page.get_by_role("alert")
    summary.wait_for()
    assert ana.page.title().startswith("Error:")
    assert summary.get_by_role("heading").inner_text() == "There is a problem"
    field = ana.page.get_by_label("E-mail address or mobile number")
    assert field.input_value() == typed
    assert field.get_attribute("aria-invalid") == "true"
    message = summary.get_by_role("link").inner_text()
    assert is_described_by(field, message)
    if script:
        assert ana.focused()["role"] == "alert"
    summary.get_by_role("link").click()
    assert ana.focused()["id"] == "contact"
    ana.enters(new_address())
    ana.sees("Whose name goes on it?")
    assert not ana.page.title().startswith("Error:")


def test_mistakes_on_step_two_keep_everything_that_was_right(people: People) -> None:
    ana = people("pixel")
    at_step_two(ana)
    ana.tells("", birthday=("31", "2", "1990"), consents=True)
    ana.page.get_by_label("Tea, honestly").check()
    ana.taps("Create my card")
    summary = ana.page.get_by_role("alert")
    summary.wait_for()
    assert summary.get_by_role("link").count() == 2
    assert ana.focused()["role"] == "alert"
    assert ana.page.title().startswith("Error: About you")
    name = ana.page.get_by_label("Your name")
    assert is_described_by(name, "Enter the name that should be on the card")
    birthday = ana.page.get_by_role("group", name="Your birthday")
    assert is_described_by(birthday, summary.get_by_role("link").last.inner_text())
    summary.get_by_role("link").last.click()
    assert ana.focused()["id"] == ana.page.get_by_label("Day").get_attribute("id")
    assert ana.page.get_by_label("Day").input_value() == "31"
    assert ana.page.get_by_label("Tea, honestly").is_checked()
    assert all(box.is_checked() for box in ana.page.get_by_role("checkbox").all())
    name.fill("Ana")
    ana.page.get_by_label("Day").fill("28")
    ana.taps("Create my card")
    ana.page.wait_for_url("**/register/card")


def test_failing_does_not_lengthen_the_history(people: People) -> None:
    ana = people("iphone")
    ana.opens("/brewbar")
    ana.taps("Get my card")
    ana.page.wait_for_url("**/register")
    before = ana.page.evaluate("history.length")
    for wrong in ("", "zoe@", "zoe@@example.org"):
        with ana.page.expect_response("**/register"):
            ana.enters(wrong)
        ana.page.wait_for_function("() => !document.querySelector('[aria-busy]')")
        assert ana.page.get_by_role("alert").is_visible()
    assert ana.page.evaluate("history.length") == before
    ana.page.go_back()
    ana.sees("Every tenth coffee is on us")
    assert ana.path() == "/brewbar"


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize(
    ("answer", "kept"), [("Yes, use that one", "gmail.com"), ("No, mine is right", "gmial.com")]
)
def test_a_likely_slip_is_questioned_and_either_answer_goes_on(
    people: People, answer: str, kept: str, script: bool
) -> None:
    ana = people("iphone", java_script_enabled=script)
    name = new_address().partition("@")[0]
    ana.opens("/brewbar/register")
    ana.enters(f"{name}@gmial.com")
    question = ana.page.get_by_role("alert")
    question.get_by_text(f"Did you mean {name}@gmail.com?").wait_for()
    if script:
        assert ana.focused()["role"] == "alert"
    ana.taps(answer)
    ana.sees("Whose name goes on it?")
    ana.taps("Back")
    ana.sees("Your card begins here")
    assert ana.page.get_by_label("E-mail address or mobile number").input_value() == f"{name}@{kept}"


def test_a_slip_may_also_be_mended_by_typing(people: People) -> None:
    ana = people("iphone")
    ana.opens("/brewbar/register")
    ana.enters("zoe@gmial.com")
    ana.page.get_by_role("alert").wait_for()
    ana.enters(new_address())
    ana.page.wait_for_url("**/register/about")


def test_a_crowd_in_one_network_is_told_when_to_try_again_and_keeps_what_it_typed(people: People) -> None:
    network = {"x-forwarded-for": "10.200.1.7"}
    for _ in range(12):
        with people.server.client(**network) as guest:
            guest.post("/brewbar/register", data={"contact": new_address()})
            assert guest.post("/brewbar/register/about", data={"name": "Guest"}).status_code == 303
    late = people("iphone", extra_http_headers=network)
    at_step_two(late)
    late.tells("Ana")
    late.taps("Create my card")
    late.sees("A little too fast")
    assert "try again in" in late.page.locator("main").inner_text()
    late.opens("/brewbar/register/about")
    assert late.page.get_by_label("Your name").input_value() == "Ana"
