"""htmx swaps the steps in place: focus, title and history behave as with whole pages."""

import httpx

from e2e.person import People, Person, new_address

MARK = "window.__same = true"
IS_SAME = "window.__same === true"


def expect_arrival(person: Person, heading: str) -> None:
    """A new page for everybody: for eyes, for ears, and for the tab's title."""
    person.page.get_by_role("heading", level=1, name=heading).wait_for()
    person.page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    assert person.focused()["text"] == heading
    assert person.page.evaluate(IS_SAME), "the whole page was loaded anew"


def test_the_steps_come_without_loading_the_page_anew(people: People) -> None:
    ana = people("pixel")
    ana.opens("/brewbar")
    ana.page.evaluate(MARK)
    ana.taps("Get my card")
    expect_arrival(ana, "Your card begins here")
    assert ana.page.title() == "Get my card – Brew Bar"
    ana.enters(new_address())
    expect_arrival(ana, "Whose name goes on it?")
    assert ana.path() == "/brewbar/register/about"
    assert ana.page.title() == "About you – Brew Bar"
    ana.tells("Ana")
    ana.taps("Create my card")
    expect_arrival(ana, "Ana, here is your card")
    assert ana.path() == "/brewbar/register/card"
    assert ana.page.title() == "Your card – Brew Bar"


def test_no_step_shows_itself_in_the_shape_of_the_one_before(people: People) -> None:
    """htmx would give a new element the old one's class for a moment, where both have the same id."""
    ana = people("pixel")
    ana.opens("/brewbar")
    old_shape = ana.page.locator("main").get_attribute("class")
    ana.page.evaluate(
        """() => { window.__seen = []; new MutationObserver(() => {
          const main = document.querySelector("main");
          if (document.querySelector("#contact")) window.__seen.push(main.className);
        }).observe(document.body, {childList: true, subtree: true, attributes: true}); }"""
    )
    ana.taps("Get my card")
    ana.sees("Your card begins here")
    seen = ana.page.evaluate("window.__seen")
    assert seen
    assert old_shape not in seen
    assert {shape.strip() for shape in seen} == {"page"}


def test_back_and_forward_show_the_steps_again(people: People) -> None:
    ana = people("pixel")
    ana.opens("/brewbar")
    ana.page.evaluate(MARK)
    ana.taps("Get my card")
    expect_arrival(ana, "Your card begins here")
    ana.enters(new_address())
    expect_arrival(ana, "Whose name goes on it?")
    ana.page.go_back()
    expect_arrival(ana, "Your card begins here")
    assert ana.path() == "/brewbar/register"
    assert ana.page.title() == "Get my card – Brew Bar"
    ana.page.go_back()
    expect_arrival(ana, "Every tenth coffee is on us")
    ana.page.go_forward()
    expect_arrival(ana, "Your card begins here")
    ana.page.go_forward()
    expect_arrival(ana, "Whose name goes on it?")
    assert ana.path() == "/brewbar/register/about"


def test_going_back_from_the_card_never_shows_a_form_again(people: People) -> None:
    ana = people("pixel")
    ana.registers(name="Ana")
    ana.page.go_back()
    ana.page.get_by_role("heading", name="Ana, here is your card").wait_for()
    assert not ana.page.get_by_label("Your name").count()


def test_an_error_page_takes_the_place_too(people: People) -> None:
    ana = people("pixel")
    ana.opens("/brewbar/register")
    ana.page.evaluate("document.querySelector('main form').action = '/brewbar/nowhere'")
    ana.enters(new_address())
    ana.page.get_by_role("heading", name="This page cannot do that").or_(
        ana.page.get_by_role("heading", name="There is nothing here")
    ).wait_for()


def test_a_part_of_a_page_is_never_kept_in_place_of_the_whole(people: People) -> None:
    whole = httpx.get(f"{people.server.url}/brewbar/register")
    part = httpx.get(f"{people.server.url}/brewbar/register", headers={"hx-request": "true"})
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert "hx-request" in whole.headers["vary"]
    assert "hx-request" in part.headers["vary"]
