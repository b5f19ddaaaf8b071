"""The Google service account that signs save links and asks for access tokens."""

import json
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class AccountError(Exception):
    """A service-account file that cannot be used; the message says why."""


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of the JSON file that Google's console hands out."""

    client_email: str
    private_key_id: str
    key: rsa.RSAPrivateKey


def load_account(path: Path) -> ServiceAccount:
    """Reads a service-account JSON file. Raises AccountError."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise AccountError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AccountError(f"{path} is not JSON") from error
    fields = content if isinstance(content, dict) else {}
    if fields.get("type") != "service_account":
        raise AccountError(f'{path} is not the key file of a service account: its "type" says otherwise')
    for name in ("client_email", "private_key_id", "private_key"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise AccountError(f'{path} lacks "{name}"')
    try:
        key = load_pem_private_key(fields["private_key"].encode(), None)
    except (ValueError, TypeError) as error:
        raise AccountError(f'the "private_key" in {path} cannot be read') from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise AccountError(f'the "private_key" in {path} is not an RSA key')
    return ServiceAccount(
        client_email=fields["client_email"], private_key_id=fields["private_key_id"], key=key
    )
