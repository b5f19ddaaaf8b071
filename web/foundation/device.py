"""Which phone or computer asks, and which wallet it can open.

Detection is a default, never a wall: every page offers the other way as well, so a wrong guess
costs a tap. No version of an operating system is read, for present browsers freeze or hide it.
"""

import re
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import user_agents
from msgspec import Struct

Platform = Literal["ios", "android", "mac", "desktop"]
Exit = Literal["open-in-safari", "open-in-chrome"]

# Sent by a page that branches on detect(), so that no cache serves one phone's page to another.
VARY: Final = "User-Agent, Sec-CH-UA-Platform, Sec-CH-UA-Mobile, X-Requested-With"

# The longest string of a browser that matters names its app within this; the rest is never read.
_READ_CHARACTERS: Final = 400


class Device(Struct, frozen=True):
    """What can be known of the device from one request.

    platform    "mac" is Safari on macOS, or an iPad, which sends the same string (`maybe_ipad`).
                "desktop" is everything that opens neither wallet by itself, phones with
                HarmonyOS NEXT and Windows included: see `touchable`.
    in_app      the app whose built-in browser this is ("instagram", "gsa", …), "webview" where
                the host does not say, None in a browser of its own.
    exit        the way out of that app, None where none is needed.
    touchable   held in the hand: a QR code on its own screen cannot be scanned by its owner.
    robot       a link preview, scanner or crawler. Only to leave extras out (a touch, a picture),
                never to refuse the page: anybody can send any string.
    """

    platform: Platform
    in_app: str | None = None
    exit: Exit | None = None
    maybe_ipad: bool = False
    can_add_apple: bool = False
    can_add_google: bool = False
    touchable: bool = False
    robot: bool = False

    @property
    def app_name(self) -> str | None:
        """The app's name as its maker writes it; None in a browser or where the host is unknown."""
        return _APP_NAMES.get(self.in_app or "")


_APP_NAMES: Final = {
    "facebook": "Facebook",
    "gmail": "Gmail",
    "gsa": "Google",
    "instagram": "Instagram",
    "kakaotalk": "KakaoTalk",
    "line": "LINE",
    "linkedin": "LinkedIn",
    "messenger": "Messenger",
    "outlook": "Outlook",
    "pinterest": "Pinterest",
    "reddit": "Reddit",
    "slack": "Slack",
    "snapchat": "Snapchat",
    "telegram": "Telegram",
    "threads": "Threads",
    "tiktok": "TikTok",
    "twitter": "X",
    "viber": "Viber",
    "wechat": "WeChat",
    "weibo": "Weibo",
}

# The first that occurs wins, so Messenger stands before Facebook, whose marks it bears as well.
# Plain substrings: one alternation of them costs some twenty times as much.
_APP_MARKS: Final = (
    ("Instagram", "instagram"),
    ("Barcelona ", "threads"),
    ("FBAN/Messenger", "messenger"),
    ("FBAN/Orca", "messenger"),
    ("FB_IAB/MESSENGER", "messenger"),
    ("FB_IAB/Orca", "messenger"),
    ("FB_IAB/", "facebook"),
    ("FBAN/", "facebook"),
    ("FBAV/", "facebook"),
    ("BytedanceWebview", "tiktok"),
    ("musical_ly", "tiktok"),
    (" trill_", "tiktok"),
    (" aweme", "tiktok"),
    ("Snapchat", "snapchat"),
    ("LinkedInApp", "linkedin"),
    ("Pinterest/", "pinterest"),
    ("TwitterAndroid", "twitter"),
    ("Twitter for iP", "twitter"),
    ("MicroMessenger", "wechat"),
    (" Line/", "line"),
    ("KAKAOTALK", "kakaotalk"),
    (" GSA/", "gsa"),
    ("Telegram-Android", "telegram"),
    (" Viber/", "viber"),
    (" Weibo ", "weibo"),
    (" Reddit/", "reddit"),
)

# Android's WebView names its host in X-Requested-With, where it still sends the header.
_PACKAGES: Final = {
    "com.facebook.katana": "facebook",
    "com.facebook.lite": "facebook",
    "com.facebook.orca": "messenger",
    "com.google.android.gm": "gmail",
    "com.google.android.googlequicksearchbox": "gsa",
    "com.instagram.android": "instagram",
    "com.instagram.barcelona": "threads",
    "com.kakao.talk": "kakaotalk",
    "com.linkedin.android": "linkedin",
    "com.microsoft.office.outlook": "outlook",
    "com.pinterest": "pinterest",
    "com.reddit.frontpage": "reddit",
    "com.Slack": "slack",
    "com.snapchat.android": "snapchat",
    "com.ss.android.ugc.trill": "tiktok",
    "com.tencent.mm": "wechat",
    "com.twitter.android": "twitter",
    "com.viber.voip": "viber",
    "com.zhiliaoapp.musically": "tiktok",
    "jp.naver.line.android": "line",
    "org.telegram.messenger": "telegram",
}
_PACKAGE: Final = re.compile(r"[A-Za-z]\w*(?:\.\w+)+\Z")
# Whole browsers that are built on the WebView: they send the header and its mark "wv" too.
_BROWSER_PACKAGES: Final = frozenset({"com.duckduckgo.mobile.android", "com.opera.mini.native"})

_HAND_HELD_OTHERS: Final = re.compile(
    r"\bWindows Phone\b|\bIEMobile\b|\b(?:Phone|Tablet); (?:OpenHarmony|HarmonyOS)"
)
_ANDROID: Final = re.compile(r"\bAndroid\b")
_IOS_BROWSER: Final = re.compile(r"\b(?:CriOS|FxiOS|EdgiOS|OPiOS|OPT)/")
# Word borders, for Android models are called "HiPad X" and "TechniPhone 5".
_IOS_DEVICE: Final = re.compile(r"\b(?:iPhone|iPad|iPod)\b")
_OTHER_ENGINE_ON_MAC: Final = re.compile(r"\b(?:Chrome|Chromium|Firefox|Edge?|OPR)/")
_NO_GOOGLE_SERVICES: Final = re.compile(r"HMSCore|HuaweiBrowser|HarmonyOS|AppGallery|\bSilk/")
_WEBVIEW_BROWSER: Final = re.compile(r"\b(?:OPR|DuckDuckGo|UCBrowser|MiuiBrowser|YaBrowser)/")

# Robots name themselves, most of them with the address of a page about them.
_ROBOT_WORDS: Final = (
    "http://", "https://", "externalhit", "meta-external", "facebookcatalog", "preview", "imageproxy",
    "mailproxy", "urldownloader", "safelinks", "proofpoint", "mimecast", "barracuda", "urlscan",
    "virustotal", "prerender", "headlesschrome", "lighthouse", "mediapartners", "google-", "crawler",
)  # fmt: skip
# There are phones called Cubot, XBot_Senior, IDbot553, "M bot 54" and Spider 8.
_ROBOT: Final = re.compile(r"(?<=\w)(?<!cu)bot(?![a-z0-9_])|spider(?! \d)")
# Every browser says one of these since Netscape; libraries and chat previews do not.
_BROWSER_WORDS: Final = ("mozilla/", "opera/", "com.huawei.hmos.browser")


def detect(
    user_agent: str, *, platform_hint: str = "", mobile_hint: str = "", requested_with: str = ""
) -> Device:
    """The device behind one request, from headers of any length and content; never raises.

    `platform_hint` and `mobile_hint` are Sec-CH-UA-Platform and -Mobile (Chromium only, and only
    over HTTPS), `requested_with` is X-Requested-With. Missing headers are empty strings.
    """
    return _detect(
        user_agent[:_READ_CHARACTERS], platform_hint[:20].strip('"'), mobile_hint[:4], requested_with[:100]
    )


@lru_cache(maxsize=4096)
def _detect(ua: str, platform_hint: str, mobile_hint: str, requested_with: str) -> Device:
    robot = _is_robot(ua.lower())
    if _HAND_HELD_OTHERS.search(ua):
        return Device("desktop", touchable=True, robot=robot)
    # Chrome's "desktop site" claims Linux in the string; its hints still tell the truth.
    hinted = platform_hint == "Android" or (not platform_hint and mobile_hint == "?1")
    if _ANDROID.search(ua) or (hinted and not _IOS_DEVICE.search(ua)):
        return _android(ua, requested_with, robot)
    if (
        _IOS_DEVICE.search(ua)
        or _IOS_BROWSER.search(ua)
        or platform_hint == "iOS"
        or ("Macintosh" in ua and "Mobile/" in ua)
    ):
        return _ios(ua, robot)
    if "Macintosh" in ua and "AppleWebKit/" in ua and not _OTHER_ENGINE_ON_MAC.search(ua):
        return _mac(ua, robot)
    return Device("desktop", robot=robot)


def _android(ua: str, requested_with: str, robot: bool) -> Device:
    app = None if robot else _app_in(ua) or _host(requested_with)
    if app is None and not robot and "; wv)" in ua and not _WEBVIEW_BROWSER.search(ua):
        app = "webview"
    return Device(
        "android",
        in_app=app,
        exit="open-in-chrome" if app else None,
        # Google refuses to sign people in inside a WebView, so the save link ends there.
        can_add_google=app is None and not _NO_GOOGLE_SERVICES.search(ua),
        touchable=True,
        robot=robot,
    )


def _ios(ua: str, robot: bool) -> Device:
    app = None if robot else _app_in(ua)
    if app is None and not robot and "Safari/" not in ua and not _IOS_BROWSER.search(ua):
        app = "webview"
    return Device(
        "ios",
        in_app=app,
        exit="open-in-safari" if app else None,
        # The Google app is near to a browser and too frequent to lose: button and a hint.
        can_add_apple=app in (None, "gsa"),
        touchable=True,
        robot=robot,
    )


def _mac(ua: str, robot: bool) -> Device:
    in_safari = robot or "Safari/" in ua
    return Device(
        "mac",
        in_app=None if in_safari else "webview",
        exit=None if in_safari else "open-in-safari",
        maybe_ipad=not robot,
        can_add_apple=in_safari,
        robot=robot,
    )


def _is_robot(lowered: str) -> bool:
    return (
        not any(word in lowered for word in _BROWSER_WORDS)
        or any(word in lowered for word in _ROBOT_WORDS)
        or _ROBOT.search(lowered) is not None
    )


def _app_in(ua: str) -> str | None:
    return next((app for mark, app in _APP_MARKS if mark in ua), None)


def _host(requested_with: str) -> str | None:
    # Scripts send "XMLHttpRequest" in the same header; a package name has dots.
    if requested_with in _BROWSER_PACKAGES or not _PACKAGE.match(requested_with):
        return None
    return _PACKAGES.get(requested_with, "webview")


def intent_url(url: str) -> str:
    """The link that an Android app hands to the phone's own browser, falling back to `url` itself.

    Works only from a person's tap. The fragment is lost, for the form needs its place.
    Raises ValueError unless `url` is an absolute http or https address.
    Source: Chrome's "Android Intents with Chrome".
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("an intent needs an absolute http or https address")
    plain = parts._replace(fragment="").geturl()
    address = plain.removeprefix(f"{parts.scheme}:")
    fallback = quote(plain, safe="")
    return f"intent:{address}#Intent;scheme={parts.scheme};S.browser_fallback_url={fallback};end"


# The library copies parts of the string into its answer. The names stand in mails, so only those
# of these two lists get through: nobody writes into another's inbox by way of a User-Agent.
_BROWSERS: Final = (
    "Samsung Internet", "DuckDuckGo", "Opera", "Firefox", "Edge", "Brave", "Vivaldi", "Yandex",
    "Instagram", "Facebook", "Snapchat", "Pinterest", "LinkedIn", "UC Browser", "Huawei Browser",
    "Amazon Silk", "Google", "Chrome", "Chromium", "Safari",
)  # fmt: skip
_SYSTEMS: Final = {
    "Android": "Android",
    "Chrome OS": "ChromeOS",
    "Linux": "Linux",
    "Mac OS X": "Mac",
    "Ubuntu": "Linux",
    "Windows": "Windows",
    "iOS": "iPhone",
}


@lru_cache(maxsize=1024)
def describe(user_agent: str) -> tuple[str, str]:
    """Browser and device for a sentence, as proper names: ("Safari", "iPhone"); "" where unknown.

    Slow for a string not seen before (near a millisecond), so only for the few sentences that
    say which phone asked, never for choosing a page.
    """
    parsed = user_agents.parse(user_agent[:_READ_CHARACTERS])
    browser = next((name for name in _BROWSERS if name in parsed.browser.family), "")
    if parsed.device.family in ("iPad", "iPod"):
        return browser, parsed.device.family
    return browser, _SYSTEMS.get(parsed.os.family, "")
