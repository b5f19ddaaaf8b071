"""Which wallet this device has, and what its page offers. Detection is a default: the other way is always in reach."""

from typing import Any
from urllib.parse import urlencode

from web.foundation.device import intent_url
from web.foundation.qr import svg
from web.foundation.sealing import random_code
from web.loyalty.link import LIFETIMES, make_link
from web.loyalty.pass_item import Item
from web.loyalty.wallet_pass import Platform
from web.pages.sent import parameter, query
from web.pages.visitor import Visitor

# Where each app keeps "open in browser"; the words beside it are the template's.
EXITS = {
    "instagram": "dots-top",
    "threads": "dots-top",
    "facebook": "dots-top",
    "messenger": "dots-top",
    "tiktok": "dots-top",
    "wechat": "dots-top",
    "line": "dots-bottom",
    "linkedin": "dots-top",
    "snapchat": "dots-bottom",
    "pinterest": "dots-top",
    "telegram": "dots-top",
    "gsa": "share",
    "kakaotalk": "dots-bottom",
}
TAKEN_ALONG = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "platform")
PLATFORMS: dict[str, Platform] = {"ios": "apple", "android": "google"}


def asked_platform(visitor: Visitor) -> Platform | None:
    """The wallet that the address names: `?platform=ios` or `android` wins over any detection."""
    return PLATFORMS.get(parameter(visitor.request, "platform").lower())


def wallet_platform(visitor: Visitor) -> Platform | None:
    """The wallet of this device, as far as can be known."""
    asked = asked_platform(visitor)
    if asked:
        return asked
    match visitor.device.platform:
        case "ios" | "mac":
            return "apple"
        case "android":
            return "google"
        case _:
            return None


async def wallet_view(
    visitor: Visitor, *, customer_id: str | None = None, link_code: str | None = None
) -> dict[str, Any]:
    """The wallet block of a page.

    With `link_code` the card is fetched by tapping the buttons of a link that is still unused (POST); with
    `customer_id` this browser may fetch it already.
    """
    device, site, slug = visitor.device, visitor.site, visitor.program.slug
    base = f"{site.settings.base_url}/{slug}"
    by_link = link_code is not None
    code = link_code
    leaves_here = device.in_app is not None or device.platform in ("desktop", "mac")
    if code is None and customer_id is not None and leaves_here:
        code = random_code()
        await site.database.write(
            make_link, visitor.program, customer_id, "handoff", jti=code, created_by="page"
        )
    elsewhere = f"{base}/l/{code}{_taken_along(visitor)}" if code else None
    handoff = None
    if elsewhere and _carries_on_elsewhere(visitor):
        handoff = {
            "qr_svg": svg(elsewhere.upper(), "M"),
            "url": elsewhere,
            "poll_url": f"/{slug}/l/{code}/taken",
            "minutes": int(LIFETIMES["handoff"].total_seconds() // 60),
        }
    apple = f"/{slug}/download/apple" if by_link else f"/{slug}/card.pkpass"
    google = f"/{slug}/download/google" if by_link else f"/{slug}/google-wallet"
    return _block(visitor, apple, google, by_link, elsewhere, handoff)


def item_wallet_view(visitor: Visitor, item: Item) -> dict[str, Any]:
    """The wallet block of a coupon, gift card or membership: its address opens on any device, as often as one likes."""
    path = f"/{visitor.program.slug}/passes/{item.code}"
    elsewhere = f"{visitor.site.settings.base_url}{path}"
    handoff = {"qr_svg": svg(elsewhere, "M"), "url": elsewhere} if _carries_on_elsewhere(visitor) else None
    return _block(visitor, f"{path}/apple", f"{path}/google", True, elsewhere, handoff)


def _carries_on_elsewhere(visitor: Visitor) -> bool:
    device = visitor.device
    return device.platform in ("desktop", "mac") and device.in_app is None and not device.touchable


def _block(
    visitor: Visitor,
    apple: str,
    google: str,
    post: bool,
    elsewhere: str | None,
    handoff: dict[str, Any] | None,
) -> dict[str, Any]:
    device, site = visitor.device, visitor.site
    return {
        "primary": _primary(visitor),
        "apple_url": apple if site.apple else None,
        "google_url": google if site.google else None,
        "post": post,
        "in_app": (device.app_name or "generic") if device.in_app else None,
        "exit": EXITS.get(device.in_app or "", "menu"),
        "copy_url": elsewhere,
        "intent_url": intent_url(elsewhere)
        if elsewhere and device.platform == "android" and device.in_app
        else None,
        "maybe_ipad": device.maybe_ipad,
        "no_google_services": device.platform == "android" and not device.can_add_google,
        "wrong_phone": _wrong_phone(visitor),
        "handoff": handoff,
        "badges": site.badges(visitor.language),
    }


def _taken_along(visitor: Visitor) -> str:
    """What the address says of campaign and wallet, for the browser that an app's own is left for."""
    if visitor.device.in_app is None:
        return ""
    kept = [item for item in query(visitor.request) if item[0] in TAKEN_ALONG]
    return f"?{urlencode(kept)}" if kept else ""


def _primary(visitor: Visitor) -> Platform | None:
    return _wrong_phone(visitor) or wallet_platform(visitor)


def _wrong_phone(visitor: Visitor) -> Platform | None:
    """The wallet this phone does have, where the link was made for the other kind of phone."""
    asked, platform = asked_platform(visitor), visitor.device.platform
    if asked == "apple" and platform == "android":
        return "google"
    if asked == "google" and platform == "ios":
        return "apple"
    return None
