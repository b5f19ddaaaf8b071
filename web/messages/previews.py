"""Every message with made-up values, for looking at: a usual case and a hard one in each language."""

import base64
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from PIL import Image, ImageDraw

from web.foundation.rendering import Renderer
from web.messages import texts
from web.messages.envelope import Envelope, Message
from web.messages.mime import wire_mail
from web.messages.texts import Asked, MailBrand

_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImRvd25sb2FkK2p3dCJ9." + "eyJpc3MiOiJwYXNpdG8iLCJzdWIiOiIwMTkz" * 6
_ASKED = Asked(
    at=datetime(2026, 11, 21, 8, 41, tzinfo=UTC),
    time_zone="Europe/Madrid",
    browser="Safari",
    device="iPhone",
    place="Valencia",
)


class _Sample(msgspec.Struct, frozen=True):
    """One programme and one customer to show the messages with."""

    name: str
    brand: MailBrand
    customer: str
    asked: Asked


def previews(renderer: Renderer, locales: Sequence[str] = ("en", "es", "ar")) -> list[tuple[str, Message]]:
    """Each message in each of `locales`, named by its case; the locale is the message's own."""
    samples = (_usual(), _hard())
    return [
        (f"{name}-{sample.name}", message)
        for locale in locales
        for sample in samples
        for name, message in _messages(renderer, sample, locale)
    ]


def write_previews(renderer: Renderer, into: Path) -> int:
    """Write each message as a mail program and as a reader would get it, with an index. Returns how many."""
    entries = []
    made = previews(renderer)
    for name, message in made:
        folder = into / message.locale
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(message.text, "utf-8")
        if message.html:
            (folder / f"{name}.html").write_text(message.html, "utf-8")
            (folder / f"{name}.eml").write_bytes(wire_mail(message).content)
        shown = f"{message.locale}/{name}.{'html' if message.html else 'txt'}"
        entries.append(f'<li><a href="{shown}">{shown}</a></li>')
    (into / "index.html").write_text(
        f"<!doctype html><title>Mails</title><ul>{''.join(entries)}</ul>", "utf-8"
    )
    return len(made)


def _messages(renderer: Renderer, sample: _Sample, locale: str) -> Iterator[tuple[str, Message]]:
    mail = Envelope(id="preview", to="ana@example.com", locale=locale, sender="card@brewbar.example")
    sms = Envelope(id="preview", to="+34600000000", locale=locale)
    brand, asked = sample.brand, sample.asked
    verify = f"{brand.home_url}/verify?token={_TOKEN}"
    download = f"{brand.home_url}/download?token={_TOKEN}"
    short = f"{brand.home_url}/s/7Kq2mX"
    yield (
        "confirmation",
        texts.confirmation(
            mail,
            brand,
            renderer,
            customer_name=sample.customer,
            verify_url=verify,
            card_number="4021 7730 9816",
        ),
    )
    session = f"{brand.home_url}/{_TOKEN}"
    yield (
        "card-link",
        texts.card_link(mail, brand, renderer, download_url=download, asked=asked, session_url=session),
    )
    yield (
        "card-link-reusable",
        texts.card_link(mail, brand, renderer, download_url=download, asked=asked, minutes=2880),
    )
    yield "someone-tried", texts.someone_tried(mail, brand, renderer, download_url=download, asked=asked)
    agree = f"{brand.home_url}/change?token={_TOKEN}"
    yield "address-change", texts.address_change(mail, brand, renderer, agree_url=agree, side="old")
    yield "address-change-new", texts.address_change(mail, brand, renderer, agree_url=agree, side="new")
    yield (
        "webhook-paused",
        texts.webhook_paused(
            mail,
            brand,
            renderer,
            help_url="https://card.example/schema#changeWebhook",
            slug="brewbar",
            webhook="0193a5f0-7c1e-7d3a-9b52-3f6f0f0c7a11",
            host="shop.example.com",
            reason="10 letters in a row were lost: it answered 500",
            at=asked.at,
            time_zone=asked.time_zone,
        ),
    )
    yield "address-change-sms", texts.address_change_sms(sms, brand, renderer, agree_url=short)
    yield "confirmation-sms", texts.confirmation_sms(sms, brand, renderer, verify_url=short)
    yield "card-link-sms", texts.card_link_sms(sms, brand, renderer, download_url=short)
    yield "someone-tried-sms", texts.someone_tried_sms(sms, brand, renderer, download_url=short)


def _usual() -> _Sample:
    brand = MailBrand(
        name="Brew Bar",
        home_url="https://card.example/brewbar",
        brand_colour="#6b3f2a",
        on_brand="#ffffff",
        points_name="beans",
        logo_url=_logo("#f4e6d8", "#6b3f2a"),
        reply_to="hello@brewbar.example",
        postal_address="Brew Bar, Carrer de Sueca 12, 46006 València",
    )
    return _Sample("usual", brand, "Ana", _ASKED)


def _hard() -> _Sample:
    """Long names, a light colour, no logo, little known of who asked."""
    brand = MailBrand(
        name="Panadería, Confitería y Cafetería Artesana Nuestra Señora de los Desamparados & Söhne",
        home_url="https://card.example/panaderia-nuestra-senora-de-los-desamparados",
        brand_colour="#ffd23f",
        on_brand="#1a1a1a",
        points_name="migas",
    )
    customer = "María de los Ángeles Fernández-Villaverde y Echevarría"
    return _Sample(
        "hard",
        brand,
        customer,
        Asked(at=_ASKED.at, time_zone="America/Argentina/Buenos_Aires", device="Pixel 9"),
    )


def _logo(ground: str, ink: str) -> str:
    """A round logo as a data address: previews must show without a server."""
    picture = Image.new("RGB", (192, 192), ground)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((36, 36, 156, 156), fill=ink)
    draw.arc((72, 60, 120, 132), 100, 260, fill=ground, width=10)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
