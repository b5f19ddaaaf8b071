"""The keys that Google signs its callbacks with, fetched from where it publishes them and kept as long as it says."""

import asyncio
import base64
import re
import time
from typing import Any

import httpx
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

PROTOCOL = "ECv2SigningOnly"

FETCH_SECONDS = 5.0
# Without a word from Google, and whatever it says, in seconds.
USUAL_AGE, SHORTEST_AGE, LONGEST_AGE = 3600.0, 60.0, 7 * 86_400.0
# So long nobody asks again after Google could not be reached.
QUIET_SECONDS = 10.0


class KeysUnavailableError(Exception):
    """Google's keys cannot be had just now."""


class RootKey(msgspec.Struct, frozen=True):
    """A root key and when it ends, in Unix milliseconds."""

    key: ec.EllipticCurvePublicKey
    ends: int


class RootKeys:
    """Google's root keys. They are fetched again when their cache headers say so (RFC 9111, section 4.2)."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http, self._url = http, url
        self._keys: tuple[RootKey, ...] = ()
        self._fresh_until = 0.0
        self._fetching = asyncio.Lock()

    async def now(self) -> list[ec.EllipticCurvePublicKey]:
        """The keys that have not ended. While Google cannot be reached those that are known go on serving.

        Raises: KeysUnavailableError.
        """
        if time.monotonic() >= self._fresh_until:
            async with self._fetching:
                if time.monotonic() >= self._fresh_until:
                    await self._fetch()
        now = time.time() * 1000
        keys = [root.key for root in self._keys if root.ends > now]
        if not keys:
            raise KeysUnavailableError(self._url)
        return keys

    async def _fetch(self) -> None:
        try:
            answer = await self._http.get(self._url, timeout=FETCH_SECONDS)
            answer.raise_for_status()
            found = root_keys(answer.content)
        except (httpx.HTTPError, ValueError):
            self._fresh_until = time.monotonic() + QUIET_SECONDS
            return
        self._keys = found
        self._fresh_until = time.monotonic() + (_age(answer.headers) if found else QUIET_SECONDS)


def root_keys(published: bytes) -> tuple[RootKey, ...]:
    """The keys of our protocol in what Google publishes. Raises: ValueError for something else."""
    listed: Any = msgspec.json.decode(published)
    if not isinstance(listed, dict) or not isinstance(listed.get("keys"), list):
        raise ValueError("no list of keys")
    return tuple(
        RootKey(public_key(entry["keyValue"]), int(entry["keyExpiration"]))
        for entry in listed["keys"]
        if isinstance(entry, dict) and entry.get("protocolVersion") == PROTOCOL and "keyExpiration" in entry
    )


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """A key on the curve P-256, from base64 of its SubjectPublicKeyInfo. Raises: ValueError."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except UnsupportedAlgorithm as error:
        raise ValueError("no key that we know") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("no key on P-256")
    return key


def _age(headers: httpx.Headers) -> float:
    """How many seconds an answer may be kept."""
    said = re.search(r"max-age=(\d{1,9})", headers.get("cache-control", ""))
    if said is None:
        return USUAL_AGE
    passed = headers.get("age", "")
    left = float(said[1]) - (float(passed) if passed.isdecimal() else 0.0)
    return min(max(left, SHORTEST_AGE), LONGEST_AGE)
