"""A signing authority for development, made at the first start, in the shape of Apple's own.

Root, intermediate (in the place of "Worldwide Developer Relations G4") and a Pass Type ID certificate with
the subject, key usages and marker extensions that iOS looks for. No phone trusts it, which is the point:
everything but the trust can be tested without an Apple account.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from web.wallet.apple.certificates import CertificateError, Certificates, load_pem
from web.wallet.apple.signing import der
from web.wallet.files import alone_in, write_private

ORGANIZATION = "Pasito Development"  # by this name `is_development` knows its own
ROOT, INTERMEDIATE, CERTIFICATE, KEY = "root.pem", "intermediate.pem", "pass.pem", "pass.key"

# Apple's arc, as its security framework checks it: the purpose and the marker of a pass certificate, which
# repeats the pass type, and the marker of the intermediate that may issue it.
_PASS_SIGNING = ObjectIdentifier("1.2.840.113635.100.4.14")
_PASS_TYPE_MARKER = ObjectIdentifier("1.2.840.113635.100.6.1.16")
_INTERMEDIATE_MARKER = ObjectIdentifier("1.2.840.113635.100.6.2.1")
_UTF8_STRING, _NULL = 0x0C, 0x05
_LIFETIME = timedelta(days=3650)


def development_certificates(folder: Path, *, pass_type_id: str, team_id: str) -> Certificates:
    """The authority kept in `folder`, made there if there is none or it is for another pass type or team.

    Several processes may start at once: they wait for one another. What a crash left half done is made
    anew. The folder may hold other files; they are left alone.
    """
    with alone_in(folder):
        try:
            held = _load(folder)
            if (held.pass_type_id, held.team_id) == (pass_type_id, team_id):
                return held
        except CertificateError:
            pass  # there is none yet, or not all of it
        for name, content in _authority(pass_type_id, team_id).items():
            write_private(folder / name, content)
        return _load(folder)


def is_development(certificate: x509.Certificate) -> bool:
    """True for certificates of an authority made here."""
    names = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return any(name.value == ORGANIZATION for name in names)


def _load(folder: Path) -> Certificates:
    return load_pem(folder / CERTIFICATE, folder / KEY, folder / INTERMEDIATE)


def _authority(pass_type_id: str, team_id: str) -> dict[str, bytes]:
    root_key, intermediate_key, key = (_new_key() for _ in range(3))
    root = _name(common=f"{ORGANIZATION} Root CA")
    intermediate = _name(common=f"{ORGANIZATION} Relations Certification Authority", unit="G4")
    subject = _name(common=f"Pass Type ID: {pass_type_id}", unit=team_id, user_id=pass_type_id)
    root_certificate = _ca(root, root, root_key, root_key, path_length=None)
    intermediate_certificate = _ca(intermediate, root, intermediate_key, root_key, path_length=0)
    leaf = (
        _certificate(subject, intermediate, key, intermediate_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, _PASS_SIGNING]), critical=False
        )
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(_marker(_PASS_TYPE_MARKER, der(_UTF8_STRING, pass_type_id.encode())), critical=False)
        .sign(intermediate_key, hashes.SHA256())
    )
    # The keys of root and intermediate are not kept: nothing else shall ever be signed by them.
    return {
        ROOT: root_certificate.public_bytes(Encoding.PEM),
        INTERMEDIATE: intermediate_certificate.public_bytes(Encoding.PEM),
        CERTIFICATE: leaf.public_bytes(Encoding.PEM),
        KEY: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(*, common: str, unit: str | None = None, user_id: str | None = None) -> x509.Name:
    """A subject with its parts in the order that Apple writes them."""
    parts = [
        (NameOID.USER_ID, user_id),
        (NameOID.COMMON_NAME, common),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.ORGANIZATION_NAME, ORGANIZATION),
        (NameOID.COUNTRY_NAME, "US"),
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def _ca(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    issuer_key: rsa.RSAPrivateKey,
    path_length: int | None,
) -> x509.Certificate:
    builder = (
        _certificate(subject, issuer, key, issuer_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    if subject != issuer:
        builder = builder.add_extension(_marker(_INTERMEDIATE_MARKER, der(_NULL)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, issuer_key: rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # a phone's or container's clock may lag
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )


def _marker(oid: ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(oid, value)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
