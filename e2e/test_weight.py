"""What a page weighs over the wire, headers included. `budgets.json` says how much it may be, in bytes.

Bytes and counts are the same on every machine, so these fail exactly; times would not be.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.person import Device, People, Person, new_address
from e2e.scenes import SCENES, Scene

BUDGETS: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "budgets.json").read_text())
# Counted whether somebody has just tapped or not: a step that is swapped in must not jump either.
SHIFTS = """window.__shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((e) => (window.__shift += e.value)))
  .observe({type: "layout-shift", buffered: true})"""
# A page that comes so slowly that the browser paints each few lines of it, up to so many bytes before its end. The time
# after which the page would be shown in parts is held, for machines that are as slow as such a network.
BIT_BY_BIT = """async ([url, missing]) => {
  const page = await (await fetch(url)).text();
  const painted = () => new Promise((is) => requestAnimationFrame(() => setTimeout(is)));
  history.replaceState(null, "", url);
  document.open();
  for (let from = 0, to = page.indexOf("<body"); from < page.length - missing; from = to, to += 400) {
    document.write(page.slice(from, to));
    await painted();
    if (!missing) document.getElementById("app")?.getAnimations().forEach((hope) => hope.pause());
  }
  if (!missing) document.close();
}"""
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


def way_to(people: People, scene: Scene) -> tuple[str, dict[str, Any]]:
    """The address of the scene's page, and the options of somebody who comes to it for the first time."""
    with people.one("pixel", **scene.options) as guide:
        scene.play(guide)
        return guide.page.url, {"storage_state": guide.context.storage_state(), **scene.options}


def first_view(people: People, url: str, options: dict[str, Any]) -> tuple[Person, Wire]:
    person = people("pixel", **options)
    person.context.add_init_script(SHIFTS)
    wire = Wire()
    wire.listen(person)
    person.opens(url)
    return person, wire


def slow_view(people: People, device: Device, url: str, options: dict[str, Any], missing: int = 0) -> Person:
    """The same on a network that hardly gets on, and may lose the page's end."""
    person = people(device, **options, bypass_csp=True)
    person.context.add_init_script(SHIFTS)
    person.opens("/health/live")
    person.page.evaluate(BIT_BY_BIT, [url, missing])
    return person


PAGES = [
    "front_door", "contact", "about", "card_full", "inbox", "ask_for_card", "download", "download_dead", "verify",
    "verify_dead", "privacy", "poster_a4", "not_found", "profile", "rewards", "reward", "code", "earning",
    "referrals", "coupons", "transactions",
]  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_first_view_fits_the_first_round_trip_and_nothing_in_it_moves(people: People, name: str) -> None:
    url, options = way_to(people, SCENES[name])
    person, wire = first_view(people, url, options)
    for device in ("pixel", "laptop"):
        slow = slow_view(people, device, url, options)
        assert slow.heading.is_visible()
        assert within("layout_shift", slow.page.evaluate("window.__shift")), device
    person.page.wait_for_load_state("networkidle")
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


def test_a_page_whose_end_does_not_come_is_shown_all_the_same(people: People) -> None:
    """Pages are shown whole, as long as there is hope."""
    person = slow_view(people, "pixel", f"{people.server.url}/brewbar/privacy", {}, missing=500)
    assert not person.heading.is_visible()
    person.heading.wait_for()


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
