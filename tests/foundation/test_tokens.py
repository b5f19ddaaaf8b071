"""Tokens: one kind of good one, and everything else refused alike (security.md 1-7, RFC 8725)."""

import base64
import hmac
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from web.foundation.sealing import random_code
from web.foundation.tokens import LEEWAY, LONGEST_TOKEN, BadToken, Claims, Key, for_url, from_url, mint, read

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PROGRAM = "0197f5a0-0000-7000-8000-000000000001"
KEY = Key("brewbar-20261121-a1b2c3d4", b"k" * 32)
OLDER = Key("brewbar-20260101-00000000", b"o" * 32, retires_at=NOW + timedelta(days=1))
RETIRED = Key("brewbar-20250101-00000000", b"r" * 32, retires_at=NOW)
RING = (RETIRED, OLDER, KEY)
CLAIMS = {
    "iss": "pasito",
    "aud": f"download:{PROGRAM}",
    "sub": "0197f5a0-0000-7000-8000-00000000000c",
    "jti": "7K3M9QXA20FT7K3M9QXA20FT7K",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 600,
}
HEADER = {"alg": "HS256", "typ": "download+jwt", "kid": KEY.kid}
RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def good(key: Key = KEY, kind: str = "download", audience: str = PROGRAM, jti: str = CLAIMS["jti"]) -> str:  # type: ignore[assignment]
    lifetime = timedelta(minutes=10)
    return mint(
        key, kind=kind, audience=audience, subject=str(CLAIMS["sub"]), jti=jti, lifetime=lifetime, now=NOW
    )


def read_here(token: str, now: datetime = NOW) -> Claims:
    return read(token, RING, kind="download", audience=PROGRAM, now=now)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, claims: Any, secret: bytes = KEY.secret) -> str:
    """Any header and claims with a signature that fits them: what only the holder of a key could make."""
    message = f"{part(header)}.{part(claims)}"
    return f"{message}.{part(hmac.digest(secret, message.encode(), 'sha256'))}"


def without(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


def test_a_good_token_says_what_it_was_given() -> None:
    claims = read_here(good())
    assert claims == Claims(**CLAIMS)  # type: ignore[arg-type]


def test_the_forger_s_workshop_makes_good_tokens_too() -> None:
    """Else the refusals below would prove nothing."""
    assert read_here(signed(HEADER, CLAIMS)) == read_here(good())


def test_a_key_that_no_longer_signs_opens_its_tokens_until_it_retires() -> None:
    token = good(OLDER)
    assert OLDER.retires_at is not None
    late = mint(
        OLDER, kind="download", audience=PROGRAM, subject="s", jti="j", lifetime=timedelta(days=9), now=NOW
    )
    assert read_here(token)
    assert read_here(late, OLDER.retires_at - timedelta(seconds=1))
    with pytest.raises(BadToken):
        read_here(late, OLDER.retires_at)


BAD = {
    "nothing": "",
    "no token": "hello",
    "two parts": good().rpartition(".")[0],
    "four parts": good() + ".x",
    "beyond ASCII": "é" + good(),
    "oversized": signed(HEADER, {**CLAIMS, "pad": "x" * LONGEST_TOKEN}),
    "alg none": f"{part({**HEADER, 'alg': 'none'})}.{part(CLAIMS)}.",
    "alg None": f"{part({**HEADER, 'alg': 'None'})}.{part(CLAIMS)}.",
    "alg none with the old signature": f"{part({**HEADER, 'alg': 'none'})}.{part(CLAIMS)}.{good().split('.')[2]}",
    "signature gone": good().rpartition(".")[0] + ".",
    "HS512": jwt.encode(CLAIMS, KEY.secret * 2, "HS512", headers={**HEADER, "alg": "HS512"}),
    "RS256": jwt.encode(CLAIMS, RSA_KEY, "RS256", headers={**HEADER, "alg": "RS256"}),
    "a public key as the secret": signed(HEADER, CLAIMS, PUBLIC_PEM),
    "an empty secret": signed(HEADER, CLAIMS, b""),
    "another programme's key": signed(HEADER, CLAIMS, b"x" * 32),
    "an unknown key id": signed({**HEADER, "kid": "nobody"}, CLAIMS),
    "a key id of another type": signed({**HEADER, "kid": 7}, CLAIMS),
    "no key id": signed({"alg": "HS256", "typ": "download+jwt"}, CLAIMS),
    "a retired key": good(RETIRED),
    "a key of its own": signed({**HEADER, "jwk": {"kty": "oct", "k": "a2s"}}, CLAIMS),
    "a key from elsewhere": signed({**HEADER, "jku": "https://evil.example/keys"}, CLAIMS),
    "a certificate from elsewhere": signed({**HEADER, "x5u": "https://evil.example/cert"}, CLAIMS),
    "a certificate of its own": signed({**HEADER, "x5c": ["MII"]}, CLAIMS),
    "an extension to be understood": signed({**HEADER, "crit": ["b64"], "b64": False}, CLAIMS),
    "no typ": signed({"alg": "HS256", "kid": KEY.kid}, CLAIMS),
    "typ JWT": signed({**HEADER, "typ": "JWT"}, CLAIMS),
    "typ of another kind": signed({**HEADER, "typ": "verify+jwt"}, CLAIMS),
    "another kind": good(kind="verify"),
    "audience of another kind": signed(HEADER, {**CLAIMS, "aud": f"verify:{PROGRAM}"}),
    "another programme": good(audience="0197f5a0-0000-7000-8000-000000000002"),
    "several audiences": signed(HEADER, {**CLAIMS, "aud": [CLAIMS["aud"], "auth:else"]}),
    "another issuer": signed(HEADER, {**CLAIMS, "iss": "somebody"}),
    "a number as issuer": signed(HEADER, {**CLAIMS, "iss": 7}),
    "expired": signed(HEADER, {**CLAIMS, "exp": int((NOW - LEEWAY).timestamp())}),
    "issued in the future": signed(HEADER, {**CLAIMS, "iat": int((NOW + LEEWAY).timestamp()) + 1}),
    "an expiry in words": signed(HEADER, {**CLAIMS, "exp": "never"}),
    "an expiry as a fraction": signed(HEADER, {**CLAIMS, "exp": CLAIMS["exp"] + 0.5}),  # type: ignore[operator]
    "an infinite expiry": signed(HEADER, {**CLAIMS, "exp": float("inf")}),
    "a subject of another type": signed(HEADER, {**CLAIMS, "sub": 7}),
    "a jti of another type": signed(HEADER, {**CLAIMS, "jti": 7}),
    "claims that are a list": signed(HEADER, [CLAIMS]),
    "claims that are no JSON": signed(HEADER, b"{"),
    "a header that is no JSON": signed(b"{", CLAIMS),
    "a header that is a list": signed([HEADER], CLAIMS),
    "a header of brackets": signed(b"[" * 2500, CLAIMS),
    "claims of brackets": signed(HEADER, b"[" * 2500),
    **{f"no {name}": signed(HEADER, without(name)) for name in CLAIMS},
}


@pytest.mark.parametrize("what", BAD)
def test_refused(what: str) -> None:
    with pytest.raises(BadToken) as caught:
        read_here(BAD[what])
    assert str(caught.value) == "", "why it was refused is nobody's business"


def test_at_the_edge_of_its_time_a_token_is_good_and_a_second_later_it_is_not() -> None:
    ends = NOW + timedelta(minutes=10) + LEEWAY
    assert read_here(good(), ends - timedelta(seconds=1))
    with pytest.raises(BadToken):
        read_here(good(), ends)


TOKEN = good()


@settings(max_examples=2000)
@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=1, max_codepoint=0x2FF))
def test_no_token_survives_a_change_of_one_character(place: int, letter: str) -> None:
    altered = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if same_bytes(altered):
        return
    with pytest.raises(BadToken):
        read_here(altered)


@settings(max_examples=1000)
@given(
    st.integers(0, len(TOKEN)), st.text(string.ascii_letters + string.digits + "-_.=", min_size=1, max_size=6)
)
def test_no_token_survives_an_insertion(place: int, more: str) -> None:
    altered = TOKEN[:place] + more + TOKEN[place:]
    if same_bytes(altered):
        return
    with pytest.raises(BadToken):
        read_here(altered)


@given(st.integers(0, len(TOKEN) - 1))
def test_no_token_survives_being_cut_short(length: int) -> None:
    with pytest.raises(BadToken):
        read_here(TOKEN[:length])


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(BadToken):
        read_here(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(CLAIMS)), json_values)
def test_no_claim_can_be_of_another_value_or_shape(name: str, value: Any) -> None:
    """Even signed with the right key: only strings stand for `sub` and `jti`, only whole numbers for times."""
    fits = (name in ("sub", "jti") and isinstance(value, str)) or (
        name in ("iat", "exp") and isinstance(value, int) and not isinstance(value, bool)
    )
    if fits or value == CLAIMS[name]:
        return
    with pytest.raises(BadToken):
        read_here(signed(HEADER, {**CLAIMS, name: value}))


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "jwk", "crit", "cty", "zip"]), json_values))
def test_no_other_header_will_do(header: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        read_here(signed(header, CLAIMS))


def same_bytes(altered: str) -> bool:
    """Base64 has spare bits and padding: another spelling of the very same three parts is the same token."""
    try:
        return [base64.b64decode(p.rstrip("=") + "==", b"-_") for p in altered.split(".")] == [
            base64.b64decode(p + "==", b"-_") for p in TOKEN.split(".")
        ]
    except ValueError:
        return False


# The spellings that mail programs make of a link (ruling 4)


def spellings(token: str) -> dict[str, str]:
    standard = base64.b64encode(token.encode()).decode()
    url = base64.urlsafe_b64encode(token.encode()).decode()
    return {
        "as links carry it": for_url(token),
        "bare": token,
        "URL alphabet, padded": url,
        "standard alphabet, padded": standard,
        "standard alphabet, unpadded": standard.rstrip("="),
        "%3D left as it is": url.replace("=", "%3D"),
        "%3d left as it is": standard.replace("=", "%3d"),
        "quoted and read by a server": unquote(quote(standard, safe="")),
        "a plus read as a space": unquote_plus(standard),
        "with white space around": f" {for_url(token)}\n",
        "with padding too much": for_url(token) + "==",
    }


@pytest.mark.parametrize("length", range(1, 4))
def test_every_spelling_opens(length: int) -> None:
    """All lengths modulo three, so that every padding comes up."""
    token = good(jti="j" * length)
    for name, spelling in spellings(token).items():
        assert from_url(spelling) == token, name


@given(st.binary(min_size=16, max_size=40))
def test_every_spelling_of_any_token_opens(noise: bytes) -> None:
    token = f"{part(noise)}.{part(noise[::-1])}.{part(noise)}"
    for name, spelling in spellings(token).items():
        assert from_url(spelling) == token, name


@pytest.mark.parametrize(
    "text", ["", "*", "a", "é", "aGVs!G8", "\0", "x" * (2 * LONGEST_TOKEN + 1), "/////w=="]
)
def test_what_is_no_base64_of_a_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        read_here(from_url(text))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(BadToken):
        read_here(from_url(text))


def test_a_jti_has_at_least_128_random_bits() -> None:
    codes = [random_code() for _ in range(2000)]
    assert len(set(codes)) == len(codes)
    assert {len(code) for code in codes} == {26}
    # Every place takes each of 32 letters, five bits each.
    assert {len({code[place] for code in codes}) for place in range(26)} == {32}
