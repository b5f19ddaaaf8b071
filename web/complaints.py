"""What went wrong, in one sentence that says what to do: for commands and for the doctor.

An error that is not foreseen here is a defect of the program, and keeps its traceback.
"""

import socket
from collections.abc import Callable
from typing import Any

import msgspec
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from web.foundation.database import DatabaseBusy, DatabaseUnreachable
from web.foundation.sealing import CannotOpen
from web.loyalty.location import LocationTaken, UnknownLocation
from web.loyalty.program import SlugTaken
from web.loyalty.program_settings import InvalidProgram
from web.settings import SettingsError
from web.wallet.apple.certificates import CertificateError
from web.wallet.google.account import AccountError

MIGRATE = "Run: python -m web migrate"
_DOCTOR = "`python -m web doctor` names all that is wrong."
_REFUSED = "The database refuses that: it is there already, or a value is out of its bounds."
# PostgreSQL's error codes, whole or by their first letters (its manual, appendix A).
_STATES = {
    "28": "The database refuses this user or password. Correct them in DATABASE_URL.",
    "3D": "The database server has no database of that name. Create it, or correct DATABASE_URL.",
    "42P01": f"The database has no tables yet. {MIGRATE}",
    "42703": f"The database's schema is another version's. {MIGRATE}",
    "42501": "The database user may not do that. Make it the owner of its database.",
    "23": _REFUSED,
    "53": "The database has no room for more connections. Raise max_connections or run fewer processes.",
    "57": "The database is starting or stopping. Try again in a moment.",
    "08": "The database cannot be reached. Check DATABASE_URL and that the server runs.",
}
_SQLITE = {
    "no such table": f"The database has no tables yet. {MIGRATE}",
    "no such column": f"The database's schema is another version's. {MIGRATE}",
    "unable to open": "The database file cannot be opened. Check DATABASE_URL, and who may write its folder.",
    "readonly": "The database file may not be written. Check who owns it and its folder.",
    "constraint failed": _REFUSED,
    "locked": "Another process has been writing to the database for seconds. Try again.",
    "not a database": "The file that DATABASE_URL names is no SQLite database.",
    "full": "The disk is full.",
}
_SENTENCES: dict[type[Exception], Callable[[Any], str]] = {
    SettingsError: str,
    InvalidProgram: str,
    msgspec.ValidationError: lambda error: f"{error}.",
    SlugTaken: lambda error: f"There is a programme {str(error)!r} already; `program update` changes it.",
    LocationTaken: lambda error: f"The programme has a location {str(error)!r} already; choose another slug.",
    UnknownLocation: lambda error: (
        f"The programme has no location {str(error)!r}; `program location` adds one."
    ),
    DatabaseBusy: lambda error: (
        f"{error}. End that one first, or give this one a folder of its own by PASITO_DATA_DIR."
    ),
    DatabaseUnreachable: lambda error: (
        f"The database cannot be reached ({_brief(error)}). Check DATABASE_URL and that the server runs."
    ),
    CannotOpen: lambda error: (
        f"No key of PASITO_SECRET_KEYS opens {str(error)!r}. Put back the key that it was sealed with."
    ),
    CertificateError: lambda error: f"Apple Wallet: {error}. {_DOCTOR}",
    AccountError: lambda error: f"Google Wallet: {error}. {_DOCTOR}",
    CommandError: lambda error: (
        f"The database's schema is of a newer version than this program ({_brief(error)}). Install that version."
    ),
    socket.gaierror: lambda error: "The database server's name cannot be resolved. Correct DATABASE_URL.",
}


def complaint(error: BaseException) -> str | None:
    """The sentence for an error; None for one that nobody foresaw."""
    for kind, sentence in _SENTENCES.items():
        if isinstance(error, kind):
            return sentence(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, OSError | TimeoutError):
        return _SENTENCES[DatabaseUnreachable](error)
    return _by_state(error) or _by_words(error)


def _by_state(error: BaseException) -> str | None:
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    return next((text for start, text in _STATES.items() if state.startswith(start)), None)


def _by_words(error: BaseException) -> str | None:
    if not isinstance(error, DBAPIError):
        return None
    said = str(error.orig)
    return next((text for words, text in _SQLITE.items() if words in said), None)


def _brief(error: BaseException) -> str:
    """The error's first line; asyncpg joins the texts of several addresses, which say the same."""
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
