"""Settings from the environment: each mistake is told by the name of its variable, all at once."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from web.settings import SECRET, Settings, SettingsError, load_settings, variable_name

PRODUCTION = {
    "PASITO_ENVIRONMENT": "production",
    "PASITO_BASE_URL": "https://cards.example.com",
    "PASITO_SECRET_KEYS": "k" * 32,
    "PASITO_SMTP_HOST": "mail.example.com",
    "PASITO_MAIL_FROM": "cards@example.com",
    "DATABASE_URL": "postgresql://pasito@db/pasito",
}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value).splitlines()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_with_nothing_set_it_is_a_development_server_on_sqlite(home: Path) -> None:
    settings = load_settings({})
    assert settings.development
    assert settings.base_url == "http://localhost:8000"
    assert settings.database_url == "sqlite:///.data/pasito.db"
    assert settings.hosts == {"localhost", "127.0.0.1"}
    assert settings.mail_is_kept()
    assert settings.sms_is_kept()
    assert settings.worker


def test_a_secret_key_is_made_once_for_its_owner_s_eyes_and_kept(home: Path) -> None:
    first, second = load_settings({}), load_settings({})
    assert first.secret_keys == second.secret_keys
    assert len(first.secret_keys[0]) == 64
    assert stat.S_IMODE((home / ".data" / "secret.key").stat().st_mode) == 0o600
    assert os.listdir(home / ".data") == ["secret.key"]


def test_processes_that_start_at_once_have_the_same_secret_key(home: Path) -> None:
    code = "from web.settings import load_settings; print(load_settings({}).secret_keys[0])"
    root = str(Path(__file__).parent.parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=home,
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    keys = {process.communicate()[0].strip() for process in processes}
    assert len(keys) == 1
    assert len(keys.pop()) == 64


def test_the_names_that_hosts_give_are_taken(home: Path) -> None:
    settings = load_settings({"PORT": "8123", "DATABASE_URL": "postgresql://db/pasito"})
    assert (settings.port, settings.database_url) == (8123, "postgresql://db/pasito")
    assert settings.base_url == "http://localhost:8123"


def test_kinds_are_read_from_text(home: Path) -> None:
    settings = load_settings(
        {
            "PASITO_WORKER": "false",
            "PASITO_SMTP_TIMEOUT": "2.5",
            "PASITO_ALLOWED_HOSTS": "a.example, b.example,",
            "PASITO_SECRET_KEYS": "new,old",
            "PASITO_APPLE_KEY": "/keys/pass.key",
            "PASITO_BASE_URL": "https://cards.example.com/",
        }
    )
    assert settings.worker is False
    assert settings.smtp_timeout == 2.5
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.secret_keys == ("new", "old")
    assert settings.apple_key == Path("/keys/pass.key")
    assert settings.base_url == settings.origin == "https://cards.example.com"


def test_an_empty_variable_is_one_that_is_not_set(home: Path) -> None:
    assert load_settings({"PORT": "", "PASITO_BASE_URL": ""}) == load_settings({})


def test_others_variables_are_nobody_s_business(home: Path) -> None:
    load_settings({"PATH": "/bin", "PASITOX": "1", "SMTP_HOST": "x"})


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "eighty", "`int`"),
        ("PORT", "0", ">= 1"),
        ("PORT", "65536", "<= 65535"),
        ("PASITO_ENVIRONMENT", "staging", "staging"),
        ("PASITO_WORKER", "perhaps", "`bool`"),
        ("PASITO_SMTP_SECURITY", "ssl", "ssl"),
        ("PASITO_SMTP_PORT", "x", "`int`"),
        ("PASITO_LOG_FORMAT", "xml", "xml"),
        ("DATABASE_URL", "mysql://db/pasito", "sqlite:/// or postgresql://"),
        ("PASITO_BASE_URL", "cards.example.com", "https://cards.example.com"),
        ("PASITO_BASE_URL", "ftp://cards.example.com", "https://cards.example.com"),
        ("PASITO_BASE_URL", "https://cards.example.com/loyalty", "without a path"),
        ("PASITO_BASE_URL", "http://[nonsense", "https://cards.example.com"),
        ("PASITO_TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "'nonsense' is no network"),
        ("PASITO_LIMITS_URL", "memcached://x", "redis:// or valkey://"),
        ("PASITO_LIMITS_URL", "redish://x", "redis:// or valkey://"),
        ("PASITO_SMPT_HOST", "x", "Did you mean PASITO_SMTP_HOST?"),
        ("PASITO_BANANAS", "x", "is not a setting"),
    ],
)
def test_a_mistake_is_told_by_the_name_of_its_variable(
    home: Path, variable: str, value: str, words: str
) -> None:
    [problem] = problems({variable: value})
    assert problem.startswith(variable)
    assert words in problem


def test_an_sms_provider_needs_a_body_that_says_where_things_go(home: Path) -> None:
    [problem] = problems({"PASITO_SMS_URL": "https://sms.example"})
    assert problem.startswith("PASITO_SMS_BODY")
    load_settings(
        {"PASITO_SMS_URL": "https://sms.example", "PASITO_SMS_BODY": '{"to": "{to}", "t": "{text}"}'}
    )


def test_all_mistakes_are_told_at_once(home: Path) -> None:
    told = problems({"PORT": "x", "PASITO_WORKER": "y", "PASITO_BANANAS": "z"})
    assert {line.split(":")[0].split(" ")[0] for line in told} == {"PORT", "PASITO_WORKER", "PASITO_BANANAS"}


def test_production_starts_with_what_it_needs_and_makes_no_key_of_its_own(home: Path) -> None:
    settings = load_settings(PRODUCTION)
    assert not settings.development
    assert settings.https
    assert settings.hosts == {"cards.example.com"}
    assert not settings.mail_is_kept()
    assert not settings.sms_is_kept()
    assert not (home / ".data").exists()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PASITO_BASE_URL", "http://cards.example.com", "https://"),
        ("PASITO_SECRET_KEYS", "", "openssl rand"),
        ("PASITO_SECRET_KEYS", "short", "32 characters"),
        ("PASITO_SECRET_KEYS", "k" * 32 + ",short", "32 characters"),
        ("PASITO_SMTP_HOST", "", "needed in production"),
        ("PASITO_MAIL_FROM", "", "needed in production"),
    ],
)
def test_production_names_what_is_missing(home: Path, variable: str, value: str, words: str) -> None:
    [problem] = problems({**PRODUCTION, variable: value})
    assert problem.startswith(variable)
    assert words in problem


def test_a_bare_production_lacks_several_things_and_says_all_of_them(home: Path) -> None:
    told = {line.split(":")[0] for line in problems({"PASITO_ENVIRONMENT": "production"})}
    assert {"PASITO_BASE_URL", "PASITO_SECRET_KEYS", "PASITO_SMTP_HOST", "PASITO_MAIL_FROM"} <= told


# Secrets stay hidden

HUSH = "Hush-Hush-Hush-Hush-Hush-Hush-Hush!"


def test_every_setting_that_sounds_secret_is_kept_secret() -> None:
    sounding = {
        field.name
        for field in msgspec.structs.fields(Settings)
        if field.type is str and any(word in field.name for word in ("password", "token", "bearer", "secret"))
    }
    assert sounding - {"google_token_url"} <= SECRET
    assert "secret_keys" in SECRET


@pytest.mark.parametrize("shown", [repr, str, lambda settings: str(settings.__rich_repr__())])
def test_settings_shown_in_a_traceback_show_no_secret(shown: object) -> None:
    values = {name: (HUSH,) if name == "secret_keys" else HUSH for name in SECRET}
    text = shown(Settings(**values, smtp_host="mail.example.com"))  # type: ignore[operator]
    assert HUSH not in text
    assert text.count("hidden") == len(SECRET)
    assert "mail.example.com" in text


def test_no_message_shows_a_secret(home: Path) -> None:
    environ = {variable_name(name): HUSH for name in SECRET} | {
        "PORT": "x",
        "PASITO_ENVIRONMENT": "production",
    }
    assert HUSH not in "\n".join(problems(environ))
    assert HUSH not in "\n".join(problems({variable_name(name): HUSH for name in SECRET}))
