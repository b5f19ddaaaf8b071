"""Development only: an emulated phone beside the browser, where cards are added, change, and say so."""

import hashlib
import time
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from web.demo.handset import Handset
from web.demo.phone_view import (
    card_view,
    colours,
    google_colours,
    google_view,
    journal_view,
    notices_view,
    picture,
    switches_of,
)
from web.demo.pkpass import Opened
from web.foundation.compression import compress, negotiate
from web.pages.site import Site, site_of
from web.pages.visitor import AnyRequest, NoSuchProgram

PICTURES = ("logo", "icon", "strip")
# Where another process makes the deliveries its pushes do not reach this one: it asks, while somebody looks.
ASKS_EVERY_SECONDS = 3.0
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
VIEWS = ("wallet", "lock", "android")


@get("/dev/phone", name="phone")
async def show(request: AnyRequest) -> Response[bytes]:
    return _screen(request, "wallet")


@get("/dev/phone/lock", name="phone_lock")
async def show_lock(request: AnyRequest) -> Response[bytes]:
    return _screen(request, "lock")


@get("/dev/phone/android", name="phone_android")
async def show_android(request: AnyRequest) -> Response[bytes]:
    return _screen(request, "android")


@get("/dev/phone/{serial:str}", name="phone_pass")
async def show_pass(request: AnyRequest, serial: FromPath[str]) -> Response[bytes]:
    return _screen(request, "front", serial)


@get("/dev/phone/{serial:str}/back", name="phone_back")
async def show_back(request: AnyRequest, serial: FromPath[str]) -> Response[bytes]:
    return _screen(request, "back", serial)


@get("/dev/phone/passes/{serial:str}/{name:str}", name="phone_picture")
async def show_picture(request: AnyRequest, serial: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    kind = name.removesuffix(".png")
    opened = _passes(handset_of(request)).get(serial)
    found = picture(opened, kind) if opened and kind in PICTURES else None
    if found is None:
        raise NoSuchProgram(serial)
    # The address stays while the picture may change: asked for again, and mostly answered with "the same".
    etag = f'"{hashlib.sha256(found).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, headers={"etag": etag})
    return Response(found, media_type="image/png", headers={"etag": etag, "cache-control": "no-cache"})


@get("/dev/phone/colours.css", name="phone_colours")
async def show_colours(request: AnyRequest) -> Response[bytes]:
    sheet = _colours(handset_of(request))
    return Response(
        sheet.encode(), media_type="text/css", headers={"cache-control": "private, max-age=86400"}
    )


@post("/dev/phone/{serial:str}/{act:str}", name="phone_act")
async def act(request: AnyRequest, serial: FromPath[str], act: FromPath[str]) -> Response[bytes]:
    handset, then = handset_of(request), "/dev/phone"
    match act:
        case "add":
            await handset.add(serial)
            then = f"/dev/phone/{serial}"
        case "decline":
            handset.decline(serial)
        case "remove":
            await handset.remove(serial)
        case "updates":
            await handset.switch_updates(serial)
            then = f"/dev/phone/{serial}/back"
        case "forget":
            handset.forget_saved(serial)
            then = "/dev/phone/android"
        case _:
            raise NoSuchProgram(act)
    return _to(then)


@post("/dev/phone/restore", name="phone_restore")
async def restore(request: AnyRequest) -> Response[bytes]:
    await handset_of(request).restore()
    return _to("/dev/phone")


@post("/dev/phone/clear", name="phone_clear")
async def clear(request: AnyRequest) -> Response[bytes]:
    handset_of(request).clear_notices()
    return _to("/dev/phone/lock")


def handset_of(request: AnyRequest) -> Handset:
    handset: Handset = request.app.state.handset
    return handset


def _to(path: str) -> Response[bytes]:
    return Response(b"", status_code=303, headers={"location": path})


def _passes(handset: Handset) -> dict[str, Opened]:
    """Every pass that can be seen: offered ones, and those in the wallet, which go before."""
    offered = {offer.serial: offer.opened for offer in handset.offers if offer.opened}
    return {**offered, **{serial: held.opened for serial, held in handset.phone.held.items()}}


def _colours(handset: Handset) -> str:
    return "\n".join([colours(_passes(handset).values()), *map(google_colours, handset.saved.items())])


def _screen(request: AnyRequest, view: str, serial: str | None = None) -> Response[bytes]:
    """The page with the phone; what htmx asks for is answered only if there is something new to see."""
    site, handset = site_of(request), handset_of(request)
    if not site.settings.worker:
        handset.look_now_and_then(time.monotonic(), ASKS_EVERY_SECONDS)
    seen = str(handset.changes)
    is_partial = "hx-request" in request.headers
    if is_partial and request.query_params.get("seen") == seen:
        return Response(b"", status_code=204)
    if serial is not None and serial not in handset.phone.held:
        # It was removed on the other side of the screen.
        if not is_partial:
            return _to("/dev/phone")
        view, serial = "wallet", None
    html = _render(site, handset, view, serial, seen)
    headers = {"content-security-policy": POLICY, "cache-control": "no-store", "vary": "hx-request"}
    if coding := negotiate(request.headers.get("accept-encoding", "")):
        html = compress(html, coding)
        headers["content-encoding"] = coding
    return Response(html, headers=headers, media_type="text/html")


def _render(site: Site, handset: Handset, view: str, serial: str | None, seen: str) -> bytes:
    phone = handset.phone
    language = phone.language
    sheet = _colours(handset)
    held = phone.held.get(serial) if serial else None
    offer = next(iter(handset.offers[::-1]), None)
    path = (
        "/dev/phone"
        + (f"/{serial}" if serial else "")
        + (f"/{view}" if view in ("lock", "android", "back") else "")
    )
    return site.renderer.render(
        "dev/phone.html",
        "en",
        view=view,
        path=path,
        seen=seen,
        htmx_url=site.htmx_url,
        base_url=site.settings.base_url,
        colours_url=f"/dev/phone/colours.css?v={hashlib.sha256(sheet.encode()).hexdigest()[:12]}",
        cards=[card_view(each.opened, language) for each in phone.held.values()][::-1],
        card=card_view(held.opened, language) if held else None,
        switches=switches_of(held) if held else None,
        offer=_offer_view(offer, language) if offer and view != "android" else None,
        notices=notices_view(phone),
        journal=journal_view(phone),
        saved=[google_view(serial, payload) for serial, payload in handset.saved.items()],
        device=phone.device_id,
        clock=time.strftime("%H:%M"),
        day=time.strftime("%A, %-d %B"),
    ).encode()


def _offer_view(offer: Any, language: str) -> dict[str, Any]:
    card = card_view(offer.opened, language) if offer.opened else None
    return {"serial": offer.serial, "refusal": offer.refusal, "card": card}


ROUTES = (
    show,
    show_lock,
    show_android,
    show_colours,
    show_pass,
    show_back,
    show_picture,
    act,
    restore,
    clear,
)
