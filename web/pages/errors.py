"""Errors in plain words and in the programme's brand: what is so, and what to do next. Never how it came about."""

import math

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from web.foundation.compression import compress, negotiate
from web.foundation.database import DatabaseUnreachable
from web.foundation.languages import N_
from web.foundation.limits import TooMany
from web.loyalty.program import Program
from web.pages.forms import BadForm, Forged
from web.pages.member import LoggedOut
from web.pages.site import Site, site_of
from web.pages.visitor import AnyRequest, NoSuchProgram, NotYet, language_of, wants_part

log = structlog.get_logger("errors")

# Title and text for each status; what is not here is told like the first of its class.
WORDS: dict[int, tuple[str, str]] = {
    400: (N_("That did not arrive in one piece"), N_("Go back, and try once more.")),
    403: (
        N_("This came from somewhere else"),
        N_("For your safety we take forms from our own pages only. Open the page again, and try once more."),
    ),
    404: (N_("There is nothing here"), N_("The address may be misspelt, or the page may have moved.")),
    405: (N_("This page cannot do that"), N_("Go back, and try once more.")),
    410: (N_("This is over"), N_("What was here is no longer to be had.")),
    413: (N_("That is too much at once"), N_("Go back, and send a little less.")),
    421: (N_("Wrong door"), N_("This server does not answer to that name.")),
    422: (N_("Something is missing"), N_("Go back, and look over what you typed.")),
    429: (N_("A little too fast"), N_("There were many tries from your network. Nothing you typed is lost.")),
    500: (N_("Something went wrong on our side"), N_("It is not your fault. Please try again in a moment.")),
    503: (N_("Back in a moment"), N_("Nothing you typed is lost. Please try again shortly.")),
}
SECONDS, MINUTES = N_("%(count)s seconds"), N_("%(count)s minutes")
AGAIN_IN = N_("Please try again in %(time)s.")
TO_THE_DOOR = N_("To the front door")
RETRY_AFTER_FAULT = 5


def status_of(error: Exception) -> int:
    match error:
        case NoSuchProgram():
            return 404
        case BadForm():
            return 400
        case Forged():
            return 403
        case TooMany():
            return 429
        case DatabaseUnreachable() | NotYet():
            return 503
        case HTTPException():
            return error.status_code
        case _:
            return 500


def answer_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The page for an error that a handler raised, or that no handler was found."""
    if isinstance(error, LoggedOut):
        return error.visitor.redirect("/card")
    status = status_of(error)
    if status >= 500:
        log.error(
            "failed", status=status, kind=type(error).__name__, exc_info=error if status == 500 else None
        )
    wait = error.retry_after if isinstance(error, TooMany) else RETRY_AFTER_FAULT if status == 503 else None
    page = error_page(site_of(request), request, status, wait)
    if status == 405 and isinstance(error, HTTPException):
        page.headers.update(error.headers or {})
    return page


async def refuse(site: Site, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that the shell turned away."""
    request: AnyRequest = Request(scope)
    response = error_page(site, request, status, None)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def error_page(site: Site, request: AnyRequest, status: int, wait: int | None) -> Response[bytes]:
    program = _program(site, request.scope["path"])
    language = language_of(
        request, program.settings.languages if program else site.renderer.catalogues.languages
    )
    look = site.look(program, language)
    title, text = WORDS.get(status) or WORDS[500 if status >= 500 else 400]
    html = site.renderer.render(
        "errors/show.html",
        language,
        program=look.program,
        base=look.base,
        style=look.style,
        languages=[],
        form_token="",
        partial=wants_part(request),
        htmx_url=site.htmx_url,
        noindex=True,
        status=status,
        title=site.renderer.text(language, title),
        text=site.renderer.text(language, text),
        retry_in=_in_words(site, language, wait) if wait else None,
        action_url=look.base or None,
        action_text=site.renderer.text(language, TO_THE_DOOR),
        reference=request.scope.get("request_id") if status >= 500 else None,
    ).encode()
    answer = {
        "content-security-policy": look.policy,
        "cache-control": "no-store",
        "vary": "accept-encoding, hx-request",
        "referrer-policy": "no-referrer",
    }
    if wait:
        answer["retry-after"] = str(wait)
    if coding := negotiate(request.headers.get("accept-encoding", "")):
        html = compress(html, coding)
        answer["content-encoding"] = coding
    return Response(html, status_code=status, headers=answer, media_type="text/html")


def _program(site: Site, path: str) -> Program | None:
    return site.programs.get(path.strip("/").partition("/")[0].lower())


def words_to_wait(site: Site, language: str, seconds: int) -> str:
    """The sentence for a form that came too often, to stand beside what was typed."""
    return site.renderer.text(language, AGAIN_IN, time=_in_words(site, language, seconds))


def _in_words(site: Site, language: str, seconds: int) -> str:
    if seconds < 120:
        return site.renderer.text(language, SECONDS, count=seconds)
    return site.renderer.text(language, MINUTES, count=math.ceil(seconds / 60))
