"""What a check has found, in words for the person who runs the installation."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One line of a check: how bad it is, what is so, and what to do about it.

    `ok` and `note` ask for nothing, so `do` may be empty; `wrong` stops something from working.
    Neither text holds a secret or personal data: findings are printed and kept in tickets.
    """

    level: Literal["ok", "note", "wrong"]
    what: str
    do: str = ""
