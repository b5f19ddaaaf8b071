"""Browsers of other sites (B22): with a customer's own token, from the origins that the programme lists.

A key never comes from there: whoever opens the page could read it. The token is in a header and no cookie is, so
nothing is allowed that a browser would send by itself (Fetch standard, "CORS protocol").
"""

from web.api.call import AnyRequest, Parts
from web.api.problems import HEADERS, Problem
from web.loyalty.program import Program

_MAY_SEND = "authorization, content-type, idempotency-key"
_MAY_READ = "idempotency-replayed, ratelimit, ratelimit-policy, retry-after, x-request-id"
# A programme may take an origin off its list: a browser that asked before goes on for so long.
_ASKED_AGAIN_AFTER = 600


def foreign_origin(request: AnyRequest, parts: Parts) -> str | None:
    """The other site on whose behalf a browser calls; None for our own pages, and for programs."""
    origin = request.headers.get("origin")
    own = parts.settings.origin
    served_here = f"{own.partition(':')[0]}://{request.headers.get('host', '')}"
    return None if origin in (None, own, served_here) else origin


def admit(request: AnyRequest, parts: Parts, named: str | None, *, customers: bool, with_key: bool) -> None:
    """Let a browser of another site call, or not, before it is known who its customer is.

    `named` is the programme in the address. Every answer from here on, failures too, may be read there.

    Raises: Problem, 403.
    """
    origin = foreign_origin(request, parts)
    if origin is None:
        return
    if with_key or not customers:
        raise Problem("forbidden", "Browsers call with a customer's own token; a key stays on your server.")
    if not any(origin in program.settings.origins for program in _candidates(parts, named)):
        raise Problem("forbidden", "The programme does not list this origin.")
    request.scope[HEADERS] = {  # type: ignore[literal-required]
        "access-control-allow-origin": origin,
        "access-control-expose-headers": _MAY_READ,
        "vary": "origin",
    }


def require_listed(request: AnyRequest, parts: Parts, program: Program) -> None:
    """Where the address names no programme the token does: it is its list that counts. Raises: Problem, 403."""
    origin = foreign_origin(request, parts)
    if origin is not None and origin not in program.settings.origins:
        del request.scope[HEADERS]  # type: ignore[misc]
        raise Problem("forbidden", "The programme does not list this origin.")


def preflight(request: AnyRequest, parts: Parts, methods: set[str]) -> dict[str, str]:
    """What a browser is told that asks whether it may: nothing, unless it may. `methods` take customers' tokens."""
    origin = foreign_origin(request, parts)
    wanted = request.headers.get("access-control-request-method")
    named = request.path_params.get("program")
    listed = any(origin in program.settings.origins for program in _candidates(parts, named))
    if origin is None or wanted not in methods or not listed:
        return {"vary": "origin"}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": ", ".join(sorted(methods)),
        "access-control-allow-headers": _MAY_SEND,
        "access-control-max-age": str(_ASKED_AGAIN_AFTER),
        "vary": "origin",
    }


def _candidates(parts: Parts, named: str | None) -> list[Program]:
    """The programme of an address, or where it names none, any: a preflight has no token that would tell."""
    if named is None:
        return parts.programs.all()
    found = parts.programs.by_id(named.lower()) or parts.programs.get(named.lower())
    return [found] if found else []
