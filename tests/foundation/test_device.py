"""Which device asks: a table of real browsers, and what no string may do."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.device import Device, describe, detect, intent_url

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("device_cases.json").read_text())


def device_of(case: dict[str, Any]) -> Device:
    headers = case.get("headers", {})
    return detect(
        case["ua"],
        platform_hint=headers.get("sec-ch-ua-platform", ""),
        mobile_hint=headers.get("sec-ch-ua-mobile", ""),
        requested_with=headers.get("x-requested-with", ""),
    )


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['platform']}: {case['ua'][:70] or 'nothing'}"
)
def test_each_known_browser_gets_its_own_way(case: dict[str, Any]) -> None:
    device = device_of(case)
    seen = {
        "platform": device.platform,
        "in_app": device.in_app,
        "button": "apple" if device.can_add_apple else "google" if device.can_add_google else None,
        "robot": device.robot,
        "touchable": device.touchable,
    }
    assert seen == {name: case[name] for name in seen}


def test_the_table_holds_at_least_seventy_real_browsers_of_every_sort() -> None:
    real = [case for case in CASES if "constructed" not in case["source"]]
    assert len({case["ua"] for case in real}) >= 70
    assert {case["platform"] for case in real} == {"ios", "android", "mac", "desktop"}
    assert sum(case["in_app"] is not None for case in real) >= 30
    assert sum(case["robot"] for case in real) >= 10


@pytest.mark.parametrize("case", [case for case in CASES if case["in_app"]], ids=lambda case: case["in_app"])
def test_every_app_has_a_way_out_of_it_and_a_name_unless_the_host_is_unknown(case: dict[str, Any]) -> None:
    device = device_of(case)
    assert device.exit == ("open-in-chrome" if case["platform"] == "android" else "open-in-safari")
    assert (device.app_name is None) == (device.in_app == "webview")


def test_a_browser_of_its_own_needs_no_way_out() -> None:
    assert all(device_of(case).exit is None for case in CASES if case["in_app"] is None)


def test_safari_that_says_macintosh_may_be_an_ipad_and_chrome_on_a_mac_may_not() -> None:
    safari = detect(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/27.0 Safari/605.1.15"
    )
    chrome = detect(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/151.0.0.0 Safari/537.36"
    )
    assert safari.maybe_ipad
    assert not chrome.maybe_ipad


def test_an_ipad_that_says_macintosh_in_another_browser_is_known_for_an_ipad() -> None:
    assert (
        detect("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) CriOS/154 Safari/605.1.15").platform == "ios"
    )


def test_the_android_hint_never_overrules_an_iphone() -> None:
    assert detect("Mozilla/5.0 (iPhone; like Mac OS X) Safari/604.1", mobile_hint="?1").platform == "ios"


def test_a_hint_of_another_system_is_no_android() -> None:
    linux = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0"
    assert detect(linux, platform_hint='"Windows"', mobile_hint="?1").platform == "desktop"
    assert detect(linux, platform_hint='"iOS"').platform == "ios"


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_that_is_sent_makes_it_fail(ua: str, platform: str, mobile: str, requested_with: str) -> None:
    detect(ua, platform_hint=platform, mobile_hint=mobile, requested_with=requested_with)


@given(
    st.lists(
        st.sampled_from(
            [
                "Mozilla/5.0 (",
                "iPhone; ",
                "Android ",
                "Macintosh",
                "; wv)",
                "bot",
                "Safari/",
                " Line/",
                "FBAN/",
                "x",
            ]
        )
    )
)
def test_a_device_adds_to_one_wallet_at_most_and_only_its_own(parts: list[str]) -> None:
    device = detect("".join(parts))
    assert not device.can_add_apple or device.platform in ("ios", "mac")
    assert not device.can_add_google or device.platform == "android"
    assert device.robot is False or device.in_app is None


@pytest.mark.parametrize(
    "unit", ["A", "(", "Mozilla/5.0 (", "; wv", "bot", "iPhone", " ", "\0", "FB_IAB", "é", "Opera/"]
)
def test_the_end_of_an_endless_string_is_never_read(unit: str) -> None:
    hostile = unit * 200_000
    assert detect(hostile + " iPhone") == detect(hostile[:400])
    assert describe(hostile) == describe(hostile[:400])


@pytest.mark.parametrize(
    "unit", ["Mozilla/5.0 (x; ", "b", "botbotbot", "Edge", "iPhoneX", "Phone; Open", "; wv"]
)
def test_an_endless_string_takes_no_longer_than_a_browser(unit: str) -> None:
    def best_of_five(text: str) -> float:
        times = []
        for attempt in range(5):
            unseen = f"{len(text)} {unit} {attempt} {text}"
            start = time.perf_counter()
            detect(unseen)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best_of_five(unit * 200_000) < 20 * best_of_five(CASES[0]["ua"])


def test_the_way_out_on_android_names_the_page_and_falls_back_to_it() -> None:
    page = "https://pasito.example/brewbar/download?token=a%2Bb&platform=android"
    link = intent_url(page + "#card")
    assert link.startswith(
        "intent://pasito.example/brewbar/download?token=a%2Bb&platform=android#Intent;scheme=https;"
    )
    assert link.endswith(";end")
    fallback = link.split("S.browser_fallback_url=")[1].removesuffix(";end")
    assert not set(fallback) & set(":/?#&;=")
    assert unquote(fallback) == page


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "/brewbar", "https:", "intent://x#Intent;end", ""]
)
def test_there_is_no_way_out_to_anything_but_a_web_page(address: str) -> None:
    with pytest.raises(ValueError, match="absolute http"):
        intent_url(address)


@pytest.mark.parametrize(
    ("start", "named"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/26.5.2 Mobile/15E148 Safari/604.1", ("Safari", "iPhone")),
        ("Mozilla/5.0 (iPad; CPU OS 27_0_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " CriOS/154.0.8037.55 Mobile/15E148 Safari/604.1", ("Chrome", "iPad")),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/30.0"
         " Chrome/143.0.0.0 Mobile Safari/537.36", ("Samsung Internet", "Android")),
        ("Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0", ("Firefox", "Android")),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0"
         " Safari/537.36 Edg/154.0.0.0", ("Edge", "Windows")),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/26.1 Safari/605.1.15", ("Safari", "Mac")),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/152.0.0.0"
         " Safari/537.36", ("Chrome", "ChromeOS")),
        ("", ("", "")),
    ],
)  # fmt: skip
def test_a_sentence_names_browser_and_device(start: str, named: tuple[str, str]) -> None:
    assert describe(start) == named


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_a_sentence_never_repeats_what_the_string_said(words: str) -> None:
    browser, device = describe(f"Call-us-now-{words}/1.0 ({words}) Mobile Safari {words}bot/2.0")
    known = {"", "iPhone", "iPad", "iPod", "Android", "Mac", "Windows", "Linux", "ChromeOS"}
    assert device in known
    assert len(browser) <= len("Samsung Internet")
    assert "Call" not in browser
