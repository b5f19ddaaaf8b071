"""A visitor: one request as a page sees it: which programme, language, device and visit, and how to answer it."""

import base64
import hmac
import os
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
from web.pages.site import Frame, Site, language_name, site_of

LONGEST_FORM = 64 * 1024
LONGEST_FIELD = 2000
VISIT_SECONDS = 2 * 24 * 3600
SESSION_SECONDS = 7 * 24 * 3600
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
        self.language = self._choose_language()

    # Who is there

    @property
    def device(self) -> Device:
        headers = self.request.headers
        return detect(
            headers.get("user-agent", ""),
            platform_hint=headers.get("sec-ch-ua-platform", ""),
            mobile_hint=headers.get("sec-ch-ua-mobile", ""),
            requested_with=headers.get("x-requested-with", ""),
        )

    @property
    def asked(self) -> Asked:
        """Which browser and device asks, in words; slow for a new one, so only where a mail will say it."""
        browser, device = describe(self.request.headers.get("user-agent", ""))
        return Asked(browser=browser, device=device)

    @property
    def network(self) -> str:
        client = self.request.scope.get("client")
        return network_of(client[0]) if client else "unknown"

    @property
    def visit_token(self) -> str | None:
        return self.request.cookies.get(self._visit_cookie)

    @property
    def link_code(self) -> str | None:
        """The code of the link by which this browser arrived lately."""
        return self.request.cookies.get(self._link_cookie)

    @property
    def is_looking_ahead(self) -> bool:
        """Whether a browser or robot fetches the page for nobody: then nothing is recorded."""
        headers = self.request.headers
        purpose = headers.get("sec-purpose") or headers.get("purpose") or headers.get("x-moz") or ""
        return bool(purpose) or self.request.scope.get("method") == "HEAD" or self.device.robot

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
        token = self._held
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
        frame = self.site.frame(self.program, self.language)
        program = self.program
        coding = negotiate(self.request.headers.get("accept-encoding", ""))
        partial = self.is_partial
        kept_key = (program.id, program.version, self.language, template, partial, *key)
        kept = self.site.whole_pages.get(kept_key)
        if kept is None:
            html = self.site.renderer.render(
                template,
                self.language,
                **self._context(frame, form_token=""),
                **{"noindex": False, **context},
            ).encode()
            kept = {"": html, "br": compress(html, "br", 9), "gzip": compress(html, "gzip", 9)}
            if len(self.site.whole_pages) > 5000:
                self.site.whole_pages.clear()
            self.site.whole_pages[kept_key] = kept
        headers = {
            "cache-control": "no-cache",
            "vary": "accept-encoding, accept-language, cookie, hx-request",
            "content-security-policy": frame.policy,
        }
        if coding:
            headers["content-encoding"] = coding
        return Response(kept[coding], headers=headers, media_type="text/html", cookies=self._cookies)

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
        return self.request.headers.get("hx-request") == "true" and (
            self.request.headers.get("hx-history-restore-request") != "true"
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
        coding = negotiate(self.request.headers.get("accept-encoding", ""))
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
        kept = [(name, value) for name, value in self.request.query_params.multi_items() if name == "size"]
        return [
            {
                "code": code,
                "name": language_name(code),
                "url": f"{path}?{urlencode([*kept, ('lang', code)])}",
                "current": code == self.language,
            }
            for code in self.program.settings.languages
        ]

    def speak_for(self, customer_language: str) -> None:
        """Take the customer's language where the link and the person have not chosen another."""
        self.language = self._choose_language(customer_language)

    def _choose_language(self, customer: str = "") -> str:
        offered = self.program.settings.languages
        if len(offered) == 1:
            return offered[0]
        asked = self.request.query_params.get("lang", "")
        chosen = choose(
            offered,
            link=asked or self.request.cookies.get("lang", ""),
            customer=customer,
            browser=self.request.headers.get("accept-language", ""),
        )
        if asked and chosen == asked:
            self.keep_language(chosen)
        return chosen

    def keep_language(self, language: str) -> None:
        """Remember in this browser which language was chosen."""
        self._set_cookie("lang", language, LANGUAGE_SECONDS, path=f"/{self.program.slug}")

    @property
    def _visit_cookie(self) -> str:
        # The prefix makes browsers refuse the cookie from anywhere else: a neighbour host cannot plant a visit.
        return self._cookie_name("visit")

    @property
    def session_token(self) -> str | None:
        return self.request.cookies.get(self._cookie_name("session"))

    def keep_session(self, token: str) -> None:
        """Let the browser keep a session's token for as long as the session may live."""
        self._set_cookie(self._cookie_name("session"), token, SESSION_SECONDS)

    def end_session(self) -> None:
        self._set_cookie(self._cookie_name("session"), "", 0)

    @property
    def _held(self) -> str | None:
        """The strongest of our cookies that this browser holds; forms are bound to it."""
        return self.session_token or self.visit_token or self.link_code

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
        headers = self.request.headers
        token = self._held
        if "sec-fetch-site" in headers or "origin" in headers or not token:
            return
        try:
            raw = base64.urlsafe_b64decode(values.get("form_token", [""])[0])
        except ValueError as error:
            raise Forged from error
        half = len(raw) // 2
        shown = bytes(a ^ b for a, b in zip(raw[:half], raw[half:], strict=False))
        if not hmac.compare_digest(shown, self._proof(token)):
            raise Forged
