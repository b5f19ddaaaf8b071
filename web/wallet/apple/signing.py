"""The detached CMS signature of a pass (RFC 5652), with only the RSA operation left to do per pass.

Of a signature's three kilobytes only three values change from pass to pass: the digest of the manifest,
the time, and the RSA signature over the signed attributes that hold these two. All three have a fixed
length, so everything around them is encoded once and kept as the pieces between. Whether the result is
right is not a matter of belief: `ManifestSigner` compares its first signature with what the library's
own PKCS#7 builder makes of the same input, byte for byte, and refuses to start when they differ.
"""

from datetime import UTC, datetime
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from web.wallet.apple.certificates import Certificates

SEQUENCE, SET, CONTEXT_0 = 0x30, 0x31, 0xA0
INTEGER, OCTET_STRING, NULL, OBJECT_ID, UTC_TIME, GENERALIZED_TIME = 0x02, 0x04, 0x05, 0x06, 0x17, 0x18


class SigningError(Exception):
    """The signature made here is not the one that the library makes."""


def der(tag: int, *parts: bytes) -> bytes:
    """One DER value: its tag, the length in the shortest form, its content."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


def _set_of(tag: int, *values: bytes) -> bytes:
    return der(tag, *sorted(values))  # DER orders the members of a SET OF by their encoding


_DATA = der(OBJECT_ID, bytes.fromhex("2a864886f70d010701"))
_SIGNED_DATA = der(OBJECT_ID, bytes.fromhex("2a864886f70d010702"))
_CONTENT_TYPE = der(OBJECT_ID, bytes.fromhex("2a864886f70d010903"))
_MESSAGE_DIGEST = der(OBJECT_ID, bytes.fromhex("2a864886f70d010904"))
_SIGNING_TIME = der(OBJECT_ID, bytes.fromhex("2a864886f70d010905"))
_RSA = der(SEQUENCE, der(OBJECT_ID, bytes.fromhex("2a864886f70d010101")), der(NULL))
_SHA256 = der(SEQUENCE, der(OBJECT_ID, bytes.fromhex("608648016503040201")), der(NULL))
_VERSION_1 = der(INTEGER, b"\x01")


def encode_time(moment: datetime) -> bytes:
    """UTCTime until 2049, GeneralizedTime from then on, as RFC 5652 section 11.3 rules."""
    day = f"{moment.year:04}{moment.month:02}{moment.day:02}"
    digits = f"{day}{moment.hour:02}{moment.minute:02}{moment.second:02}Z".encode()
    return der(UTC_TIME, digits[2:]) if moment.year < 2050 else der(GENERALIZED_TIME, digits)


def signed_attributes(tag: int, digest: bytes, time: bytes) -> bytes:
    """What the RSA signature covers: that this is data, when it was signed, and its SHA-256 digest."""
    return _set_of(
        tag,
        der(SEQUENCE, _CONTENT_TYPE, der(SET, _DATA)),
        der(SEQUENCE, _SIGNING_TIME, der(SET, time)),
        der(SEQUENCE, _MESSAGE_DIGEST, der(SET, der(OCTET_STRING, digest))),
    )


class ManifestSigner:
    """Signs manifests with one set of certificates. Raises SigningError when it is made, never later."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._sign = certificates.key.sign
        self._padding, self._hash = PKCS1v15(), hashes.SHA256()
        self._pieces: dict[int, tuple[list[bytes], list[bytes]]] = {}
        self._compare_with_library()

    def sign(self, manifest: bytes, moment: datetime) -> bytes:
        """The DER of the detached signature over `manifest`; `moment` is in UTC."""
        time, digest = encode_time(moment), sha256(manifest).digest()
        (a, b, c), (w, x, y, z) = self._pieces.get(time[0]) or self._prepare(time[0], len(time) - 2)
        signature = self._sign(b"".join((a, time, b, digest, c)), self._padding, self._hash)
        return b"".join((w, time, x, digest, y, signature, z))

    def _prepare(self, time_tag: int, time_length: int) -> tuple[list[bytes], list[bytes]]:
        """The pieces around time, digest and signature, for times of this tag and length."""
        # Stand-ins of the right length, which nothing else in the message is: no name, date, number or
        # key of a certificate is made of one byte repeated.
        time, digest = der(time_tag, b"\xcc" * time_length), b"\xaa" * 32
        signature = b"\xbb" * (self._certificates.key.key_size // 8)
        # The signature covers the attributes as a SET, the message holds them tagged [0] (section 5.4).
        attributes = signed_attributes(SET, digest, time)
        message = self._message(signed_attributes(CONTEXT_0, digest, time), signature)
        pieces = _cut(attributes, time, digest), _cut(message, time, digest, signature)
        self._pieces[time_tag] = pieces
        return pieces

    def _message(self, attributes: bytes, signature: bytes) -> bytes:
        leaf, intermediate = self._certificates.certificate, self._certificates.intermediate
        signer_id = der(SEQUENCE, leaf.issuer.public_bytes(), _integer(leaf.serial_number))
        signer = der(SEQUENCE, _VERSION_1, signer_id, _SHA256, attributes, _RSA, der(OCTET_STRING, signature))
        certificates = (leaf.public_bytes(Encoding.DER), intermediate.public_bytes(Encoding.DER))
        signed_data = der(
            SEQUENCE,
            _VERSION_1,
            der(SET, _SHA256),
            der(SEQUENCE, _DATA),  # detached: the content itself is left out
            _set_of(CONTEXT_0, *certificates),
            der(SET, signer),
        )
        return der(SEQUENCE, _SIGNED_DATA, der(CONTEXT_0, signed_data))

    def _compare_with_library(self) -> None:
        probe = b"Pasito"
        expected = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(probe)
            .add_signer(self._certificates.certificate, self._certificates.key, hashes.SHA256())
            .add_certificate(self._certificates.intermediate)
            .sign(
                Encoding.DER,
                [
                    pkcs7.PKCS7Options.DetachedSignature,
                    pkcs7.PKCS7Options.Binary,
                    pkcs7.PKCS7Options.NoCapabilities,
                ],
            )
        )
        if self.sign(probe, _time_in(expected)) != expected:
            raise SigningError("the prepared signature differs from the one of the cryptography library")


def _time_in(message: bytes) -> datetime:
    """The signing time in a message of the library's. It writes years before 2050."""
    at = message.index(_SIGNING_TIME) + len(_SIGNING_TIME) + 2  # behind it a SET's tag and length
    return datetime.strptime(message[at + 2 : at + 15].decode(), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _integer(value: int) -> bytes:
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _cut(encoded: bytes, *values: bytes) -> list[bytes]:
    """The pieces of `encoded` before, between and after the values, which occur in this order."""
    pieces = []
    for value in values:
        piece, _, encoded = encoded.partition(value)
        pieces.append(piece)
    return [*pieces, encoded]
