"""What every page needs, wired once: settings, database, programmes, templates, wallets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from babel import Locale
from litestar import Request

from web.foundation.assets import HTMX, Assets
from web.foundation.database import Database
from web.foundation.limits import Limits, Rule, TooMany
from web.foundation.metrics import Metrics
from web.foundation.rendering import Renderer
from web.foundation.sealing import Sealer
from web.foundation.stylesheet import style_hash
from web.foundation.theme import css as theme_css
from web.loyalty.fetches import Fetches
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.pages.frame import Frame
from web.pages.kept import KeptPage
from web.settings import Settings
from web.wallet.apple.wallet import AppleWallet
from web.wallet.designs import Designs
from web.wallet.google.callbacks import GoogleCallbacks
from web.wallet.google.deliveries import GoogleCards
from web.wallet.google.wallet import GoogleWallet

NEUTRAL_COLOUR = "#4a4540"


class ProgramFace(msgspec.Struct, frozen=True, kw_only=True):
    """A programme as the templates see it, in one language."""

    slug: str
    name: str
    tagline: str
    gain: str
    gains: tuple[str, ...]
    logo_url: str | None
    points_name: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages of one programme in one language have in common, made once for each version of it."""

    program: ProgramFace | None
    base: str
    style: str
    policy: str


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A card on its way to a wallet: Apple's as a package with the token that fetches it, Google's as a save link."""

    serial: str
    package: bytes = b""
    token: str = ""
    save_url: str = ""


@dataclass
class Site:
    """The application's parts, as its pages use them. One for each process."""

    settings: Settings
    database: Database
    programs: Programs
    renderer: Renderer
    assets: Assets
    limits: Limits
    metrics: Metrics
    sealer: Sealer
    apple: AppleWallet | None
    google: GoogleWallet | None
    designs: Designs
    fetches: Fetches
    head_revision: str | None
    # Both need the process's own connections to the outside, and are set once those are open.
    google_cards: GoogleCards | None = None
    google_callbacks: GoogleCallbacks | None = None
    # Hears of each card that a browser was handed; only development's emulated phone listens.
    handed: Callable[[Handed], None] | None = None
    # Set after a write that something outside waits for, so that the worker need not be polled awake.
    work_to_do: asyncio.Event = field(default_factory=asyncio.Event)
    _looks: dict[tuple[str, int, str], Look] = field(default_factory=dict)
    whole_pages: dict[tuple[Any, ...], KeptPage] = field(default_factory=dict)
    frames: dict[tuple[Any, ...], Frame] = field(default_factory=dict)

    def look(self, program: Program | None, language: str) -> Look:
        key = (program.slug, program.version, language) if program else ("", 0, language)
        known = self._looks.get(key)
        if known is None:
            if len(self._looks) > 2000:
                self._looks.clear()
            known = self._looks[key] = self._make_look(program, language)
        return known

    def face(self, program: Program, language: str) -> ProgramFace:
        face = self.look(program, language).program
        assert face is not None, "only what has no programme has no face"
        return face

    def badges(self, language: str) -> dict[str, str | None] | None:
        """The vendors' badges, where the operator has put them into the badge folder."""
        known = [name for name in ("apple", "google") if f"badges/{name}/en.svg" in self.assets]
        if not known:
            return None
        return {
            f"{name}_url": self.assets.url(
                f"badges/{name}/{language if f'badges/{name}/{language}.svg' in self.assets else 'en'}.svg"
            )
            if name in known
            else None
            for name in ("apple", "google")
        }

    async def limit(self, rule: Rule, *key: str) -> None:
        """Count one under a named rule; raises TooMany, and metrics know."""
        try:
            await self.limits.check(rule, *key)
        except TooMany:
            self.metrics.refused.labels(rule.name).inc()
            raise

    @property
    def htmx_url(self) -> str | None:
        return self.assets.url(HTMX) if HTMX in self.assets else None

    def _make_look(self, program: Program | None, language: str) -> Look:
        colour = program.settings.brand.colour if program else NEUTRAL_COLOUR
        style = self.assets.stylesheet() + theme_css(colour)
        return Look(
            program=program_face(program, language, self.renderer) if program else None,
            base=f"/{program.slug}" if program else "",
            style=style,
            policy=(
                f"default-src 'none'; style-src {style_hash(style)}; script-src 'self'; img-src 'self' data:; "
                "connect-src 'self'; form-action 'self' https://pay.google.com; "
                "base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
            ),
        )


def site_of(request: Request[Any, Any, Any]) -> Site:
    site: Site = request.app.state.site
    return site


def program_face(program: Program, language: str, renderer: Renderer) -> ProgramFace:
    texts = program.settings.texts_in(language)
    mark = program.images.get("mark")
    return ProgramFace(
        slug=program.slug,
        name=program.settings.name,
        tagline=texts.tagline,
        gain=texts.gain or renderer.text(language, "Your loyalty card, on your phone"),
        gains=texts.gains,
        logo_url=f"/{program.slug}/mark.png?v={mark[:12]}" if mark else None,
        points_name=texts.points_name or renderer.text(language, "Points"),
    )


@cache
def language_name(code: str) -> str:
    """A language's own name for itself: "Español"."""
    locale = Locale.parse(code, sep="-")
    return (locale.get_display_name(locale) or code).capitalize()
