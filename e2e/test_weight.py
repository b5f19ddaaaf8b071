"""What a page weighs over the wire, headers included. `budgets.json` says how much it may be, in bytes.

Bytes and counts are the same on every machine, so these fail exactly; times would not be.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.person import People, Person, new_address
from e2e.scenes import SCENES, Scene

BUDGETS: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "budgets.json").read_text())
# Counted whether somebody has just tapped or not: a step that is swapped in must not jump either.
SHIFTS = """window.__shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((e) => (window.__shift += e.value)))
  .observe({type: "layout-shift", buffered: true})"""
BLOCKING = """performance.getEntriesByType("resource")
  .filter((e) => e.renderBlockingStatus === "blocking").map((e) => e.name)"""


@dataclass
class Wire:
    """What came over the wire for one browser, by request."""

    kinds: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def listen(self, person: Person) -> None:
        session = person.context.new_cdp_session(person.page)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _answered(self, event: dict[str, Any]) -> None:
        self.kinds[event["requestId"]] = event["type"]
        self.urls[event["requestId"]] = event["response"]["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        self.sizes[event["requestId"]] = int(event["encodedDataLength"])

    def total(self, *kinds: str) -> int:
        """Bytes of these kinds of request, of all when none is named."""
        return sum(size for id_, size in self.sizes.items() if not kinds or self.kinds.get(id_) in kinds)

    def without_the_merchants_pictures(self) -> int:
        pictures = {id_ for id_, url in self.urls.items() if url.split("?")[0].endswith((".png", ".pkpass"))}
        return self.total() - sum(size for id_, size in self.sizes.items() if id_ in pictures)

    def hosts(self) -> set[str]:
        return {url.split("/")[2] for url in self.urls.values() if url.startswith("http")}


@pytest.fixture
def newcomer(people: People) -> Person:
    """Somebody who was never here: nothing is in their cache."""
    person = people("pixel")
    person.context.add_init_script(SHIFTS)
    return person


def within(name: str, value: float) -> bool:
    return value <= BUDGETS[name]["most"]


def first_view(people: People, scene: Scene) -> tuple[Person, Wire]:
    """The scene's page as somebody gets it who comes to it first."""
    with people.one("pixel", **scene.options) as guide:
        scene.play(guide)
        guide.page.wait_for_load_state("networkidle")
        state, url = guide.context.storage_state(), guide.page.url
    person = people("pixel", storage_state=state, **scene.options)
    person.context.add_init_script(SHIFTS)
    wire = Wire()
    wire.listen(person)
    person.opens(url)
    person.page.wait_for_load_state("networkidle")
    return person, wire


PAGES = [
    "front_door", "contact", "about", "card_full", "inbox", "ask_for_card", "download", "download_dead", "verify",
    "verify_dead", "privacy", "poster_a4", "not_found", "profile", "rewards", "reward", "code", "earning",
    "referrals", "coupons", "transactions",
]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_first_view_fits_the_first_round_trip(people: People, name: str) -> None:
    person, wire = first_view(people, SCENES[name])
    assert wire.total("Document") > 500
    assert wire.total("Stylesheet") == 0
    print(f"{name:15} html+css {wire.total('Document'):6} all {wire.total():6} in {len(wire.sizes)} requests")
    assert within("html_and_css", wire.total("Document"))
    assert within("script", wire.total("Script"))
    assert within("first_view", wire.without_the_merchants_pictures())
    assert within("requests", len(wire.sizes))
    assert wire.hosts() == {person.server.url.partition("://")[2]}
    assert within("render_blocking", len(person.page.evaluate(BLOCKING)))
    assert within("layout_shift", person.page.evaluate("window.__shift"))


def test_the_whole_way_to_the_card_is_light(newcomer: Person) -> None:
    wire = Wire()
    wire.listen(newcomer)
    newcomer.opens("/brewbar")
    newcomer.taps("Get my card")
    newcomer.sees("Your card begins here")
    newcomer.enters(new_address())
    newcomer.sees("Whose name goes on it?")
    newcomer.tells("Ana")
    newcomer.taps("Create my card")
    newcomer.sees("Ana, here is your card")
    newcomer.page.wait_for_load_state("networkidle")
    weight = wire.without_the_merchants_pictures()
    print(f"to the card {weight} bytes in {len(wire.sizes)} requests")
    assert weight > 10_000
    assert within("registration", weight)
    assert within("layout_shift", newcomer.page.evaluate("window.__shift"))
