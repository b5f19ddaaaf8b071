"""One statement, one answer, straight from PostgreSQL's driver.

Where a page is a single statement that is known beforehand, SQLAlchemy's connection, cursor and result would cost more
than the query. asyncpg keeps each statement prepared on its connection.
"""

from typing import Any

import asyncpg
from sqlalchemy.engine import URL, Dialect


class Asker:
    """A few connections of their own, opened when they are first needed. At most as many as may ask at once."""

    def __init__(self, dialect: Dialect, url: URL, connect_seconds: float) -> None:
        _, options = dialect.create_connect_args(url)
        # These two are SQLAlchemy's own, not the driver's.
        for name in ("prepared_statement_cache_size", "prepared_statement_name_func"):
            options.pop(name, None)
        self._options = {**options, "timeout": connect_seconds}
        self._idle: list[asyncpg.Connection] = []

    async def ask(self, sql: str, values: list[Any]) -> str | None:
        """The first column of the first row.

        What asyncpg raises, OSError and TimeoutError go through; a connection that was left over from before the
        server was started again is not the caller's trouble.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                try:
                    return await self._ask(connection, sql, values)
                except (OSError, asyncpg.ConnectionDoesNotExistError):
                    continue
        return await self._ask(await asyncpg.connect(**self._options), sql, values)

    async def _ask(self, connection: asyncpg.Connection, sql: str, values: list[Any]) -> str | None:
        try:
            answer: str | None = await connection.fetchval(sql, *values)
        except BaseException as error:
            cut = isinstance(error, asyncpg.InterfaceError) and connection.is_closed()
            # In whatever state it is: the next one gets another.
            connection.terminate()
            if cut:
                raise ConnectionError(str(error)) from error
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()
