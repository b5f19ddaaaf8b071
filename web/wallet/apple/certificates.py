"""The three things that sign a pass: the Pass Type ID certificate, its key, and Apple's intermediate."""

from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs12
from cryptography.x509.oid import NameOID

# The certificate and its key in one file, as Keychain Access exports them.
P12_SUFFIXES = {".p12", ".pfx"}


class CertificateError(Exception):
    """A certificate or key that cannot be used; the message says which and why."""


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """What signs a pass. Pass type and team are the certificate's own: a pass must name the same."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    intermediate: x509.Certificate

    @property
    def pass_type_id(self) -> str:
        return subject_value(self.certificate, NameOID.USER_ID)

    @property
    def ends(self) -> datetime:
        """From when on phones and Apple refuse what is signed or said with these."""
        return min(self.certificate.not_valid_after_utc, self.intermediate.not_valid_after_utc)

    @property
    def team_id(self) -> str:
        return subject_value(self.certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)


def load_pem(certificate: Path, key: Path, intermediate: Path, password: str | None = None) -> Certificates:
    """From three files; certificates may be PEM or DER, the key is PEM. Raises CertificateError."""
    return _matching(read_certificate(certificate), read_key(key, password), read_certificate(intermediate))


def load_p12(bundle: Path, intermediate: Path, password: str | None = None) -> Certificates:
    """From the .p12 that Keychain Access exports, and Apple's intermediate. Raises CertificateError."""
    certificate, key = read_p12(bundle, password)
    return _matching(certificate, key, read_certificate(intermediate))


def read_certificate(path: Path) -> x509.Certificate:
    data = _read(path)
    try:
        if data.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate that can be read") from error


def read_key(path: Path, password: str | None = None) -> rsa.RSAPrivateKey:
    data = _read(path)
    try:
        key = load_pem_private_key(data, password.encode() if password else None)
    except (ValueError, TypeError) as error:  # TypeError: a password is missing, or one too many
        raise CertificateError(f"{path} holds no private key that can be read with this password") from error
    return _rsa(key, path)


def read_p12(path: Path, password: str | None = None) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    data = _read(path)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    except ValueError as error:
        raise CertificateError(f"{path} cannot be opened with this password") from error
    if certificate is None or key is None:
        raise CertificateError(f"{path} lacks the certificate or its private key")
    return certificate, _rsa(key, path)


def subject_value(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    """The first value of one attribute of the certificate's subject, "" where there is none."""
    values = certificate.subject.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""


def key_fits(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bool:
    """True if the certificate is about this key."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error


def _rsa(key: object, path: Path) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateError(f"the key in {path} is not the RSA key that a pass certificate has")
    return key


def _matching(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey, intermediate: x509.Certificate
) -> Certificates:
    if not key_fits(certificate, key):
        raise CertificateError("the private key does not belong to the pass certificate")
    return Certificates(certificate=certificate, key=key, intermediate=intermediate)
