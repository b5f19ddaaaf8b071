"""What settings and this machine's files say by themselves."""

import tempfile
from collections.abc import Iterator

from web.app import ROOT
from web.foundation.assets import HTMX_FILE
from web.foundation.finding import Finding
from web.settings import Settings
from web.wallet.checks import is_public


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """Settings in words, the address, the secrets, the data folder, the front-end's one package."""
    yield _what_it_is(settings)
    yield from _address(settings)
    yield from _secrets(settings)
    yield _data_folder(settings)
    yield _htmx()
    yield from _badges(settings)


def _what_it_is(settings: Settings) -> Finding:
    kind = "development" if settings.development else "production"
    makes = "makes deliveries itself" if settings.worker else "leaves deliveries to workers"
    return Finding(
        "ok",
        f"Settings: {kind} at {settings.base_url}, listening on {settings.host}:{settings.port}; "
        f"the web process {makes}.",
    )


def _address(settings: Settings) -> Iterator[Finding]:
    if settings.development:
        if is_public(settings.base_url):
            yield Finding(
                "wrong",
                f"{settings.base_url} is public, but PASITO_ENVIRONMENT is development: "
                "anybody can read the mailbox at /dev/mailbox.",
                "Set PASITO_ENVIRONMENT=production.",
            )
        return
    # The program itself speaks no TLS, so in production a proxy always stands before it.
    if not settings.trusted_proxies:
        yield Finding(
            "wrong",
            "No proxy is trusted, so all customers count as the one network of the TLS proxy, "
            "and the limits for one network turn them away.",
            "Set PASITO_TRUSTED_PROXIES to the proxy's address or network, like 127.0.0.1/32.",
        )
    if not settings.metrics_token:
        yield Finding(
            "note",
            "/metrics answers this machine alone.",
            "Set PASITO_METRICS_TOKEN to let a Prometheus elsewhere read it with that bearer token.",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    if settings.development:
        yield Finding("ok", f"The secret key for development is kept in {settings.data_dir / 'secret.key'}.")
        return
    count = len(settings.secret_keys)
    more = " The first seals; the others only open." if count > 1 else ""
    yield Finding("ok", f"PASITO_SECRET_KEYS holds {count} key{'s' * (count > 1)}.{more}")


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            "wrong",
            f"The data folder {folder} cannot be written ({error.strerror}).",
            "Make it belong to the user that runs Pasito, or name another by PASITO_DATA_DIR.",
        )
    return Finding("ok", f"The data folder {folder} can be written.")


def _htmx() -> Finding:
    if (ROOT / "node_modules" / HTMX_FILE).is_file():
        return Finding("ok", "htmx is installed.")
    return Finding(
        "note",
        "htmx is not installed: pages load as a whole at each step, as they do without JavaScript.",
        "Run: npm ci --omit=dev --ignore-scripts",
    )


def _badges(settings: Settings) -> Iterator[Finding]:
    folder = settings.wallet_badges_dir
    if folder is None:
        return
    for vendor in ("apple", "google"):
        badge = folder / vendor / "en.svg"
        if badge.is_file():
            yield Finding("ok", f"The badge {badge} is there.")
        else:
            yield Finding(
                "wrong",
                f"PASITO_WALLET_BADGES_DIR is set, but there is no {badge}.",
                "Put the vendor's English badge there; it stands in for languages without their own.",
            )
