"""From points to a coffee: on a phone, with and without scripts, with two taps where one was meant, and in a cellar."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator

from e2e.person import People, Person
from e2e.scenes import SCENES, newcomer
from tests.support.rows import in_database, rows_of
from web.foundation.sealing import Sealer
from web.loyalty.program import load_program
from web.loyalty.redeeming import mark_used

COFFEE = "Free coffee"


def of(person: Person, table: str, customer_id: str) -> list[dict[str, Any]]:
    return rows_of(person.server.environment["DATABASE_URL"], table, customer_id=customer_id)


def read_by_a_till(picture: Locator) -> set[str]:
    """What a scanner makes of that part of the phone's screen."""
    image = Image.open(io.BytesIO(picture.screenshot()))
    return {found.text for found in zxingcpp.read_barcodes(image)}


def chooses_a_coffee(person: Person) -> None:
    person.taps("Rewards")
    person.sees("Rewards")
    person.page.get_by_role("link", name=COFFEE).click()
    person.sees(COFFEE)


@pytest.mark.parametrize("script", [True, False])
def test_from_points_to_a_coffee(people: People, script: bool) -> None:
    with people.one("iphone") as elsewhere:
        # The scene's newcomer needs a script only to say its language.
        customer_id = newcomer(elsewhere, points=130)
        state = elsewhere.context.storage_state()
    kim = people("iphone", java_script_enabled=script, storage_state=state)
    kim.opens("/brewbar/profile")
    chooses_a_coffee(kim)
    assert kim.page.locator(".sum dd").all_inner_texts() == ["130", "−100", "30 Beans"]
    kim.button("Yes, I would like it").dblclick()
    kim.page.wait_for_url(re.compile("/loyalty/rewards/codes/"))
    [made] = of(kim, "redemption", customer_id)
    assert of(kim, "balance", customer_id)[0]["available"] == 30, "two taps, one coffee"
    spaced = kim.page.locator(".code__text bdi").inner_text()
    assert spaced.replace(" ", "") == made["code"]
    assert made["code"] in read_by_a_till(kim.page.locator(".code .qr"))
    assert made["code"] in read_by_a_till(kim.page.locator(".code__bars"))
    timer = kim.page.get_by_role("timer").inner_text()
    assert re.fullmatch(r"14:\d\d|15:00" if script else "15 minutes left", timer)
    # Going back leads to the question, and to no second coffee.
    kim.page.go_back()
    kim.page.go_forward()
    kim.page.reload()
    assert len(of(kim, "redemption", customer_id)) == 1
    kim.taps("Activity")
    kim.sees("Activity")
    row = kim.page.get_by_role("listitem").filter(has_text=COFFEE).first
    row.locator("summary").click()
    assert row.get_by_text("You spent these.").is_visible()


def test_the_phone_sees_that_the_till_has_taken_the_code(people: People) -> None:
    kim = people("pixel")
    SCENES["code"].play(kim)
    url, slug = kim.server.environment["DATABASE_URL"], "brewbar"
    sealer = Sealer(((Path(kim.server.environment["PASITO_DATA_DIR"]) / "secret.key").read_text(),))
    made = kim.page.url.rpartition("/")[2]

    def till(conn: Any) -> None:
        program = load_program(conn, slug, sealer)
        assert program
        mark_used(conn, program, made)

    in_database(url, till)
    kim.page.get_by_text("Enjoy!").wait_for()
    assert not kim.page.locator(".code").count()


def test_why_it_did_not_work_is_heard_at_once(people: People) -> None:
    kim = people("iphone")
    SCENES["reward_refused"].play(kim)
    assert kim.focused()["role"] == "alert"
    assert "You have 30 just now, and this costs 100." in kim.focused()["text"]
    assert kim.page.title().startswith("Error: ")


def test_the_code_is_copied_and_stays_where_there_is_no_network(people: People) -> None:
    kim = people("pixel", permissions=["clipboard-read", "clipboard-write"])
    customer_id = newcomer(kim, points=100)
    kim.opens("/brewbar/profile")
    chooses_a_coffee(kim)
    kim.taps("Yes, I would like it")
    kim.page.wait_for_selector(".code")
    [made] = of(kim, "redemption", customer_id)
    kim.taps("Copy the code")
    kim.page.get_by_text("Copied").wait_for()
    assert kim.page.evaluate("navigator.clipboard.readText()") == made["code"]
    kim.page.wait_for_function("async (path) => !!(await caches.match(path))", arg=kim.path())
    kim.page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    kim.context.set_offline(True)
    kim.page.reload()
    assert made["code"] in read_by_a_till(kim.page.locator(".code .qr"))
    kim.context.set_offline(False)


def test_activity_goes_on_as_one_scrolls(people: People) -> None:
    daniel = people("iphone")
    SCENES["transactions"].play(daniel)
    daniel.opens("/brewbar/transactions?lang=en")
    assert daniel.page.locator(".entry").count() == 30
    while daniel.page.locator(".older").count():
        shown = daniel.page.locator(".entry").count()
        daniel.page.locator(".older").scroll_into_view_if_needed()
        daniel.page.wait_for_function(
            "count => document.querySelectorAll('.entry').length > count", arg=shown
        )
    days = daniel.page.locator(".day").all_inner_texts()
    assert len(days) == len(set(days)), "a day has one heading, wherever the page ended"
    amounts = [int(text.replace("−", "-")) for text in daniel.page.locator(".amount bdi").all_inner_texts()]
    assert sum(amounts) == int(daniel.page.locator(".status").inner_text())
    assert daniel.path() == "/brewbar/transactions?lang=en"


def test_a_link_is_shared_by_the_phones_own_sheet(people: People) -> None:
    kim = people("iphone")
    kim.context.add_init_script("navigator.share = async (what) => { window.shared = what }")
    newcomer(kim)
    kim.opens("/brewbar/referrals")
    kim.taps("Share the link")
    link = kim.page.get_by_label("Your own link").input_value()
    assert link in kim.page.evaluate("window.shared.text")
    assert read_by_a_till(kim.page.locator(".share .qr")) == {link.upper()}
    friend = people("pixel")
    friend.opens(link.upper())
    assert friend.page.get_by_text("50 Beans").first.is_visible(), "the front door knows why they came"
