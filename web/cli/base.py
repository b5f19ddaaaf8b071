"""What the commands share: the settings, a transaction, and failing with a sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from sqlalchemy.engine import Connection

from web.complaints import complaint
from web.foundation.sealing import Sealer
from web.loyalty.program import Program, load_program
from web.migrations import with_connection
from web.settings import Settings

T = TypeVar("T")


class Sentences(click.Group):
    """A group whose commands fail with a sentence and exit code 1, without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            sentence = complaint(error)
            if sentence is None:
                raise
            raise click.ClickException(sentence) from None


@dataclass
class Context:
    """The settings, read once, and what follows from them."""

    settings: Settings

    def __post_init__(self) -> None:
        self.sealer = Sealer(self.settings.secret_keys)

    def in_transaction(self, work: Callable[[Connection], T]) -> T:
        return with_connection(self.settings.database_url, work)

    def program(self, conn: Connection, slug: str) -> Program:
        """A programme by its slug. Raises: ClickException, naming those that there are."""
        found = load_program(conn, slug, self.sealer)
        if found is None:
            raise click.ClickException(f"There is no programme {slug!r}; `program list` names them.")
        return found
