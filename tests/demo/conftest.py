"""Passes of a development authority, for phones that trust it."""

from pathlib import Path

import pytest
from cryptography import x509

from tests.wallet.apple.conftest import authority, certificates, root
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.wallet import AppleWallet

__all__ = ["authority", "certificates", "root"]

SERVICE = "https://club.example/passkit"


@pytest.fixture(scope="session")
def wallet(certificates: Certificates) -> AppleWallet:
    return AppleWallet(certificates, web_service_url=SERVICE)


@pytest.fixture(scope="session")
def roots(root: Path) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(root.read_bytes())]
