import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.wallet.apple.conftest import PASS_TYPE, TEAM
from web.wallet.apple.certificates import load_p12
from web.wallet.apple.development import (
    CERTIFICATE,
    INTERMEDIATE,
    KEY,
    ROOT,
    development_certificates,
    is_development,
)
from web.wallet.apple.signing import ManifestSigner
from web.wallet.google.development import development_account


def test_the_authority_names_pass_type_and_team_as_apples_does(authority: Path) -> None:
    certificates = development_certificates(authority, pass_type_id=PASS_TYPE, team_id=TEAM)
    assert (certificates.pass_type_id, certificates.team_id) == (PASS_TYPE, TEAM)
    subject = certificates.certificate.subject.rfc4514_string()
    assert f"CN=Pass Type ID: {PASS_TYPE}" in subject
    assert is_development(certificates.certificate)


def test_the_chain_has_an_intermediate_that_may_only_issue_leaves(authority: Path) -> None:
    leaf, intermediate = (
        x509.load_pem_x509_certificate((authority / name).read_bytes())
        for name in (CERTIFICATE, INTERMEDIATE)
    )
    leaf.verify_directly_issued_by(intermediate)
    assert intermediate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    markers = {extension.oid.dotted_string for extension in leaf.extensions}
    assert "1.2.840.113635.100.6.1.16" in markers


def test_nobody_else_can_read_the_files(authority: Path) -> None:
    assert stat.S_IMODE(authority.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in authority.iterdir()} == {0o600}


def test_it_is_made_once_and_again_only_for_another_pass_type(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "apple"
    first = development_certificates(folder, pass_type_id=PASS_TYPE, team_id=TEAM)
    again = development_certificates(folder, pass_type_id=PASS_TYPE, team_id=TEAM)
    assert again.certificate == first.certificate
    other = development_certificates(folder, pass_type_id="pass.example.other", team_id=TEAM)
    assert other.pass_type_id == "pass.example.other"


def test_other_files_in_its_folder_are_left_alone(tmp_path: Path) -> None:
    account = development_account(tmp_path / "google.json")
    development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id=TEAM)
    development_certificates(tmp_path, pass_type_id="pass.example.other", team_id=TEAM)
    assert development_account(tmp_path / "google.json").private_key_id == account.private_key_id


def test_what_a_crash_left_half_done_is_made_anew(tmp_path: Path) -> None:
    development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id=TEAM)
    (tmp_path / KEY).unlink()
    made = development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id=TEAM)
    ManifestSigner(made)
    assert {file.name for file in tmp_path.iterdir()} == {ROOT, INTERMEDIATE, CERTIFICATE, KEY}


def test_many_first_starts_at_once_end_with_one_authority(tmp_path: Path) -> None:
    def start(_: int) -> x509.Certificate:
        return development_certificates(tmp_path / "apple", pass_type_id=PASS_TYPE, team_id=TEAM).certificate

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1


def test_a_p12_bundle_serves_as_well_as_pem_files(authority: Path, tmp_path: Path) -> None:
    made = development_certificates(authority, pass_type_id=PASS_TYPE, team_id=TEAM)
    bundle = tmp_path / "pass.p12"
    bundle.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"pass", made.key, made.certificate, None, BestAvailableEncryption(b"secret")
        )
    )
    loaded = load_p12(bundle, authority / INTERMEDIATE, "secret")
    assert loaded.certificate == made.certificate
