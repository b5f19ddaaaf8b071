"""A visitor: one request as a page sees it: which programme, language, device and visit, and how to answer it."""

import base64
import hmac
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Request, Response
from litestar.datastructures import Cookie

from web.foundation.compression import compress, negotiate
from web.foundation.device import Device, describe, detect
from web.foundation.languages import choose
from web.foundation.limits import network_of
from web.loyalty.card_request import Asked
from web.loyalty.program import Program
from web.pages.kept import KeptPage
from web.pages.site import Frame, Site, language_name, site_of

LONGEST_FORM = 64 * 1024
LONGEST_FIELD = 2000
VISIT_SECONDS = 2 * 24 * 3600
LINK_SECONDS = 30 * 60
LANGUAGE_SECONDS = 365 * 24 * 3600

AnyRequest = Request[Any, Any, Any]


class NoSuchProgram(Exception):
    """There is no programme of that name."""


class BadForm(Exception):
    """A form that no browser of ours would send: not UTF-8, with NUL bytes, far too long."""


class Forged(Exception):
    """A form without proof that it came from our own page."""


class NotYet(Exception):
    """Something outside has to happen first; in a moment it will have."""


class Visitor:
    """Reads a request once and answers it in the programme's brand and the visitor's language."""

    def __init__(self, request: AnyRequest, slug: str) -> None:
        self.request = request
        self.site: Site = site_of(request)
        program = self.site.programs.get(slug.lower())
        if program is None:
            raise NoSuchProgram(slug)
        self.program: Program = program
        self._cookies: list[Cookie] = []
        # The request's own look-ups cost more than all else that a kept page needs.
        self._headers: dict[bytes, bytes] = dict(request.scope["headers"])
        self.language = self._choose_language()

    # Who is there

    def header(self, name: bytes) -> str:
        """A header's value by its name in lower case; "" where the request has none."""
        return self._headers.get(name, b"").decode("latin-1")

    @cached_property
    def device(self) -> Device:
        return detect(
            self.header(b"user-agent"),
            platform_hint=self.header(b"sec-ch-ua-platform"),
            mobile_hint=self.header(b"sec-ch-ua-mobile"),
            requested_with=self.header(b"x-requested-with"),
        )

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The address's parameters; of one that is given twice, the last."""
        request = self.request
        return dict(request.query_params.items()) if request.scope["query_string"] else {}

    @cached_property
    def cookies_sent(self) -> Mapping[str, str]:
        return self.request.cookies if b"cookie" in self._headers else {}

    @property
    def asked(self) -> Asked:
        """Which browser and device asks, in words; slow for a new one, so only where a mail will say it."""
        browser, device = describe(self.header(b"user-agent"))
        return Asked(browser=browser, device=device)

    @property
    def network(self) -> str:
        client = self.request.scope.get("client")
        return network_of(client[0]) if client else "unknown"

    @property
    def visit_token(self) -> str | None:
        return self.cookies_sent.get(self._visit_cookie)

    @property
    def link_code(self) -> str | None:
        """The code of the link by which this browser arrived lately."""
        return self.cookies_sent.get(self._link_cookie)

    @property
    def is_looking_ahead(self) -> bool:
        """Whether a browser or robot fetches the page for nobody: then nothing is recorded."""
        purposes = (b"sec-purpose", b"purpose", b"x-moz")
        is_head = bool(self.request.scope.get("is_head"))
        return is_head or any(self._headers.get(name) for name in purposes) or self.device.robot

    # What was sent

    async def form(self) -> dict[str, list[str]]:
        """The posted form. Raises: BadForm, Forged."""
        body = await self.request.body()
        if len(body) > LONGEST_FORM:
            raise BadForm
        try:
            pairs = parse_qsl(
                body.decode("utf-8"),
                keep_blank_values=True,
                encoding="utf-8",
                errors="strict",
                max_num_fields=100,
            )
        except ValueError as error:
            raise BadForm from error
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            if "\0" in name or "\0" in value or len(value) > LONGEST_FIELD:
                raise BadForm
            values.setdefault(name, []).append(value)
        self._check_origin(values)
        return values

    def form_token(self) -> str:
        """A token for forms, bound to the visit and different on each page, so that compression tells nothing."""
        token = self.visit_token
        if not token:
            return ""
        proof = self._proof(token)
        pad = os.urandom(len(proof))
        return base64.urlsafe_b64encode(pad + bytes(a ^ b for a, b in zip(pad, proof, strict=True))).decode()

    # How it is answered

    def page(self, template: str, status: int = 200, **context: Any) -> Response[bytes]:
        """A page of the programme. What it shows is for this visitor: it is compressed and not kept."""
        frame = self.site.frame(self.program, self.language)
        headers = {"cache-control": "no-store", "vary": "accept-encoding, hx-request"}
        if status == 422:
            # A boosted form that failed would otherwise add a second history entry for the same page.
            headers["hx-push-url"] = "false"
        html = self.site.renderer.render(
            template, self.language, **self._context(frame), **{"noindex": True, **context}
        )
        return self._answer(html.encode(), status, frame, headers)

    def kept_page(self, template: str, key: tuple[Any, ...] = (), **context: Any) -> Response[bytes]:
        """A page that is the same for everybody: rendered and compressed once for each version and language."""
        program = self.program
        kept_key = (program.id, program.version, self.language, template, self.is_partial, *key)
        kept = self.site.whole_pages.get(kept_key)
        if kept is None:
            frame = self.site.frame(program, self.language)
            html = self.site.renderer.render(
                template,
                self.language,
                **self._context(frame, form_token=""),
                **{"noindex": False, **context},
            )
            if len(self.site.whole_pages) > 5000:
                self.site.whole_pages.clear()
            kept = self.site.whole_pages[kept_key] = KeptPage(html.encode(), frame.policy)
        return kept.answer(negotiate(self.header(b"accept-encoding")), self._cookies)

    def redirect(self, path: str) -> Response[bytes]:
        """On to another address of this programme, by GET."""
        return Response(
            b"",
            status_code=303,
            headers={"location": f"/{self.program.slug}{path}", "cache-control": "no-store"},
            cookies=self._cookies,
        )

    def address(self, path: str, query: list[tuple[str, str]]) -> str:
        return f"/{self.program.slug}{path}" + (f"?{urlencode(query)}" if query else "")

    def redirect_out(self, url: str) -> Response[bytes]:
        """On to a wallet's own address."""
        return Response(
            b"",
            status_code=303,
            headers={"location": url, "cache-control": "no-store", "referrer-policy": "no-referrer"},
            cookies=self._cookies,
        )

    def keep_visit(self, token: str) -> None:
        """Let the browser keep the visit's token."""
        if token != self.visit_token:
            self._set_cookie(self._visit_cookie, token, VISIT_SECONDS)

    def end_visit(self) -> None:
        self._set_cookie(self._visit_cookie, "", 0)

    def keep_link(self, code: str) -> None:
        """Let the browser keep the code of the link it arrived by, out of the address bar."""
        if code != self.link_code:
            self._set_cookie(self._link_cookie, code, LINK_SECONDS)

    @property
    def is_partial(self) -> bool:
        headers = self._headers
        return headers.get(b"hx-request") == b"true" and (
            headers.get(b"hx-history-restore-request") != b"true"
        )

    @property
    def cookies(self) -> list[Cookie]:
        return self._cookies

    def _context(self, frame: Frame, form_token: str | None = None) -> dict[str, Any]:
        return {
            "program": frame.program,
            "base": frame.base,
            "style": frame.style,
            "languages": self._languages(),
            "form_token": self.form_token() if form_token is None else form_token,
            "partial": self.is_partial,
            "htmx_url": self.site.htmx_url,
        }

    def _answer(self, body: bytes, status: int, frame: Frame, headers: dict[str, str]) -> Response[bytes]:
        coding = negotiate(self.header(b"accept-encoding"))
        if coding and len(body) > 600:
            body = compress(body, coding)
            headers["content-encoding"] = coding
        return Response(
            body,
            status_code=status,
            headers={
                "content-security-policy": frame.policy,
                "referrer-policy": "no-referrer",
                **headers,
            },
            media_type="text/html",
            cookies=self._cookies,
        )

    def _languages(self) -> list[dict[str, Any]]:
        path = self.request.scope["path"]
        kept = [("size", self.query["size"])] if "size" in self.query else []
        return [
            {
                "code": code,
                "name": language_name(code),
                "url": f"{path}?{urlencode([*kept, ('lang', code)])}",
                "current": code == self.language,
            }
            for code in self.program.settings.languages
        ]

    def _choose_language(self) -> str:
        offered = self.program.settings.languages
        if len(offered) == 1:
            return offered[0]
        asked = self.query.get("lang", "")
        chosen = choose(
            offered,
            link=asked or self.cookies_sent.get("lang", ""),
            browser=self.header(b"accept-language"),
        )
        if asked and chosen == asked:
            self._set_cookie("lang", chosen, LANGUAGE_SECONDS, path=f"/{self.program.slug}")
        return chosen

    @property
    def _visit_cookie(self) -> str:
        # The prefix makes browsers refuse the cookie from anywhere else: a neighbour host cannot plant a visit.
        return self._cookie_name("visit")

    @property
    def _link_cookie(self) -> str:
        return self._cookie_name("link")

    def _cookie_name(self, what: str) -> str:
        return f"{'__Host-' if self.site.settings.https else ''}{what}-{self.program.slug}"

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

    def _proof(self, token: str) -> bytes:
        return self.site.sealer.tag(token, f"form/{self.program.id}").encode()

    def _check_origin(self, values: dict[str, list[str]]) -> None:
        """The second check behind the shell's: a client that names no origin must show the form's token."""
        token = self.visit_token
        if b"sec-fetch-site" in self._headers or b"origin" in self._headers or not token:
            return
        try:
            raw = base64.urlsafe_b64decode(values.get("form_token", [""])[0])
        except ValueError as error:
            raise Forged from error
        half = len(raw) // 2
        shown = bytes(a ^ b for a, b in zip(raw[:half], raw[half:], strict=False))
        if not hmac.compare_digest(shown, self._proof(token)):
            raise Forged
