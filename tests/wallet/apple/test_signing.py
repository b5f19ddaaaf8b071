from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.apple.verifier import RefusedError, _check_signature
from web.wallet.apple import signing
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.signing import ManifestSigner, SigningError, der, encode_time

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.integers(0, 70_000))
def test_der_lengths_take_the_shortest_form(size: int) -> None:
    encoded = der(0x04, b"x" * size)
    if size < 128:
        assert encoded[1] == size
        assert len(encoded) == size + 2
    else:
        digits = encoded[1] & 0x7F
        assert int.from_bytes(encoded[2 : 2 + digits], "big") == size
        assert encoded[2] != 0
        assert len(encoded) == 2 + digits + size


def test_openssl_accepts_the_signature_and_reads_who_signed(certificates: Certificates, root: Path) -> None:
    signature = ManifestSigner(certificates).sign(b"{}", datetime.now(UTC))
    assert _check_signature(b"{}", signature, root) == (certificates.pass_type_id, certificates.team_id)


def test_another_manifest_is_refused(certificates: Certificates, root: Path) -> None:
    signature = ManifestSigner(certificates).sign(b"{}", datetime.now(UTC))
    with pytest.raises(RefusedError):
        _check_signature(b"{ }", signature, root)


def test_the_year_2050_changes_the_form_of_the_time() -> None:
    assert encode_time(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)) == b"\x17\x0d491231235959Z"
    assert encode_time(datetime(2050, 1, 1, tzinfo=UTC)) == b"\x18\x0f20500101000000Z"


def test_signatures_on_both_sides_of_2050_are_well_formed(certificates: Certificates, root: Path) -> None:
    signer = ManifestSigner(certificates)
    for moment in (NOW, NOW + timedelta(days=365 * 30), NOW):
        _check_signature(b"{}", signer.sign(b"{}", moment), root)


def test_a_template_that_departs_from_the_library_is_noticed_at_the_start(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_VERSION_1", der(0x02, b"\x03"))
    with pytest.raises(SigningError):
        ManifestSigner(certificates)


@pytest.mark.parametrize("key_size", [2048, 3072])
@pytest.mark.parametrize("serial", [1, 127, 128, 2**64 - 1, 2**158])
def test_any_serial_number_and_key_size_agrees_with_the_library(key_size: int, serial: int) -> None:
    """Certificates made in this very second, whose dates therefore read like the signing time."""
    key = rsa.generate_private_key(65537, key_size)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Zoë")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    ManifestSigner(Certificates(certificate=certificate, key=key, intermediate=certificate))
