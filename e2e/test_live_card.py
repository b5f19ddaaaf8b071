"""The card on the phone follows the ledger: from the wallet's button to the notice on the lock screen."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from e2e.person import People
from e2e.scenes import change_points_of_last

# A push leaves within a second, and the page of the emulated phone asks every second.
SOON = 15_000


def adds_the_offered_pass(phone: Page, name: str) -> None:
    """Other tests leave passes lying before this phone; they are declined."""
    while phone.get_by_label("Add a pass").filter(has_text=name).count() == 0:
        phone.get_by_role("button", name="Cancel").click()
    phone.get_by_role("button", name="Add", exact=True).click()


@pytest.mark.parametrize("script", [True, False])
def test_a_balance_changes_on_the_phone_and_its_owner_reads_of_it_on_the_lock_screen(
    people: People, script: bool
) -> None:
    name = f"Kim {uuid4().hex[:8]}"
    kim = people("iphone", java_script_enabled=script)
    kim.registers(name=name)
    kim.takes_apple_pass()
    kim.opens("/dev/phone")
    adds_the_offered_pass(kim.page, name)
    card = kim.page.locator(".card").filter(has_text=name)
    expect(card).to_contain_text("0")
    change_points_of_last(kim, 7351)
    expect(card).to_contain_text(re.compile("7[,.]?351"), timeout=SOON)
    kim.opens("/dev/phone/lock")
    expect(kim.page.locator(".lock__notices")).to_contain_text(
        re.compile("7[,.]?351|ready for you"), timeout=SOON
    )


def test_a_card_whose_phone_is_gone_is_void_on_it_and_there_is_a_new_one(people: People) -> None:
    name = f"Sam {uuid4().hex[:8]}"
    sam = people("iphone")
    address = sam.registers(name=name)
    sam.takes_apple_pass()
    phone = people("laptop")
    phone.opens("/dev/phone")
    adds_the_offered_pass(phone.page, name)
    sam.links_in_mail(address)
    sam.asks_for_card(address)
    way_in = [link for link in sam.links_in_mail(address, at_least=2) if "/brewbar/ZXl" in link]
    sam = people("iphone")
    sam.opens(way_in[0])
    sam.page.wait_for_url("**/brewbar/profile")
    sam.opens("/brewbar/profile/devices")
    sam.taps("My old phone is gone")
    sam.sees("My phone is gone")
    sam.taps("Replace my card")
    assert sam.focused()["role"] == "alert" or sam.page.get_by_role("alert").is_visible()
    sam.page.get_by_label("I am sure: replace my card").check()
    sam.taps("Replace my card")
    sam.sees("Your new card")
    # The card that is open on the old phone: it says whose it was no more.
    old = phone.page.locator(".wallet--open .card")
    expect(old).to_contain_text("Void", timeout=SOON)
    expect(old).not_to_contain_text(name)
    assert sam.takes_apple_pass()[:2] == b"PK"
