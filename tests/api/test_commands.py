"""`python -m web key api`: the first key of a programme comes from here."""

from pathlib import Path

from click.testing import CliRunner

from tests.conftest import Fresh
from tests.support.rows import in_database
from web.cli import commands
from web.demo import SLUG
from web.foundation.sealing import Sealer
from web.loyalty.api_key import demo_key, find_key


def test_a_key_is_made_listed_and_revoked(fresh_database: Fresh, data_dir: Path, sealer: Sealer) -> None:
    url = fresh_database("sqlite")
    environment = {"DATABASE_URL": url, "PASITO_DATA_DIR": str(data_dir)}

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(commands, ["key", "api", *arguments], env=environment)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    secret = run("create", "--program", SLUG, "--name", "Till", "--scope", "read", "--expires-in", "30")
    kept = in_database(url, lambda conn: find_key(conn, secret))
    assert (kept.name, kept.scopes) == ("Till", ("read",))
    assert kept.expires_at is not None
    listed = run("list", "--program", SLUG)
    assert kept.id in listed
    assert "never used" in listed
    assert secret not in listed
    run("revoke", kept.id, "--program", SLUG)
    assert "revoked" in run("list", "--program", SLUG)
    refused = CliRunner().invoke(commands, ["key", "api", "revoke", "x", "--program", SLUG], env=environment)
    assert (refused.exit_code, refused.output.startswith("Error: There is no such key")) == (1, True)
    # The demo's key stays the same from start to start.
    first, second = (in_database(url, lambda conn: demo_key(conn, kept.program_id, sealer)) for _ in range(2))
    assert first == second
    assert in_database(url, lambda conn: find_key(conn, first)) is not None
