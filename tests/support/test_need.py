import pytest

from tests.support.postgres import postgres_server


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.postgres.find_postgres", lambda: None)


@pytest.mark.usefixtures("no_programs")
def test_without_its_program_a_test_is_skipped_by_name_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="PostgreSQL"), postgres_server():
        pass


@pytest.mark.usefixtures("no_programs")
def test_without_its_program_a_test_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="PostgreSQL"), postgres_server():
        pass
