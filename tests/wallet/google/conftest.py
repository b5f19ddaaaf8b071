from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.wallet.google.stand_in import GoogleStandIn
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.development import ISSUER_ID, development_account
from web.wallet.google.wallet import GoogleWallet


@pytest.fixture(scope="session")
def account_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("google") / "service-account.json"
    development_account(path)
    return path


@pytest.fixture(scope="session")
def account(account_file: Path) -> ServiceAccount:
    return development_account(account_file)


@pytest.fixture
def google(account: ServiceAccount) -> Iterator[GoogleStandIn]:
    known = {account.client_email: (account.private_key_id, account.key.public_key())}
    with GoogleStandIn(ISSUER_ID, known) as stand_in:
        yield stand_in


@pytest.fixture
async def client(google: GoogleStandIn, account: ServiceAccount) -> AsyncIterator[GoogleClient]:
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
