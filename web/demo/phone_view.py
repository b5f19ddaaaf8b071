"""A pass as the emulated phone draws it: Wallet's layout, from nothing but what stands in the package."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from html import unescape
from typing import Any

import msgspec
from babel.dates import format_date

from web.demo.phone import Held, Phone
from web.demo.pkpass import Opened
from web.foundation import barcode, qr
from web.foundation.theme import card_colours

# So long a notice lies over whatever the phone shows.
NEW_FOR_SECONDS = 7
_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>', re.DOTALL)
_COLOURS = (("backgroundColor", "--pass"), ("foregroundColor", "--pass-ink"), ("labelColor", "--pass-label"))


def card_view(opened: Opened, language: str) -> dict[str, Any]:
    """What the template of a card needs. `name` is the class that carries its colours."""
    document = opened.document
    expires = document.get("expirationDate")
    is_over = expires is not None and datetime.fromisoformat(expires) < datetime.now(UTC)
    base = f"/dev/phone/passes/{opened.serial}"
    return {
        "serial": opened.serial,
        "name": class_of(opened.serial),
        "style": opened.style,
        "organization": document["organizationName"],
        "description": opened.say(document["description"], language),
        "logo_text": document.get("logoText", ""),
        "logo_url": f"{base}/logo.png" if picture(opened, "logo") else None,
        "icon_url": f"{base}/icon.png",
        "strip_url": f"{base}/strip.png" if picture(opened, "strip") else None,
        "header": _fields(opened, "headerFields", language),
        "primary": _fields(opened, "primaryFields", language),
        "secondary": _fields(opened, "secondaryFields", language),
        "auxiliary": _fields(opened, "auxiliaryFields", language),
        "back": _fields(opened, "backFields", language),
        "code": None if document.get("voided") or is_over else _code(document),
        "is_void": bool(document.get("voided")),
        "is_over": is_over,
        "url": f"/dev/phone/{opened.serial}",
    }


def switches_of(held: Held) -> dict[str, Any]:
    return {"updates": held.updates, "is_registered": held.is_registered}


def picture(opened: Opened, kind: str) -> bytes | None:
    """The sharpest picture of a kind that the pass holds."""
    for suffix in ("@3x", "@2x", ""):
        if found := opened.files.get(f"{kind}{suffix}.png"):
            return found
    return None


def class_of(serial: str) -> str:
    return f"pass-{re.sub(r'[^0-9A-Za-z]', '', serial)}"


def colours(passes: Iterable[Opened]) -> str:
    """A stylesheet with the colours of the passes, which no style attribute may carry under our policy."""
    return "\n".join(
        f".{class_of(each.serial)}{{{''.join(_declarations(each.document))}}}"
        for each in sorted(passes, key=lambda opened: opened.serial)
    )


def _declarations(document: dict[str, Any]) -> Iterable[str]:
    for name, variable in _COLOURS:
        if found := _RGB.fullmatch(str(document.get(name, ""))):
            yield f"{variable}:rgb({found[1]} {found[2]} {found[3]});"


def google_colours(saved: tuple[str, dict[str, Any]]) -> str:
    """The same for a card that was saved to Google, whose class names one colour."""
    serial, payload = saved
    classes: list[dict[str, Any]] = next((payload[key] for key in payload if key.endswith("Classes")), [{}])
    colour = str(classes[0].get("hexBackgroundColor", ""))
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        return ""
    background, ink, label = card_colours(colour)
    name = class_of(serial).replace("pass-", "pass-google-")
    return f".{name}{{--pass:{background};--pass-ink:{ink};--pass-label:{label};}}"


def notices_view(phone: Phone) -> list[dict[str, Any]]:
    return [
        {
            "title": notice.title,
            "text": notice.text,
            "at": f"{notice.at.astimezone():%H:%M}",
            "name": f"notice-{notice.at.timestamp():.0f}",
            "is_new": (datetime.now(UTC) - notice.at).total_seconds() < NEW_FOR_SECONDS,
            "serial": notice.serial if notice.serial in phone.held else None,
        }
        for notice in phone.notices
    ]


def google_view(serial: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A Google object as the save link says it; one that only names it is at Google, and not here."""
    kind = next((key for key in payload if key.endswith("Objects")), "loyaltyObjects")
    shown: dict[str, Any] = next(iter(payload.get(kind, ())), {})
    look: dict[str, Any] = next(iter(payload.get(kind.replace("Objects", "Classes"), ())), {})
    points = [shown[key] for key in ("loyaltyPoints", "secondaryLoyaltyPoints") if key in shown]
    fields = [(each.get("label", ""), next(iter(each.get("balance", {}).values()), "")) for each in points]
    fields += [("Name", shown["accountName"])] if "accountName" in shown else []
    code = shown.get("barcode", {})
    return {
        "serial": serial,
        "name": class_of(serial).replace("pass-", "pass-google-"),
        "title": look.get("programName") or look.get("issuerName") or "A card that Google holds",
        "logo_url": look.get("programLogo", {}).get("sourceUri", {}).get("uri"),
        "fields": fields,
        "more": [(each.get("header", ""), each.get("body", "")) for each in shown.get("textModulesData", ())],
        "code_svg": qr.svg(code["value"], "M") if code.get("value") else None,
        "code_text": code.get("alternateText", ""),
        "object": msgspec.json.format(msgspec.json.encode(shown), indent=1).decode(),
    }


def journal_view(phone: Phone) -> list[dict[str, Any]]:
    return [
        {"at": f"{each.at.astimezone():%H:%M:%S}", "what": each.what, "answer": each.answer}
        for each in phone.journal
    ]


def _fields(opened: Opened, place: str, language: str) -> list[dict[str, Any]]:
    return [_field(opened, field, language) for field in opened.fields(place)]


def _field(opened: Opened, field: dict[str, Any], language: str) -> dict[str, Any]:
    value = str(field["value"])
    if field.get("dateStyle") not in (None, "PKDateStyleNone"):
        value = format_date(datetime.fromisoformat(value), "medium", locale=language)
    link = _LINK.search(str(field.get("attributedValue", "")))
    return {
        "label": opened.say(str(field.get("label", "")), language),
        "value": opened.say(value, language),
        "href": unescape(link[1]) if link and link[1].startswith(("https://", "http://")) else None,
        "link": unescape(link[2]) if link else "",
    }


def _code(document: dict[str, Any]) -> dict[str, Any] | None:
    """The first barcode; those that we cannot draw are shown as a QR code of the same message."""
    found = next(iter(document.get("barcodes", ())), None)
    if found is None:
        return None
    is_lines = found["format"] == "PKBarcodeFormatCode128"
    try:
        drawn = barcode.svg(found["message"]) if is_lines else qr.svg(found["message"], "M")
    except barcode.NotEncodableError:
        drawn, is_lines = qr.svg(found["message"], "M"), False
    return {"svg": drawn, "is_lines": is_lines, "text": found.get("altText", "")}
