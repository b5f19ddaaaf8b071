from pathlib import Path

import pytest

from web.wallet.apple.certificates import Certificates
from web.wallet.apple.development import ROOT, development_certificates

PASS_TYPE, TEAM = "pass.example.brewbar", "ABCDE12345"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a development authority."""
    folder = tmp_path_factory.mktemp("wallet") / "apple"
    development_certificates(folder, pass_type_id=PASS_TYPE, team_id=TEAM)
    return folder


@pytest.fixture(scope="session")
def certificates(authority: Path) -> Certificates:
    return development_certificates(authority, pass_type_id=PASS_TYPE, team_id=TEAM)


@pytest.fixture(scope="session")
def root(authority: Path) -> Path:
    return authority / ROOT
