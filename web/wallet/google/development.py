"""A service account for development: the shape of Google's key file, known to nobody at Google."""

import json
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from web.wallet.files import alone_in, write_private
from web.wallet.google.account import ServiceAccount, load_account

PROJECT = "pasito-development"  # by this name `is_development` knows its own
ISSUER_ID = "3388000000000000000"


def development_account(path: Path) -> ServiceAccount:
    """The account kept in the file `path`, made there if there is none."""
    with alone_in(path.parent):
        if not path.exists():
            write_private(path, json.dumps(_key_file(), indent=2).encode())
    return load_account(path)


def is_development(account: ServiceAccount) -> bool:
    """True for an account made here."""
    return account.client_email.endswith(f"@{PROJECT}.iam.gserviceaccount.com")


def _key_file() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": f"wallet@{PROJECT}.iam.gserviceaccount.com",
        "client_id": str(10**20 + secrets.randbelow(10**20)),
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }
