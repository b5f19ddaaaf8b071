"""Opening a `.pkpass` as a phone does: nothing of it is believed before hashes, signature and certificates agree.

It shares no code with what makes passes. The rules are those of Apple's "Building a Pass" and of the WalletPasses
reference; what a phone merely ignores is no reason to refuse.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

PLACES = ("headerFields", "primaryFields", "secondaryFields", "auxiliaryFields", "backFields")
STYLES = frozenset(("boardingPass", "coupon", "eventTicket", "generic", "storeCard"))
BARCODES = frozenset(f"PKBarcodeFormat{name}" for name in ("QR", "PDF417", "Aztec", "Code128"))
REQUIRED = ("pass.json", "manifest.json", "signature", "icon.png")
_TEXTS = (
    "passTypeIdentifier",
    "teamIdentifier",
    "serialNumber",
    "organizationName",
    "description",
)
_LARGEST = 16 * 1024 * 1024
_ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_ENTRY = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=\s*"((?:[^"\\]|\\.)*)"\s*;')
_PASS_SIGNING = ObjectIdentifier("1.2.840.113635.100.4.14")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_TAGGED_0, _SEQUENCE, _SET = 0xA0, 0x30, 0x31


class PassRefused(Exception):
    """The phone does not take this pass; the message is why, in the words of its console."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A pass that a phone takes. `strings` holds the texts of `xx.lproj/pass.strings` by language."""

    package: bytes
    document: dict[str, Any]
    files: dict[str, bytes]
    strings: dict[str, dict[str, str]]

    @property
    def style(self) -> str:
        return next(name for name in self.document if name in STYLES)

    @property
    def serial(self) -> str:
        return str(self.document["serialNumber"])

    def fields(self, place: str) -> list[dict[str, Any]]:
        return list(self.document[self.style].get(place, ()))

    def say(self, text: str, language: str) -> str:
        """A text as a phone in this language shows it: what the strings file has for it, else as it stands."""
        return self.strings.get(language, {}).get(text, text)


def open_pass(package: bytes, roots: Sequence[x509.Certificate] | None) -> Opened:
    """What is in a package that holds what it promises.

    `roots` are the authorities that the phone trusts; None leaves out hashes and signature, which takes nearly all
    of the time, for those who try ten thousand phones at once. Raises: PassRefused.
    """
    files = _unpack(package)
    document = _object(files["pass.json"], "pass.json")
    if roots is not None:
        _check_manifest(files)
        signer = _check_signature(files["manifest.json"], files["signature"], roots)
        _check_names(document, signer)
    _check_document(document)
    strings = {
        path.partition(".lproj/")[0]: _strings(path, content)
        for path, content in files.items()
        if path.endswith(".lproj/pass.strings")
    }
    return Opened(package=package, document=document, files=files, strings=strings)


def _demand(true: object, why: str) -> None:
    if not true:
        raise PassRefused(why)


def _unpack(package: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _demand(sum(entry.file_size for entry in entries) <= _LARGEST, "The pass is too large.")
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError) as error:
        # NotImplementedError, for a compression that nobody has, is a RuntimeError.
        raise PassRefused("The pass cannot be read: it is no zip archive.") from error
    _demand(len(files) == len(entries), "The archive holds a file twice.")
    for path in files:
        _demand(not path.startswith("/") and ".." not in path.split("/"), f"{path!r} leads out of the pass.")
    for path in REQUIRED:
        _demand(path in files, f"The pass has no {path} at the root of its archive.")
    return files


def _object(data: bytes, path: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PassRefused(f"{path} is no JSON in UTF-8: {error}.") from error
    _demand(isinstance(found, dict), f"{path} holds no dictionary.")
    return dict(found)


def _check_manifest(files: dict[str, bytes]) -> None:
    manifest = _object(files["manifest.json"], "manifest.json")
    for path in files.keys() - {"manifest.json", "signature"}:
        _demand(path in manifest, f"The manifest does not describe {path}.")
        # Apple's format asks for SHA-1; the manifest itself is signed with SHA-256.
        found = sha1(files[path], usedforsecurity=False).hexdigest()
        _demand(manifest[path] == found, f"The manifest's SHA-1 of {path} does not match.")
    missing = manifest.keys() - files.keys()
    _demand(not missing, f"The manifest describes {', '.join(sorted(missing))}, which is not there.")


def _check_signature(
    manifest: bytes, signature: bytes, roots: Sequence[x509.Certificate]
) -> x509.Certificate:
    """The certificate that signed the manifest, issued by way of the intermediate that came with it."""
    try:
        certificates, attributes, signed = _read_message(signature)
    except (ValueError, IndexError, StopIteration, UnsupportedAlgorithm) as error:
        raise PassRefused("The signature is no PKCS #7 message that can be read.") from error
    wanted = b"\x04\x20" + sha256(manifest).digest()
    at = attributes.find(_MESSAGE_DIGEST)
    is_about = at >= 0 and attributes[at + len(_MESSAGE_DIGEST) + 2 :].startswith(wanted)
    _demand(is_about, "The signature is about another manifest.")
    signer = next((each for each in certificates if _has_signed(each, attributes, signed)), None)
    if signer is None:
        raise PassRefused("The signature was made by none of the certificates that came with it.")
    _demand(_is_current(signer), "The pass certificate has expired, or is not good yet.")
    _check_chain(signer, certificates, roots)
    return signer


def _check_chain(
    signer: x509.Certificate, certificates: Iterable[x509.Certificate], roots: Sequence[x509.Certificate]
) -> None:
    for intermediate in certificates:
        if (
            _issued(signer, intermediate)
            and _is_current(intermediate)
            and any(_issued(intermediate, root) for root in roots)
        ):
            return
    raise PassRefused("The certificate's chain to an authority that the phone trusts could not be verified.")


def _check_names(document: dict[str, Any], signer: x509.Certificate) -> None:
    names = {
        name: [value.value for value in signer.subject.get_attributes_for_oid(oid)]
        for name, oid in (
            ("passTypeIdentifier", NameOID.USER_ID),
            ("teamIdentifier", NameOID.ORGANIZATIONAL_UNIT_NAME),
        )
    }
    for name, values in names.items():
        _demand(document.get(name) in values, f"The {name} does not match the certificate.")
    try:
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        purposes = x509.ExtendedKeyUsage([])
    _demand(_PASS_SIGNING in purposes, "The certificate is not for signing passes.")


def _read_message(message: bytes) -> tuple[list[x509.Certificate], bytes, bytes]:
    """The certificates in a message, its only signer's attributes as they were signed, and the signature."""
    signed_data = _parts(_parts(_parts(message)[0][1])[1][1])[0][1]
    parts = _parts(signed_data)
    certificates = next(content for tag, content in parts if tag == _TAGGED_0)
    signer = _parts(_parts(parts[-1][1])[0][1])
    at = next(index for index, (tag, _) in enumerate(signer) if tag == _TAGGED_0)
    # Signed is the SET of attributes, not the tag [0] under which it travels (RFC 5652, 5.4).
    return (
        [x509.load_der_x509_certificate(_der(_SEQUENCE, content)) for _, content in _parts(certificates)],
        _der(_SET, signer[at][1]),
        signer[at + 2][1],
    )


def _parts(encoded: bytes) -> list[tuple[int, bytes]]:
    """The tags and contents of the DER values that stand one after the other."""
    parts, at = [], 0
    while at < len(encoded):
        tag, size, at = encoded[at], encoded[at + 1], at + 2
        if size & 0x80:
            many = size & 0x7F
            size, at = int.from_bytes(encoded[at : at + many], "big"), at + many
        if at + size > len(encoded):
            raise ValueError("a value is longer than what holds it")
        parts.append((tag, encoded[at : at + size]))
        at += size
    return parts


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    written = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(written))) + written + content


def _has_signed(certificate: x509.Certificate, attributes: bytes, signature: bytes) -> bool:
    try:
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(signature, attributes, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_current(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def _check_document(document: dict[str, Any]) -> None:
    _demand(document.get("formatVersion") == 1, "The pass has another formatVersion than 1.")
    for name in _TEXTS:
        _demand(isinstance(document.get(name), str) and document[name], f"Pass must contain key '{name}'.")
    styles = [name for name in document if name in STYLES]
    _demand(len(styles) == 1, "The pass has no style, or more than one.")
    _check_fields(document[styles[0]])
    for barcode in (*document.get("barcodes", ()), *filter(None, [document.get("barcode")])):
        _demand(barcode.get("format") in BARCODES, f"Barcode format {barcode.get('format')!r} is unknown.")
        _demand(isinstance(barcode.get("message"), str), "A barcode has no message.")
    for name in ("expirationDate", "relevantDate"):
        if name in document:
            _check_date(name, document[name])
    if "webServiceURL" in document:
        is_https = str(document["webServiceURL"]).startswith("https://")
        _demand(is_https, "The webServiceURL is not https.")
        token = document.get("authenticationToken")
        is_long = isinstance(token, str) and len(token) >= 16
        _demand(is_long, "The authenticationToken has fewer than 16 characters.")


def _check_fields(front: object) -> None:
    _demand(isinstance(front, dict), "The pass's style is no dictionary.")
    assert isinstance(front, dict)
    keys: set[str] = set()
    for place in PLACES:
        for field in front.get(place, ()):
            key = field.get("key")
            _demand(isinstance(key, str) and key, f"A field of {place} has no key.")
            _demand("value" in field, f"The field '{key}' has no value.")
            _demand(key not in keys, f"The key '{key}' of a field is there twice.")
            keys.add(key)
            if "dateStyle" in field or "timeStyle" in field:
                _check_date(f"the field '{key}'", field["value"])


def _check_date(name: str, value: object) -> None:
    _demand(isinstance(value, str) and _ZONED.fullmatch(value), f"The date of {name} has no time zone.")


def _strings(path: str, content: bytes) -> dict[str, str]:
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = content.decode(coding)
    except UnicodeDecodeError as error:
        raise PassRefused(f"{path} is neither UTF-8 nor UTF-16.") from error
    return {
        re.sub(r"\\(.)", r"\1", key): re.sub(r"\\(.)", r"\1", value) for key, value in _ENTRY.findall(text)
    }
