"""Every setting, typed, with its environment name and its default. Nothing else reads the environment.

`PORT` and `DATABASE_URL` are the names that hosts give; all others begin with `PASITO_`. An unknown
`PASITO_` name is refused, because a misspelt setting that is silently ignored costs a merchant a day.
"""

import contextlib
import difflib
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

PREFIX = "PASITO_"
UNPREFIXED = {"port": "PORT", "database_url": "DATABASE_URL"}
# Never shown, neither in a message nor in a traceback. Addresses of services may hold a password.
SECRET = frozenset(
    [
        "secret_keys",
        "database_url",
        "limits_url",
        "metrics_token",
        "smtp_password",
        "sms_url",
        "sms_body",
        "sms_bearer",
        "sms_password",
        "apple_key_password",
    ]
)


BASE_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?")
# To Apple's sandbox every phone's token looks like nobody's, and so every phone would be forgotten.
APNS_URL = re.compile(
    r"https://(?!api\.(sandbox|development)\.)([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?"
)


class SettingsError(Exception):
    """The environment cannot be served; the text names each variable and what to write there."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Field `smtp_host` comes from `PASITO_SMTP_HOST`, and so on.

    Times are seconds, sizes bytes. Lists are written with commas.
    """

    environment: Literal["development", "production"] = "development"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8000
    host: str = "127.0.0.1"
    # The address that customers see; links in mails and on signs are built from it, never from a request.
    base_url: str = ""
    # Further host names to answer to, besides that of base_url.
    allowed_hosts: tuple[str, ...] = ()
    # Networks whose X-Forwarded-For is believed.
    trusted_proxies: tuple[str, ...] = ()
    data_dir: Path = Path(".data")
    database_url: str = ""
    # Seals stored secrets and signs grants. The first one seals, all of them open: that is how it is rotated.
    secret_keys: tuple[str, ...] = ()
    # Where limits are counted: empty for this process, redis:// or valkey:// for all of them.
    limits_url: str = ""
    # Whether deliveries are made by the web process; in production separate workers may do it.
    worker: bool = True
    # A session that was not used for so long has to be opened anew; 0 for no such limit. None lives over a week.
    session_idle_hours: int = 0
    log_format: Literal["json", "text"] = "json"
    # Bearer token for /metrics; empty leaves it open to loopback and trusted proxies' networks only.
    metrics_token: str = ""

    smtp_host: str = ""
    smtp_port: int = 587
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_timeout: float = 20.0
    mail_from: str = ""
    mail_reply_to: str = ""
    # Who runs this installation, and is told of what needs a person where a programme names nobody.
    operator_email: str = ""

    # A plain HTTP provider: {to}, {text} and {id} in the body are filled in.
    sms_url: str = ""
    sms_body: str = ""
    sms_content_type: Literal["application/json", "application/x-www-form-urlencoded"] = "application/json"
    sms_bearer: str = ""
    sms_username: str = ""
    sms_password: str = ""

    apple_pass_type: str = "pass.dev.pasito.card"
    apple_team: str = "DEVTEAM000"
    apple_certificate: Path | None = None
    apple_key: Path | None = None
    apple_key_password: str = ""
    apple_intermediate: Path | None = None
    # Where phones are told of changes. Passes are pushed to by production's service only.
    apns_url: str = "https://api.push.apple.com"

    google_issuer: str = "3388000000000000000"
    google_credentials: Path | None = None
    google_api_url: str = "https://walletobjects.googleapis.com/walletobjects/v1"
    google_token_url: str = "https://oauth2.googleapis.com/token"
    # Where Google publishes the keys that sign what it tells of saved and removed cards.
    google_keys_url: str = "https://pay.google.com/gp/m/issuer/keys"

    # To how many passes a second a changed design is taken: each of their phones then fetches its card.
    rollout_per_second: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500

    # Whether merchants' webhooks may go to http:// and to this network: for trying out on one's own machine.
    webhook_allow_private: bool = False

    # A folder with {apple,google}/{locale}.svg, for operators who hold the vendors' badge licences.
    wallet_badges_dir: Path | None = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = msgspec.structs.asdict(self).items()
        return [(name, "hidden" if value and name in SECRET else value) for name, value in shown]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    @property
    def development(self) -> bool:
        return self.environment == "development"

    @property
    def https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that are answered, lower case, without port."""
        own = urlsplit(self.base_url).hostname or ""
        return frozenset(host.lower() for host in (own, *self.allowed_hosts))

    def mail_is_kept(self) -> bool:
        """Whether messages go to the development mailbox instead of a mail server."""
        return self.development and not self.smtp_host

    def sms_is_kept(self) -> bool:
        return self.development and not self.sms_url


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: names every variable that is unknown, malformed or missing, all at once.
    """
    environ = os.environ if environ is None else environ
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    names = {UNPREFIXED.get(name, PREFIX + name.upper()): name for name in fields}
    problems = [
        _unknown(variable, names)
        for variable in environ
        if variable.startswith(PREFIX) and variable not in names
    ]
    values: dict[str, Any] = {}
    for variable, name in names.items():
        text = environ.get(variable)
        if text is None or text == "":
            continue
        try:
            values[name] = msgspec.convert(_spell(text, fields[name].type), fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{variable}: {error}. It is now {_shown(name, text)}.")
    if not problems:
        settings = _with_defaults(Settings(**values))
        problems = _contradictions(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return _with_development_key(settings)


def _with_development_key(settings: Settings) -> Settings:
    """In development a secret key is made at first start and kept in the data folder."""
    if settings.secret_keys or not settings.development:
        return settings
    path = settings.data_dir / "secret.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Linked into place whole, so that two processes that start at once end up with the same one.
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as new:
            new.write(secrets.token_hex(32))
            new.flush()
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(new.name)
    return msgspec.structs.replace(settings, secret_keys=(path.read_text(),))


def variable_name(field: str) -> str:
    """The environment name of a settings field: `smtp_host` is `PASITO_SMTP_HOST`."""
    return UNPREFIXED.get(field, PREFIX + field.upper())


def _spell(text: str, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is Path or kind == (Path | None):
        return Path(text)
    return text


def _shown(name: str, text: str) -> str:
    return "hidden" if name in SECRET else repr(text)


def _unknown(variable: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(variable, names, 1)
    hint = f" Did you mean {near[0]}?" if near else " See web/settings.py for the names."
    return f"{variable} is not a setting.{hint}"


def _with_defaults(settings: Settings) -> Settings:
    changes: dict[str, Any] = {}
    if not settings.database_url:
        changes["database_url"] = f"sqlite:///{settings.data_dir / 'pasito.db'}"
    if settings.development and not settings.base_url:
        changes["base_url"] = f"http://localhost:{settings.port}"
    if settings.development and not settings.mail_from:
        changes["mail_from"] = "cards@pasito.localhost"
    if settings.development and not settings.allowed_hosts:
        changes["allowed_hosts"] = ("localhost", "127.0.0.1")
    settings = msgspec.structs.replace(settings, **changes)
    return msgspec.structs.replace(settings, base_url=settings.base_url.rstrip("/"))


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if not settings.database_url.startswith(("sqlite://", "postgresql://", "postgresql+asyncpg://")):
        problems.append("DATABASE_URL: begin it with sqlite:/// or postgresql://.")
    if not BASE_URL.fullmatch(settings.base_url):
        problems.append(
            "PASITO_BASE_URL: give the address that customers see, like https://cards.example.com, without a path."
        )
    for network in settings.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            problems.append(f"PASITO_TRUSTED_PROXIES: {network!r} is no network like 10.0.0.0/8.")
    if settings.limits_url and not re.match("(redis|valkey)s?://", settings.limits_url):
        problems.append("PASITO_LIMITS_URL: begin it with redis:// or valkey://, or leave it empty.")
    if not APNS_URL.fullmatch(settings.apns_url):
        problems.append(
            "PASITO_APNS_URL: give an address like https://api.push.apple.com; passes know no sandbox."
        )
    if settings.sms_url and "{to}" not in settings.sms_body:
        problems.append("PASITO_SMS_BODY: say where {to} and {text} go in what the provider is sent.")
    if not settings.development:
        problems += _missing_in_production(settings)
    return problems


def _missing_in_production(settings: Settings) -> list[str]:
    problems = []
    if not settings.https:
        problems.append("PASITO_BASE_URL: production needs https://; phones refuse cards from anything else.")
    if not settings.secret_keys or any(len(key) < 32 for key in settings.secret_keys):
        problems.append(
            "PASITO_SECRET_KEYS: give at least one key of 32 characters or more, e.g. from `openssl rand -hex 32`."
        )
    if settings.webhook_allow_private:
        problems.append("PASITO_WEBHOOK_ALLOW_PRIVATE: leave it out; merchants could reach your own network.")
    for name in ("smtp_host", "mail_from"):
        if not getattr(settings, name):
            problems.append(f"{variable_name(name)}: needed in production.")
    return problems
