"""The doctor names what is wrong, and only that."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from web.foundation.finding import Finding
from web.wallet.apple.development import CERTIFICATE, INTERMEDIATE, KEY, development_certificates
from web.wallet.checks import check_apple, check_google, is_public
from web.wallet.google.development import ISSUER_ID, development_account

PASS_TYPE, TEAM = "pass.example.brewbar", "ABCDE12345"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checks")
    development_certificates(folder / "apple", pass_type_id=PASS_TYPE, team_id=TEAM)
    development_certificates(folder / "other", pass_type_id=PASS_TYPE, team_id=TEAM)
    development_account(folder / "google.json")
    return folder


@pytest.fixture
def apple(good: Path, tmp_path: Path) -> Callable[..., list[Finding]]:
    """Checks a good set-up in which the given arguments are changed."""
    folder = Path(shutil.copytree(good / "apple", tmp_path / "apple"))

    def check(**changes: Any) -> list[Finding]:
        arguments: dict[str, Any] = {
            "certificate": folder / CERTIFICATE,
            "key": folder / KEY,
            "intermediate": folder / INTERMEDIATE,
            "password": None,
            "pass_type_id": PASS_TYPE,
            "team_id": TEAM,
            "base_url": "https://localhost",
        }
        return check_apple(**arguments | changes)

    return check


def only(findings: list[Finding], level: str) -> str:
    (finding,) = findings
    assert finding.level == level
    assert level == "ok" or finding.do
    return finding.what


def test_a_good_set_up_is_said_to_be_good(apple: Callable[..., list[Finding]], good: Path) -> None:
    assert PASS_TYPE in only(apple(), "ok")
    google = check_google(
        account_file=good / "google.json", issuer_id=ISSUER_ID, base_url="https://localhost"
    )
    assert ISSUER_ID in only(google, "ok")


@pytest.mark.parametrize("file", ["certificate", "key", "intermediate"])
def test_a_missing_file_is_named(apple: Callable[..., list[Finding]], tmp_path: Path, file: str) -> None:
    gone = tmp_path / "gone.pem"
    assert f"{gone} cannot be read: No such file" in only(apple(**{file: gone}), "wrong")


@pytest.mark.parametrize("file", ["certificate", "key", "intermediate"])
def test_a_file_of_something_else_is_named(
    apple: Callable[..., list[Finding]], tmp_path: Path, file: str
) -> None:
    junk = tmp_path / "junk.pem"
    junk.touch(0o600)
    junk.write_text("hello")
    assert str(junk) in only(apple(**{file: junk}), "wrong")


def test_a_key_that_others_can_read_is_noted(apple: Callable[..., list[Finding]], tmp_path: Path) -> None:
    (tmp_path / "apple" / KEY).chmod(0o644)
    assert "Others on this machine can read" in only(apple(), "note")


def test_a_certificate_is_nobodys_secret(apple: Callable[..., list[Finding]], tmp_path: Path) -> None:
    (tmp_path / "apple" / CERTIFICATE).chmod(0o644)
    only(apple(), "ok")


def test_a_key_of_another_certificate_is_wrong(apple: Callable[..., list[Finding]], good: Path) -> None:
    assert "does not belong" in only(apple(key=good / "other" / KEY), "wrong")


def test_an_intermediate_that_did_not_issue_the_certificate_is_wrong(
    apple: Callable[..., list[Finding]], good: Path
) -> None:
    assert "not the one that issued" in only(apple(intermediate=good / "other" / INTERMEDIATE), "wrong")


def test_another_team_or_pass_type_is_wrong(apple: Callable[..., list[Finding]]) -> None:
    assert "'ZZZZZ99999'" in only(apple(team_id="ZZZZZ99999"), "wrong")
    assert "'pass.example.other'" in only(apple(pass_type_id="pass.example.other"), "wrong")


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(-2, "wrong", "only valid from"), (3630, "note", "expires on"), (3651, "wrong", "expired on")],
)
def test_dates_are_told_in_time(
    apple: Callable[..., list[Finding]], days: int, level: str, words: str
) -> None:
    findings = apple(now=datetime.now(UTC) + timedelta(days=days))
    assert [finding.level for finding in findings] == [level, level]
    for name, finding in zip(("pass certificate", "intermediate certificate"), findings, strict=True):
        assert name in finding.what
        assert words in finding.what


def test_a_certificate_is_fine_until_thirty_days_before_its_end(
    apple: Callable[..., list[Finding]],
) -> None:
    only(apple(now=datetime.now(UTC) + timedelta(days=3600)), "ok")


def test_the_development_authority_does_not_serve_the_public(
    apple: Callable[..., list[Finding]], good: Path
) -> None:
    assert "which no phone trusts" in only(apple(base_url="https://club.example.com"), "wrong")
    google = check_google(
        account_file=good / "google.json", issuer_id=ISSUER_ID, base_url="https://club.example.com"
    )
    assert "which Google does not know" in only(google, "wrong")


def test_without_https_passes_stay_as_they_are(apple: Callable[..., list[Finding]]) -> None:
    assert "will not update themselves" in only(apple(base_url="http://localhost:8000"), "note")


def test_a_key_is_asked_for_beside_a_pem_certificate(apple: Callable[..., list[Finding]]) -> None:
    assert "no private key is named" in only(apple(key=None), "wrong")


@pytest.mark.parametrize("issuer_id", ["", "BCR2DN", "３３８８", "33.88"])
def test_an_issuer_id_is_a_number(good: Path, issuer_id: str) -> None:
    findings = check_google(
        account_file=good / "google.json", issuer_id=issuer_id, base_url="https://localhost"
    )
    assert "issuer ids are numbers" in only(findings, "wrong")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: "hello", "is not JSON"),
        (lambda file: "[]", "not the key file of a service account"),
        (lambda file: json.dumps(file | {"type": "authorized_user"}), "not the key file"),
        (lambda file: json.dumps(file | {"client_email": ""}), 'lacks "client_email"'),
        (lambda file: json.dumps(file | {"private_key": "-----BEGIN"}), '"private_key" in'),
    ],
)
def test_a_malformed_service_account_is_wrong(
    good: Path, tmp_path: Path, change: Callable[[dict[str, str]], str], words: str
) -> None:
    file = tmp_path / "google.json"
    file.touch(0o600)
    file.write_text(change(json.loads((good / "google.json").read_text())))
    findings = check_google(account_file=file, issuer_id=ISSUER_ID, base_url="https://localhost")
    assert words in only(findings, "wrong")


def test_a_service_account_that_others_can_read_is_noted(good: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(good / "google.json", tmp_path))
    file.chmod(0o640)
    findings = check_google(account_file=file, issuer_id=ISSUER_ID, base_url="https://localhost")
    assert "chmod 600" in findings[0].do
    only(findings, "note")


@pytest.mark.parametrize(
    ("base_url", "public"),
    [
        ("https://club.example.com", True),
        ("https://8.8.8.8", True),
        ("http://club.example.com", False),
        ("https://localhost:8443", False),
        ("https://192.168.1.20", False),
        ("https://mac.local", False),
    ],
)
def test_public_is_what_a_customer_can_reach(base_url: str, public: bool) -> None:
    assert is_public(base_url) is public
