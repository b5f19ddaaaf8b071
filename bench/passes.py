"""How fast passes are made, as a share of what the machine can sign at all.

A pass needs one RSA-2048 signature, so its raw rate is the ceiling. Everything is measured in one run, in
short alternating rounds, because a shared machine's speed drifts; the medians of the rounds are compared.
"""

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from bench.bars import Bar, at_least, shown
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.content import Content
from web.wallet.apple.development import development_certificates
from web.wallet.apple.package import Package
from web.wallet.apple.signing import ManifestSigner
from web.wallet.card import Card, Design, NextReward, own_labels

ROUND = 0.03  # seconds; short, so that a busy machine slows all three alike
IMAGES, IMAGE_BYTES = 8, 61_000  # all eight together, as in the comparison that set the bar
BAR = 0.85


def measure(long: bool) -> list[Bar]:
    """The share that whole passes reach of the raw rate; a library's way of signing beside it."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = development_certificates(
            Path(folder) / "apple", pass_type_id="pass.example.bench", team_id="BENCHTEAM1"
        )
    makers = {"raw": _raw(certificates), "library": _library(certificates), "pass": _passes(certificates)}
    rates: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(90 if long else 15):
        for name, make in makers.items():
            rates[name].append(_rate(make))
    shares = {
        name: median(ours / raw for ours, raw in zip(rates[name], rates["raw"], strict=True))
        for name in ("pass", "library")
    }
    return [
        at_least("an Apple pass, share of raw RSA-2048 signing", shares["pass"], BAR),
        shown("  only signed, by the library", shares["library"]),
        shown("  passes", median(rates["pass"]), "/s"),
    ]


def _rate(make: Callable[[], object]) -> float:
    """Calls a second, over one round."""
    calls, start = 0, perf_counter()
    while (spent := perf_counter() - start) < ROUND:
        for _ in range(10):
            make()
        calls += 10
    return calls / spent


def _raw(certificates: Certificates) -> Callable[[], object]:
    key, data, padding, digest = certificates.key, os.urandom(100), PKCS1v15(), hashes.SHA256()
    return lambda: key.sign(data, padding, digest)


def _library(certificates: Certificates) -> Callable[[], object]:
    data = os.urandom(1000)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    return lambda: (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(data)
        .add_signer(certificates.certificate, certificates.key, hashes.SHA256())
        .add_certificate(certificates.intermediate)
        .sign(Encoding.DER, options)
    )


def _passes(certificates: Certificates) -> Callable[[], object]:
    """Whole passes, each for another holder, with pictures of a given size instead of rendered ones."""
    names = [f"{kind}{scale}.png" for kind in ("icon", "logo", "strip") for scale in ("", "@2x", "@3x")]
    images = {name: os.urandom(IMAGE_BYTES // IMAGES) for name in names[:IMAGES]}
    content = Content(
        _design(), certificates.pass_type_id, certificates.team_id, "https://club.example/passkit"
    )
    package = Package(content, images, ManifestSigner(certificates))
    # Few enough to stay near the processor, as a card does that was just read from the database.
    cards = cycle([_card(holder) for holder in range(100)])
    return lambda: package.build(next(cards))


def _design() -> Design:
    locales = ("en", "es", "ar")
    return Design(
        program_id=UUID(int=1),
        version=1,
        slug="brewbar",
        organization="Brew Bar",
        name={"en": "Brew Club"},
        description={"en": "Loyalty card of Brew Bar"},
        background="#123456",
        foreground="#ffffff",
        label="#d0e0f0",
        locales=locales,
        labels=own_labels(locales, lambda locale, source: f"{source} ({locale})"),
        base_url="https://club.example",
        logo=b"",
        logo_url="https://club.example/brewbar/logo.png",
    )


def _card(holder: int) -> Card:
    return Card(
        serial=str(UUID(int=holder)),
        token=f"{holder:032x}",
        number=f"{holder:012}",
        locale="es",
        balance=holder * 37,
        member=f"Zoë Núñez {holder}",
        tier="Oro",
        next_reward=NextReward(title="Café gratis", cost=holder * 40, missing=holder * 3),
        expires=datetime(2031, 5, 1, tzinfo=UTC),
    )
