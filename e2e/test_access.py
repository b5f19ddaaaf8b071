"""Every page, for everybody: axe has nothing to say, nothing runs over the edge, everything can be tapped.

On a phone of 320 pixels, in light and dark, at twice the text's size, and from right to left.
"""

from typing import Any, Literal

import pytest

from e2e.person import People, Person
from e2e.scenes import SCENES, Scene
from tests.support.serving import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROW = {"width": 320, "height": 640}
# WCAG 2.5.8. Links within a sentence are exempt, and whatever is hidden.
SMALLEST_TARGET = 24

FIND = """rules => axe.run(document, {runOnly: rules, resultTypes: ["violations"], iframes: false})
  .then(({violations}) => violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`))"""
# A phone's innerWidth grows with what runs over; the root's clientWidth stays.
RUNS_OVER = """() => {
  const width = document.documentElement.clientWidth;
  const over = [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > width + 1 || box.left < -1) && !e.closest("svg, .vh, pre, iframe");
  });
  const page = document.documentElement.scrollWidth > width ? ["the page"] : [];
  return over.map((e) => e.outerHTML.slice(0, 100)).concat(page);
}"""
TOO_SMALL = """least => [...document.querySelectorAll("a, button, input, summary, [role=button]")].filter((e) => {
    if (e.closest(".vh, [hidden], p, pre, .summary") || e.type === "hidden") return false;
    // What belongs to a label is tapped by it.
    const boxes = [e, ...(e.labels ?? [])].map((part) => part.getBoundingClientRect()).filter((box) => box.width);
    return boxes.length && !boxes.some((box) => box.width >= least && box.height >= least);
  }).map((e) => e.outerHTML.slice(0, 100))"""


def findings(person: Person) -> list[str]:
    """What axe finds on the page as it is shown now."""
    page = person.page
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState === 'finished')")
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found: list[str] = page.evaluate(FIND, RULES)
    return found


def at_text_size(person: Person, percent: int) -> None:
    """The browser's own setting for the size of text; 16 pixels is 100 %."""
    session = person.context.new_cdp_session(person.page)
    sizes = {"standard": 16 * percent // 100, "fixed": 13 * percent // 100}
    session.send("Page.setFontSizes", {"fontSizes": sizes})
    person.page.wait_for_function(
        "size => getComputedStyle(document.documentElement).fontSize === `${size * 1.0625}px`",
        arg=sizes["standard"],
    )


# Colours are judged most strictly at 100 %, where text is small; the room that things take does not depend on colours.
WAYS: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 100), ("dark", 100), ("dark", 200))


def look_closely(person: Person, ways: tuple[tuple[Literal["light", "dark"], int], ...] = WAYS) -> list[str]:
    """What is wrong with a page as it was opened, in light and at 100 %; it is left as the last of the ways has it."""
    faults = [f"too small: {part}" for part in person.page.evaluate(TOO_SMALL, SMALLEST_TARGET)]
    now = ("light", 100)
    for way in ways:
        (scheme, percent), before, now = way, now, way
        if scheme != before[0]:
            person.page.emulate_media(color_scheme=scheme)
        if percent != before[1]:
            at_text_size(person, percent)
        seen = findings(person) + [f"runs over: {part}" for part in person.page.evaluate(RUNS_OVER)]
        faults += [f"{scheme}, {percent} %: {fault}" for fault in seen]
    return faults


def options_for(scene: Scene, **more: Any) -> dict[str, Any]:
    return {"viewport": NARROW, "bypass_csp": True, "reduced_motion": "reduce", **scene.options, **more}


@pytest.mark.parametrize("name", SCENES)
def test_nothing_stands_in_anybodys_way(people: People, name: str) -> None:
    scene = SCENES[name]
    device = "iphone" if not scene.only else scene.only[0]
    person = people(device, **options_for(scene))
    scene.play(person)
    assert look_closely(person, WAYS[-1:] if scene.is_variation else WAYS) == []


# The pages whose shape differs on a computer, in a language from right to left.
@pytest.mark.parametrize(
    "name",
    ["front_door", "contact_slip", "about_wrong", "card_full", "download", "poster_a4", "code"],
)
def test_nor_from_right_to_left(people: People, name: str) -> None:
    scene = SCENES[name]
    person = people("iphone", **options_for(scene, locale="ar"))
    scene.play(person)
    assert person.page.locator("html").get_attribute("dir") == "rtl"
    assert look_closely(person) == []


@pytest.mark.parametrize(
    "name", ["front_door", "card_full", "download", "mailbox_message", "profile", "rewards"]
)
def test_nor_on_a_computer(people: People, name: str) -> None:
    scene = SCENES[name]
    person = people("laptop", bypass_csp=True, reduced_motion="reduce")
    scene.play(person)
    assert findings(person) == []
    assert person.page.evaluate(RUNS_OVER) == []


def test_a_page_that_stands_in_the_way_is_noticed(people: People) -> None:
    """The checks themselves: a page with one fault of each kind."""
    person = people("iphone", viewport=NARROW, bypass_csp=True, reduced_motion="reduce")
    person.opens("/brewbar/register")
    assert look_closely(person) == []
    person.page.evaluate(
        """() => document.querySelector("main").insertAdjacentHTML("beforeend",
        '<div style="width:400px;color:#aaa;background:#fff">pale and wide</div>'
        + '<img src="/favicon.ico"><input style="width:9px;height:9px"><h5>Skipped</h5>')"""
    )
    found = {fault.partition(":")[0] for fault in findings(person)}
    assert {"color-contrast", "image-alt", "label", "heading-order"} <= found
    assert any("pale and wide" in part for part in person.page.evaluate(RUNS_OVER))
    assert any("9px" in part for part in person.page.evaluate(TOO_SMALL, SMALLEST_TARGET))
    assert "the page" in person.page.evaluate(RUNS_OVER)
