"""A visitor: one request as a page sees it: which programme, language, device and visit, and how to answer it."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from babel.numbers import get_currency_precision
from litestar import Request, Response
from litestar.datastructures import Cookie

from web.foundation.compression import compress_page, negotiate
from web.foundation.database import DatabaseUnreachable
from web.foundation.device import Device, describe, detect
from web.foundation.formats import Formats
from web.foundation.languages import choose
from web.foundation.limits import network_of
from web.foundation.sealing import random_code
from web.foundation.shell import HEAD
from web.foundation.short_code import ALPHABET
from web.foundation.tokens import BadToken, from_url, read
from web.loyalty.card_request import Asked
from web.loyalty.program import Program
from web.pages.answer import Answer
from web.pages.forms import check_token, make_token, must_show_token, read_form
from web.pages.kept import KeptPage
from web.pages.sent import cookie, header, parameter, query
from web.pages.site import Look, ProgramFace, Site, language_name, site_of

VISIT_SECONDS = 2 * 24 * 3600
SESSION_SECONDS = 7 * 24 * 3600
LINK_SECONDS = 30 * 60
LANGUAGE_SECONDS = 365 * 24 * 3600

# As `random_code` spells them.
CODE = re.compile(f"[{ALPHABET}]{{26}}")

# What a browser keeps of us, each a random token or the code of a link.
KEPT = ("session", "visit", "link", "verify", "enter", "change")

# Where a form's address shows nothing when it is opened, the page to go back to.
PAGE_OF_FORM = {
    "download/apple": "download",
    "download/google": "download",
    "download/again": "card",
    "verify/again": "verify",
    "session/again": "session",
}


AnyRequest = Request[Any, Any, Any]


class NoSuchProgram(Exception):
    """There is no programme of that name."""


class NotYet(Exception):
    """Something outside has to happen first; in a moment it will have."""


class Visitor:
    """Reads a request once and answers it in the programme's brand and the visitor's language."""

    def __init__(self, request: AnyRequest, slug: str) -> None:
        self.request = request
        self.site: Site = site_of(request)
        program = self.site.programs.get(slug.lower())
        if program is None:
            if not self.site.programs.are_loaded:
                raise DatabaseUnreachable("the programmes were never loaded")
            raise NoSuchProgram(slug)
        self.program: Program = program
        self._cookies: list[Cookie] = []
        # What the browser will show from this answer on.
        self._new: dict[str, str] = {}
        self.language = self._choose_language()

    # Who is there

    @cached_property
    def formats(self) -> Formats:
        """How the reader writes numbers, money and dates."""
        return self.site.renderer.catalogues.find(self.language).formats

    @cached_property
    def device(self) -> Device:
        return detect(
            header(self.request, b"user-agent"),
            platform_hint=header(self.request, b"sec-ch-ua-platform"),
            mobile_hint=header(self.request, b"sec-ch-ua-mobile"),
            requested_with=header(self.request, b"x-requested-with"),
        )

    @property
    def asked(self) -> Asked:
        """Which browser and device asks, in words; slow for a new one, so only where a mail will say it."""
        browser, device = describe(header(self.request, b"user-agent"))
        return Asked(browser=browser, device=device)

    @property
    def network(self) -> str:
        client = self.request.scope.get("client")
        return network_of(client[0]) if client else "unknown"

    @property
    def visit_token(self) -> str | None:
        return self._kept("visit")

    @property
    def link_code(self) -> str | None:
        """The code of the link to a card by which this browser arrived lately."""
        return self._kept("link")

    @property
    def verify_code(self) -> str | None:
        """The code of the link that confirms an address; apart, so that neither link takes the other's place."""
        return self._kept("verify")

    @property
    def enter_code(self) -> str | None:
        """The code of the session link that waits for this browser's yes."""
        return self._kept("enter")

    @property
    def change_code(self) -> str | None:
        """The code of the link that agrees to a change of address."""
        return self._kept("change")

    @property
    def session_token(self) -> str | None:
        return self._kept("session")

    @property
    def invite(self) -> str:
        """What this browser remembers of a friend's link; see `invitation`."""
        return self._kept("invite") or ""

    @property
    def is_looking_ahead(self) -> bool:
        """Whether a browser or robot fetches the page for nobody: then nothing is recorded."""
        purposes = (b"sec-purpose", b"purpose", b"x-moz")
        ahead = HEAD in self.request.scope or any(header(self.request, name) for name in purposes)
        return ahead or self.device.robot

    def amount(self, minor: int) -> str:
        """Minor units as the reader writes numbers: 10000034 at scale 2 is 100,000.34."""
        return self.formats.decimal(minor, self.program.settings.scale)

    def money(self, minor: int) -> str:
        """An amount of the programme's currency, in minor units, as the reader writes money."""
        currency = self.program.settings.currency
        return self.formats.money(minor, currency, get_currency_precision(currency))

    def code_in(self, token: str, kind: str) -> str | None:
        """The code of the link whose token stands in the address; None where it is not ours or of another kind.

        An expired one is read too: the row says what is still good, and of a dead link who is to get a new one.
        """
        try:
            program = self.program
            return read(from_url(token), program.keys, kind=kind, audience=program.id, even_expired=True).jti
        except BadToken:
            return None

    # What was sent

    async def form(self) -> dict[str, list[str]]:
        """The posted form. Raises: BadForm, Forged."""
        values = await read_form(self.request)
        if must_show_token(self.request, has_cookies=bool(self._secrets)):
            check_token(self.site.sealer, self.program.id, self._secrets, values)
        return values

    def form_token(self) -> str:
        """A token for forms, bound to what this browser keeps; "" for one that keeps nothing."""
        secret = next((kept for name in KEPT if (kept := self._kept(name))), None)
        return make_token(self.site.sealer, self.program.id, secret) if secret else ""

    # How it is answered

    def page(
        self, template: str, status: int = 200, *, referrer: str = "same-origin", **context: Any
    ) -> Response[bytes]:
        """A page of the programme. What it shows is for this visitor: it is compressed and not kept.

        `referrer` is the page's policy. Stricter than this one, browsers name no origin with a form either.
        """
        look = self.site.look(self.program, self.language)
        html = self.site.renderer.render(
            template,
            self.language,
            **self.context(look, self.form_token(), self.languages(self.here())),
            **{"noindex": True, **context},
        )
        body, coding = compress_page(html.encode(), header(self.request, b"accept-encoding"))
        return self.answer(body, coding, status, look, referrer)

    def kept_page(self, template: str, key: tuple[Any, ...] = (), **context: Any) -> Response[bytes]:
        """A page that is the same for everybody: rendered and compressed once for each version and language."""
        program = self.program
        kept_key = (program.id, program.version, self.language, template, self.is_partial, *key)
        kept = self.site.whole_pages.get(kept_key)
        if kept is None:
            look = self.site.look(program, self.language)
            html = self.site.renderer.render(
                template,
                self.language,
                **self.context(look, "", self.languages(self.here([]))),
                **{"noindex": False, **context},
            )
            if len(self.site.whole_pages) > 5000:
                self.site.whole_pages.clear()
            kept = self.site.whole_pages[kept_key] = KeptPage(html.encode(), look.policy)
        return kept.answer(negotiate(header(self.request, b"accept-encoding")), self._cookies)

    def redirect(self, path: str) -> Response[bytes]:
        """On to another address of this programme, by GET."""
        return self.redirect_out(f"/{self.program.slug}{path}")

    def address(self, path: str, query: list[tuple[str, str]]) -> str:
        return f"/{self.program.slug}{path}" + (f"?{urlencode(query)}" if query else "")

    @property
    def face(self) -> ProgramFace:
        """The programme as its pages and cards show it."""
        return self.site.face(self.program, self.language)

    def redirect_out(self, url: str) -> Response[bytes]:
        """On to an address anywhere; it is not told where from."""
        return Response(
            b"",
            status_code=303,
            media_type="text/plain",
            headers={"location": url, "cache-control": "no-store", "referrer-policy": "no-referrer"},
            cookies=self._cookies,
        )

    def keep_visit(self, token: str) -> None:
        """Let the browser keep the visit's token."""
        if token != self.visit_token:
            self._keep("visit", token, VISIT_SECONDS)

    def end_visit(self) -> None:
        self._keep("visit", "", 0)

    def keep_link(self, code: str | None) -> None:
        """Let the browser keep the code of the link it arrived by, out of the address bar.

        What is no code is kept as one that opens nothing, so that good and bad arrivals are answered alike.
        """
        self._keep("link", _code_or_any(code), LINK_SECONDS)

    def keep_verify_link(self, code: str | None) -> None:
        self._keep("verify", _code_or_any(code), LINK_SECONDS)

    def keep_enter_link(self, code: str | None) -> None:
        self._keep("enter", _code_or_any(code), LINK_SECONDS)

    def keep_change_link(self, code: str | None) -> None:
        self._keep("change", _code_or_any(code), LINK_SECONDS)

    def keep_invite(self, invite: str, days: int) -> None:
        self._keep("invite", invite, days * 24 * 3600)

    def end_invite(self) -> None:
        if self.invite:
            self._keep("invite", "", 0)

    def keep_session(self, token: str) -> None:
        """Let the browser keep a session's token for as long as the session may live."""
        self._keep("session", token, SESSION_SECONDS)

    def log_out(self) -> None:
        """Let go of all that opens something: the next person at this screen finds no door ajar."""
        for what in KEPT:
            if self._kept(what):
                self._keep(what, "", 0)

    def without_copies(self, answer: Response[bytes]) -> Response[bytes]:
        """The answer, and with it goes the card that this browser kept for times without network."""
        answer.headers["clear-site-data"] = '"cache", "storage"'
        return answer

    @property
    def is_partial(self) -> bool:
        return wants_part(self.request)

    @property
    def cookies(self) -> list[Cookie]:
        return self._cookies

    def context(self, look: Look, form_token: str, languages: list[dict[str, Any]]) -> dict[str, Any]:
        """What every template may ask for."""
        return {
            "program": look.program,
            "base": look.base,
            "style": look.style,
            "languages": languages,
            "form_token": form_token,
            "partial": self.is_partial,
            "htmx_url": self.site.htmx_url,
        }

    def answer(
        self, body: bytes, coding: str, status: int, look: Look, referrer: str = "same-origin"
    ) -> Response[bytes]:
        """A page made for this visitor alone, in the content coding that it is in."""
        headers = {
            "content-security-policy": look.policy,
            "cache-control": "no-store",
            "vary": "accept-encoding, hx-request",
            "referrer-policy": referrer,
        }
        if status in (409, 422, 429):
            # A boosted form that failed would otherwise add a second history entry for the same page.
            headers["hx-push-url"] = "false"
        if coding:
            headers["content-encoding"] = coding
        return Answer(body, status_code=status, headers=headers, cookies=self._cookies)

    def languages(self, here: str) -> list[dict[str, Any]]:
        """The same page in each language; `here` is its address up to the language's code."""
        return [
            {"code": code, "name": language_name(code), "url": here + code, "current": code == self.language}
            for code in self.program.settings.languages
        ]

    def here(self, kept: list[tuple[str, str]] | None = None) -> str:
        """This page's address up to a language's code; from the answer to a form, of the page it stands on.

        `kept` is what of the query stays, by default everything.
        """
        rest = self.request.scope["path"].strip("/").partition("/")[2]
        if self.request.scope["method"] == "POST":
            rest = PAGE_OF_FORM.get(rest, rest)
        kept = self._kept_query() if kept is None else kept
        here = self.address(f"/{rest}" if rest else "", kept)
        return f"{here}{'&' if kept else '?'}lang="

    def _kept_query(self) -> list[tuple[str, str]]:
        """What of the address a change of language must not lose; the token where it still stands in the address."""
        return [item for item in query(self.request) if item[0] != "lang"]

    def speak_for(self, customer: str) -> None:
        """Take the customer's language, unless the link or the person chose another."""
        self.language = self._choose_language(customer)
        self.__dict__.pop("formats", None)

    def keep_language(self, language: str) -> None:
        """Remember in this browser which language was chosen."""
        self._set_cookie("lang", language, LANGUAGE_SECONDS, path=f"/{self.program.slug}")

    def _choose_language(self, customer: str = "") -> str:
        offered = self.program.settings.languages
        if len(offered) == 1:
            return offered[0]
        asked = parameter(self.request, "lang")
        chosen = language_of(self.request, offered, customer)
        if chosen == asked:
            self.keep_language(chosen)
        return chosen

    def _kept(self, what: str) -> str | None:
        return self._new.get(what) if what in self._new else cookie(self.request, self._cookie_name(what))

    def _keep(self, what: str, value: str, seconds: int) -> None:
        self._new[what] = value
        self._set_cookie(self._cookie_name(what), value, seconds)

    def _cookie_name(self, what: str) -> str:
        # The prefix makes browsers refuse the cookie from anywhere else: a neighbour host cannot plant a visit.
        return f"{'__Host-' if self.site.settings.https else ''}{what}-{self.program.slug}"

    @property
    def _secrets(self) -> list[str]:
        """What this browser keeps of us; a form's page may have been made for any of it."""
        return [kept for name in KEPT if (kept := self._kept(name))]

    def _set_cookie(self, name: str, value: str, seconds: int, path: str = "/") -> None:
        self._cookies.append(
            Cookie(
                key=name,
                value=value,
                max_age=seconds,
                path=path,
                secure=self.site.settings.https,
                httponly=True,
                samesite="lax",
            )
        )


def _code_or_any(code: str | None) -> str:
    return code if code and CODE.fullmatch(code) else random_code()


def language_of(request: AnyRequest, offered: Sequence[str], customer: str = "") -> str:
    """The language that a request is answered in.

    Its link's, the one chosen here before, the customer's, the browser's, the programme's.
    """
    return choose(
        offered,
        link=parameter(request, "lang"),
        customer=cookie(request, "lang") or customer,
        browser=header(request, b"accept-language"),
    )


def wants_part(request: AnyRequest) -> bool:
    """Whether htmx asks for what goes into the page that is open, and not for a whole one."""
    asked, restores = header(request, b"hx-request"), header(request, b"hx-history-restore-request")
    return asked == "true" and restores != "true"
