"""A programme's look and a holder's card, for the tests of every wallet."""

import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from PIL import Image, ImageDraw

from web.wallet.card import Card, Design, Location, NextReward, own_labels

SPANISH = {"Points": "Puntos", "Member": "Socio", "Open": "Abrir", "Your balance is now %@": "Tu saldo es %@"}
ARABIC = {"Points": "نقاط", "Tier": "المستوى"}


def translate(locale: str, source: str) -> str:
    return {"es": SPANISH, "ar": ARABIC}.get(locale, {}).get(source, source)


def picture(width: int, height: int, form: str = "PNG", colour: str = "#c0392b") -> bytes:
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((width // 8, height // 8, width * 7 // 8, height * 7 // 8), fill=colour)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def design(**changes: Any) -> Design:
    locales = changes.get("locales", ("es", "en", "ar"))
    given: dict[str, Any] = {
        "program_id": UUID(int=7),
        "version": 1,
        "slug": "brewbar",
        "organization": "Brew Bar",
        "name": {"en": "Brew Club", "es": "Club Brew"},
        "description": {"en": "Loyalty card of Brew Bar", "es": "Tarjeta de Brew Bar"},
        "background": "#123456",
        "foreground": "#ffffff",
        "label": "#d0e0f0",
        "locales": locales,
        "labels": own_labels(locales, translate),
        "base_url": "https://club.example",
        "logo": picture(600, 300),
        "logo_url": "https://club.example/brewbar/logo.png",
    }
    return Design(**given | changes)


def card(**changes: Any) -> Card:
    given: dict[str, Any] = {
        "serial": "0190f0e0-7b1e-7c3a-9b1e-000000000001",
        "token": "t" * 24,
        "number": "100000123456",
        "locale": "es",
        "balance": 12345,
        "member": "Zoë Núñez",
        "tier": "Oro",
        "next_reward": NextReward(title="Café gratis", cost=20000, missing=7655),
        "expires": datetime(2031, 5, 1, 12, 30, tzinfo=UTC),
        "speaks": "balance",
        "locations": (Location(latitude=40.4168, longitude=-3.7038, text="Brew Bar Sol"),),
    }
    return Card(**given | changes)
