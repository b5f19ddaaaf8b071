"""Secrets at rest: sealed with AES-256-GCM under a key from the settings, opened by any key still listed."""

import base64
import contextlib
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from web.foundation.short_code import ALPHABET

NONCE_BYTES = 12


class CannotOpen(Exception):
    """No key in PASITO_SECRET_KEYS opens this secret: the key that sealed it was taken away too early."""


class Sealer:
    """Seals with the first of `keys`, opens with all of them. `context` binds a secret to its place."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        if not keys:
            raise ValueError("sealing needs at least one secret key")
        self._keys = [hashlib.sha256(b"pasito seal\0" + key.encode()).digest() for key in keys]
        self._ciphers = [AESGCM(key) for key in self._keys]

    def seal(self, secret: bytes, context: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, secret, context.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, context: str) -> bytes:
        """Raises: CannotOpen."""
        for cipher in self._ciphers:
            # ValueError: what is stored was never sealed by us.
            with contextlib.suppress(InvalidTag, ValueError):
                raw = base64.b64decode(sealed, validate=True)
                return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
        raise CannotOpen(context)

    def tag(self, text: str, context: str) -> str:
        """A keyed hash that is the same in every process: for counting without keeping."""
        return base64.urlsafe_b64encode(self._mac(text, context)[:18]).decode()

    def mark(self, text: str, context: str) -> bytes:
        """18 bytes like `tag`, for what no row keeps: BLAKE2 with a key, without OpenSSL's ceremony of a keyed hash."""
        return hashlib.blake2b(f"{context}\0{text}".encode(), key=self._keys[0], digest_size=18).digest()

    def code(self, text: str, context: str) -> str:
        """Like `random_code`, but the same for the same text: a delivery that is repeated sends the same link."""
        return _spell(self._mac(text, context)[:17])

    def seeds(self, context: str) -> list[bytes]:
        """32 bytes for keys of another kind, from each secret key, the first one's first."""
        return [hmac.digest(key, f"seed\0{context}".encode(), "sha256") for key in self._keys]

    def _mac(self, text: str, context: str) -> bytes:
        return hmac.digest(self._keys[0], f"{context}\0{text}".encode(), "sha256")


def digest(token: str) -> str:
    """SHA-256 of a random token, hexadecimal. Only this is stored, so a copy of the database opens nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


def random_token() -> str:
    """256 random bits for a cookie or a link, URL-safe."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def random_code() -> str:
    """130 random bits in 26 capitals and digits: short enough for an SMS and a small QR code."""
    return _spell(os.urandom(17))


def _spell(bits: bytes) -> str:
    number, letters = int.from_bytes(bits, "big"), []
    for _ in range(26):
        number, index = divmod(number, 32)
        letters.append(ALPHABET[index])
    return "".join(letters)
