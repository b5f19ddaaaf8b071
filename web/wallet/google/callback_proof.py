"""Whether a callback is Google's own: ECv2SigningOnly, as Tink's PaymentMethodTokenRecipient checks it.

A root key vouches for an intermediate key, and that one for the message; what is signed is a list of parts, each
after its length in four bytes, little endian.
"""

import base64
import time
from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from web.wallet.google.callback_keys import PROTOCOL, public_key

SENDER = "GooglePayPasses"
LONGEST_BODY = 16 * 1024

T = TypeVar("T")
# Unix milliseconds, as a number or written out.
Millis = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class MalformedError(ValueError):
    """No callback at all."""


class UnbelievableError(ValueError):
    """A callback that Google did not sign for us, or that is over."""


class SigningKey(msgspec.Struct, rename="camel"):
    signed_key: str
    signatures: Annotated[list[str], msgspec.Meta(max_length=8)]


class Envelope(msgspec.Struct, rename="camel"):
    signature: str
    intermediate_signing_key: SigningKey
    protocol_version: str
    signed_message: str


class SignedKey(msgspec.Struct, rename="camel"):
    key_value: str
    key_expiration: Millis


class Callback(msgspec.Struct, rename="camel", frozen=True):
    """What Google tells: a card was saved to a wallet, or deleted from it. `exp_time_millis` is when this is over."""

    object_id: Annotated[str, msgspec.Meta(max_length=200)]
    event_type: Literal["save", "del"]
    exp_time_millis: Millis
    nonce: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


def believed(body: bytes, roots: Sequence[ec.EllipticCurvePublicKey], issuer_id: str) -> Callback:
    """The message of a callback to this issuer. Raises: MalformedError, UnbelievableError."""
    if len(body) > LONGEST_BODY:
        raise MalformedError("too long")
    envelope = _read(body, Envelope)
    if envelope.protocol_version != PROTOCOL:
        raise UnbelievableError("another protocol")
    vouched = envelope.intermediate_signing_key
    parts = _joined(SENDER, PROTOCOL, vouched.signed_key)
    if not any(_signed(root, signature, parts) for root in roots for signature in vouched.signatures):
        raise UnbelievableError("the intermediate key is not Google's")
    intermediate = _read(vouched.signed_key, SignedKey)
    now = time.time() * 1000
    if intermediate.key_expiration <= now:
        raise UnbelievableError("the intermediate key is over")
    try:
        key = public_key(intermediate.key_value)
    except ValueError as error:
        raise UnbelievableError("the intermediate key cannot be read") from error
    if not _signed(key, envelope.signature, _joined(SENDER, issuer_id, PROTOCOL, envelope.signed_message)):
        raise UnbelievableError("the message is not signed for us")
    message = _read(envelope.signed_message, Callback)
    if message.exp_time_millis <= now:
        raise UnbelievableError("the message is over")
    return message


def _read(text: bytes | str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedError(f"no {kind.__name__}") from error


def _joined(*parts: str) -> bytes:
    """Without the lengths a part could lend its end to the next one's beginning."""
    return b"".join(len(data).to_bytes(4, "little") + data for data in map(str.encode, parts))


def _signed(key: ec.EllipticCurvePublicKey, signature: str, data: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), data, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
