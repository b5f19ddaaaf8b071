from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.support.google import ISSUER_ID, Google
from web.wallet.google.account import ServiceAccount, load_account
from web.wallet.google.client import GoogleClient
from web.wallet.google.wallet import GoogleWallet


@pytest.fixture(scope="session")
def account(google_account: tuple[Path, RSAPublicKey]) -> ServiceAccount:
    return load_account(google_account[0])


@pytest.fixture
async def client(google: Google, account: ServiceAccount) -> AsyncIterator[GoogleClient]:
    async with httpx.AsyncClient() as http:
        yield GoogleClient(http, account, api_url=google.api_url, token_url=google.token_url)


@pytest.fixture(scope="session")
def wallet(account: ServiceAccount) -> GoogleWallet:
    return GoogleWallet(
        account,
        ISSUER_ID,
        origins=["https://club.example"],
        callback_url="https://club.example/webhooks/google-wallet",
    )
