"""Signed tokens in links: JWT, HS256 and nothing else, each with its own type, audience and key id.

Every claim is required and checked, whatever a library's defaults may be (RFC 8725). The header may hold
`alg`, `typ` and `kid` only: a token that brings its own key, or asks for an extension, is refused.
"""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

import jwt
import msgspec

ALGORITHM = "HS256"
ISSUER = "pasito"
LEEWAY = timedelta(seconds=10)
LONGEST_TOKEN = 4096
HEADER = {"alg", "typ", "kid"}


class BadToken(Exception):
    """Forged, altered, expired, of another kind or of another programme. Callers answer all of these alike."""


class Key(msgspec.Struct, frozen=True):
    """One key of a programme's ring. Without `retires_at` it is the one that signs."""

    kid: str
    secret: bytes
    retires_at: datetime | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says. `sub` is a customer's id, `jti` 128 random bits or more."""

    iss: str
    aud: str
    sub: str
    jti: str
    iat: int
    exp: int


def mint(
    key: Key, *, kind: str, audience: str, subject: str, jti: str, lifetime: timedelta, now: datetime
) -> str:
    """A token of `kind` ("download", "verify", "auth") for `audience` (a programme's id)."""
    issued = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": f"{kind}:{audience}",
        "sub": subject,
        "jti": jti,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
    }
    return jwt.encode(claims, key.secret, ALGORITHM, headers={"typ": f"{kind}+jwt", "kid": key.kid})


def read(
    token: str,
    keys: tuple[Key, ...],
    *,
    kind: str,
    audience: str,
    now: datetime | None = None,
    even_expired: bool = False,
) -> Claims:
    """The claims of a token that is sound in every respect.

    With `even_expired` its time may be over: for callers whose row decides that, and who then still know whose it was.

    Raises:
        BadToken: in every other case, without saying which.
    """
    now = now or datetime.now(UTC)
    try:
        if len(token) > LONGEST_TOKEN:
            raise BadToken
        header = jwt.get_unverified_header(token)
        if set(header) != HEADER or header["alg"] != ALGORITHM or header["typ"] != f"{kind}+jwt":
            raise BadToken
        key = next(key for key in keys if key.kid == header["kid"])
        if key.retires_at is not None and key.retires_at <= now:
            raise BadToken
        claims = jwt.decode(
            token,
            key.secret,
            [ALGORITHM],
            options={
                "require": ["iss", "aud", "sub", "jti", "iat", "exp"],
                "verify_exp": False,
                "verify_iat": False,
                "strict_aud": True,
            },
            audience=f"{kind}:{audience}",
            issuer=ISSUER,
        )
        sound = msgspec.convert(claims, Claims)
    # RecursionError: a header of a thousand brackets.
    except (jwt.PyJWTError, msgspec.ValidationError, StopIteration, ValueError, RecursionError) as error:
        raise BadToken from error
    # Checked here against the given moment, so that a test can move the clock.
    moment = now.timestamp()
    is_over = sound.exp <= moment - LEEWAY.total_seconds()
    if (is_over and not even_expired) or sound.iat > moment + LEEWAY.total_seconds():
        raise BadToken
    return sound


def audience_of(token: str, kind: str) -> str | None:
    """For whom a token of `kind` claims to be made, before anything of it is believed: `read` decides."""
    if len(token) > LONGEST_TOKEN:
        return None
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_aud": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    named, _, audience = str(claims.get("aud", "")).partition(":")
    return audience if named == kind else None


def for_url(token: str) -> str:
    """The token in URL-safe Base64 without padding, as links carry it."""
    return base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def from_url(text: str) -> str:
    """The bare token out of any spelling that mail programs make of a link.

    Padded, unpadded, `%3D`, the standard or the URL alphabet, a plus turned into a space, and the bare JWT
    are all read (ruling 4).

    Raises: BadToken.
    """
    text = text.strip().replace("%3D", "=").replace("%3d", "=")
    if len(text) > 2 * LONGEST_TOKEN:
        raise BadToken
    if text.count(".") == 2:
        return text
    letters = re.sub(r"[=\s]+$", "", text).replace("+", "-").replace("/", "_").replace(" ", "-")
    try:
        decoded = base64.b64decode(letters + "=" * (-len(letters) % 4), b"-_", validate=True)
        return decoded.decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise BadToken from error
