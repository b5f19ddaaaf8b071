"""The card opens without network: in a cellar bar, or in airplane mode."""

import pytest
from playwright.sync_api import Error

from e2e.person import People, Person

KEPT = "async () => (await (await caches.open('card')).keys()).length > 0"


def with_a_kept_card(people: People) -> Person:
    person = people("iphone")
    person.registers()
    person.page.wait_for_url("**/register/card")
    person.page.wait_for_function(KEPT)
    # Once more, so that the page stands under the service worker.
    person.opens("/brewbar/register/card")
    person.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    return person


def test_the_card_opens_in_airplane_mode(people: People) -> None:
    person = with_a_kept_card(people)
    number = person.page.locator(".pass__number bdi").inner_text()
    person.context.set_offline(True)
    person.page.goto(f"{person.server.url}/brewbar/register/card")
    assert person.page.locator(".pass__number bdi").inner_text() == number
    assert person.page.locator(".pass .qr svg").is_visible()
    person.context.set_offline(False)


def test_the_next_person_at_this_screen_finds_no_card(people: People) -> None:
    person = with_a_kept_card(people)
    person.taps("Make a card for somebody else")
    person.page.wait_for_url("**/register")
    person.context.set_offline(True)
    with pytest.raises(Error):
        person.page.goto(f"{person.server.url}/brewbar/register/card")
    person.context.set_offline(False)
