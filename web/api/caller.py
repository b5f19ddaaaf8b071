"""Who calls: a merchant's system with a key, or a customer with the token of their own session.

A key comes as `api-key: …` or `Authorization: Bearer …`, a customer's token only as the latter (ruling 8). A key
opens its own programme and no other; a programme that is not there is answered like another merchant's.
"""

from web.api import cors
from web.api.call import AnyRequest, Parts, parts_of
from web.api.problems import HEADERS, Problem
from web.foundation import tokens
from web.foundation.limits import API_CUSTOMER, API_KEY, API_STRANGER, Count, Rule, network_of
from web.foundation.schema import utc_now
from web.foundation.tokens import BadToken
from web.loyalty.api_key import USED_EVERY, ApiKey, Scope, find_key, mark_used
from web.loyalty.link import find_link
from web.loyalty.program import Program

CHALLENGE = 'Bearer realm="pasito"'


async def caller_of(
    request: AnyRequest, program_named: str | None, scope: Scope, *, customers: bool
) -> tuple[Program, ApiKey | None, str | None]:
    """The programme of a call, and its key or else its customer's id.

    Raises: Problem, 401 and 403; TooMany.
    """
    parts = parts_of(request)
    secret = _secret(request)
    is_token = "api-key" not in request.headers and (secret or "").count(".") == 2
    with_key = secret is not None and not is_token
    cors.admit(request, parts, program_named, customers=customers, with_key=with_key)
    if secret is None:
        raise await _stranger(request, parts, "")
    if is_token:
        program, customer_id = await _customer(request, parts, secret)
        cors.require_listed(request, parts, program)
        await count(request, parts, API_CUSTOMER, customer_id)
        if not customers:
            raise Problem("forbidden", "A customer's token is for the customer's own calls.")
        _require_program(program, program_named)
        return program, None, customer_id
    key = await parts.database.read(find_key, secret)
    if key is None or not key.is_good(utc_now()):
        raise await _stranger(request, parts, ', error="invalid_token"')
    await count(request, parts, API_KEY, key.id)
    program = await _program(parts, key.program_id)
    _require_program(program, program_named)
    if scope not in key.scopes:
        raise Problem(
            "forbidden",
            f"This call needs a key with the scope {scope!r}; this one has {', '.join(key.scopes)}.",
            headers={"www-authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
        )
    if key.last_used_at is None or utc_now() - key.last_used_at > USED_EVERY:
        await parts.database.write(mark_used, key.program_id, key.id)
    return program, key, None


async def count(request: AnyRequest, parts: Parts, rule: Rule, *who: str) -> None:
    """Count the call; whatever is answered says how much is left. Raises: TooMany."""
    counted = await parts.limits.count(rule, *who)
    known: dict[str, str] = dict(request.scope.get(HEADERS, {}))  # type: ignore[call-overload]
    request.scope[HEADERS] = known | _limit_headers(rule, counted)  # type: ignore[literal-required]
    if counted.refused:
        parts.metrics.refused.labels(rule.name).inc()
        raise counted.too_many(rule)


def _limit_headers(rule: Rule, counted: Count) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-10, 3 and 4."""
    return {
        "ratelimit-policy": f'"{rule.name}";q={counted.most};w={counted.seconds}',
        "ratelimit": f'"{rule.name}";r={counted.left};t={counted.reset_in}',
    }


def _secret(request: AnyRequest) -> str | None:
    if key := request.headers.get("api-key"):
        return key.strip()
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() or None if kind.lower() == "bearer" else None


async def _stranger(request: AnyRequest, parts: Parts, error: str) -> Problem:
    """Those who guess are counted by their network; what they are told does not depend on what they guessed."""
    await count(request, parts, API_STRANGER, network_of(request.client.host if request.client else ""))
    return Problem("unauthenticated", headers={"www-authenticate": CHALLENGE + error})


async def _customer(request: AnyRequest, parts: Parts, token: str) -> tuple[Program, str]:
    program = parts.programs.by_id(tokens.audience_of(token, "auth") or "")
    try:
        if program is None:
            raise BadToken
        claims = tokens.read(token, program.keys, kind="auth", audience=program.id)
        link = await parts.database.read(find_link, program.id, claims.jti, "auth")
        if link is None or not link.is_good(utc_now()):
            raise BadToken
    except BadToken:
        raise await _stranger(request, parts, ', error="invalid_token"') from None
    return program, link.customer_id


async def _program(parts: Parts, program_id: str) -> Program:
    known = parts.programs.by_id(program_id)
    if known is None:
        # Another process made it a moment ago.
        await parts.programs.refresh()
        known = parts.programs.by_id(program_id)
    if known is None:
        raise Problem("unavailable")
    return known


def _require_program(program: Program, named: str | None) -> None:
    if named is not None and named.lower() not in (program.id, program.slug):
        raise Problem("forbidden", "This key is for another programme than the one in the address.")
