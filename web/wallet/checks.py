"""What is wrong with the wallets' certificates and keys, in words for whoever runs the server."""

import ipaddress
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from web.foundation.finding import Finding
from web.wallet.apple import development as apple_development
from web.wallet.apple.certificates import (
    P12_SUFFIXES,
    CertificateError,
    key_fits,
    read_certificate,
    read_key,
    read_p12,
    subject_value,
)
from web.wallet.google import development as google_development
from web.wallet.google.account import AccountError, load_account

EXPIRY_NOTICE = timedelta(days=30)  # a new pass certificate takes days where several people are asked
_APPLE_PORTAL = "Apple's developer account, Certificates, Identifiers & Profiles"
_INTERMEDIATES = "https://www.apple.com/certificateauthority/ (Worldwide Developer Relations)"


def check_apple(
    *,
    certificate: Path,
    key: Path | None,
    intermediate: Path,
    password: str | None,
    pass_type_id: str,
    team_id: str,
    base_url: str,
    now: datetime | None = None,
) -> list[Finding]:
    """Everything that makes iOS refuse a pass and can be known here. `key` is None beside a .p12 file.

    `pass_type_id`, `team_id` and `base_url` are the settings' values; the certificate must agree.
    """
    now = now or datetime.now(UTC)
    secret = certificate if key is None else key
    findings = list(_privacy(secret))
    try:
        leaf, private_key = _leaf_and_key(certificate, key, password)
        issuer = read_certificate(intermediate)
    except CertificateError as error:
        return [*findings, Finding("wrong", f"Apple Wallet: {error}.", "Correct the path, file or password.")]
    findings += _dates("pass certificate", leaf, now, f"Make a new one in {_APPLE_PORTAL}.")
    findings += _dates(
        "intermediate certificate", issuer, now, f"Fetch the present one from {_INTERMEDIATES}."
    )
    findings += _belonging(leaf, private_key, issuer)
    findings += _identity(leaf, pass_type_id, team_id)
    if apple_development.is_development(leaf) and is_public(base_url):
        findings.append(
            Finding(
                "wrong",
                f"Passes for {base_url} are signed by the development authority, which no phone trusts.",
                f"Make a Pass Type ID certificate in {_APPLE_PORTAL} and name its files in the settings.",
            )
        )
    if urlsplit(base_url).scheme != "https":
        findings.append(
            Finding(
                "note",
                f"Passes will not update themselves: phones call https addresses only, not {base_url}.",
                "Serve the app over https; for development this can stay as it is.",
            )
        )
    return findings or [
        Finding("ok", f"Apple Wallet signs {pass_type_id} for team {team_id} until {_day(leaf)}.")
    ]


def check_google(*, account_file: Path, issuer_id: str, base_url: str) -> list[Finding]:
    """Everything about the service account and the issuer that can be known without asking Google."""
    findings = list(_privacy(account_file))
    if not (issuer_id.isascii() and issuer_id.isdecimal()):
        findings.append(
            Finding(
                "wrong",
                f"The Google Wallet issuer id is {issuer_id!r}, but issuer ids are numbers.",
                "Copy it from the Google Pay & Wallet console, Google Wallet API.",
            )
        )
    try:
        account = load_account(account_file)
    except AccountError as error:
        do = "Make a JSON key for the service account in the Google Cloud console, IAM, Service accounts."
        return [*findings, Finding("wrong", f"Google Wallet: {error}.", do)]
    if google_development.is_development(account) and is_public(base_url):
        findings.append(
            Finding(
                "wrong",
                f"Cards for {base_url} are signed by the development account, which Google does not know.",
                "Make a service account, add it as a user in the Google Pay & Wallet console, name its file.",
            )
        )
    return findings or [Finding("ok", f"Google Wallet signs as {account.client_email} for {issuer_id}.")]


def is_public(base_url: str) -> bool:
    """True for an https address that is not this machine's or a private network's own."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "https" and ipaddress.ip_address(host).is_global
    except ValueError:  # a name
        local = host == "localhost" or host.endswith((".localhost", ".local", ".test", ".internal"))
        return parts.scheme == "https" and not local


def _privacy(path: Path) -> Iterator[Finding]:
    """A warning if others can read a file that holds a private key."""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("note", f"Others on this machine can read {path}.", f"Run: chmod 600 {path}")


def _leaf_and_key(
    certificate: Path, key: Path | None, password: str | None
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    if certificate.suffix in P12_SUFFIXES:
        return read_p12(certificate, password)
    if key is None:
        raise CertificateError(f"no private key is named for {certificate}")
    return read_certificate(certificate), read_key(key, password)


def _dates(name: str, certificate: x509.Certificate, now: datetime, do: str) -> Iterator[Finding]:
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        yield Finding(
            "wrong", f"The {name} is only valid from {begins} on.", "Set this machine's clock right."
        )
    elif now >= certificate.not_valid_after_utc:
        yield Finding("wrong", f"The {name} expired on {_day(certificate)}.", do)
    elif now + EXPIRY_NOTICE >= certificate.not_valid_after_utc:
        yield Finding("note", f"The {name} expires on {_day(certificate)}.", do)


def _belonging(
    leaf: x509.Certificate, key: rsa.RSAPrivateKey, intermediate: x509.Certificate
) -> Iterator[Finding]:
    if not key_fits(leaf, key):
        yield Finding(
            "wrong",
            "The private key does not belong to the pass certificate.",
            "Name the key that the certificate was asked for with, or export both together as .p12.",
        )
    try:
        leaf.verify_directly_issued_by(intermediate)
    except (ValueError, TypeError, InvalidSignature):
        issuer = leaf.issuer.rfc4514_string()
        yield Finding(
            "wrong",
            "The intermediate certificate is not the one that issued the pass certificate.",
            f"Fetch the one named {issuer} from {_INTERMEDIATES}.",
        )


def _identity(leaf: x509.Certificate, pass_type_id: str, team_id: str) -> Iterator[Finding]:
    for name, oid, wanted in (
        ("pass type", NameOID.USER_ID, pass_type_id),
        ("team", NameOID.ORGANIZATIONAL_UNIT_NAME, team_id),
    ):
        found = subject_value(leaf, oid)
        if found != wanted:
            yield Finding(
                "wrong",
                f"The settings name the {name} {wanted!r}, the pass certificate is for {found!r}.",
                f"Correct the setting, or use the certificate of that {name}; phones refuse the pass else.",
            )


def _day(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"
