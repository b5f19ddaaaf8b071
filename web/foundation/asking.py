"""One statement, one answer, straight from PostgreSQL's driver.

Where a page is a single statement that is known beforehand, SQLAlchemy's connection, cursor and result would cost more
than the query. asyncpg keeps each statement prepared on its connection.
"""

from typing import Any

import asyncpg
from sqlalchemy.engine import URL, Dialect

# How asyncpg says that the server went away; the last is what it says of a farewell that it has not read yet.
_CUT = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,
)


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

        Raises: ConnectionError and other OSErrors where there is no server, and what asyncpg says of the statement. A
        connection that was left over from before the server was started again is not the caller's trouble.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                try:
                    return await self._ask(connection, sql, values)
                except ConnectionError:
                    continue
        return await self._ask(await asyncpg.connect(**self._options), sql, values)

    async def _ask(self, connection: asyncpg.Connection, sql: str, values: list[Any]) -> str | None:
        try:
            answer: str | None = await connection.fetchval(sql, *values)
        except BaseException as error:
            is_cut = isinstance(error, _CUT) or (isinstance(error, Exception) and connection.is_closed())
            # In whatever state it is: the next one gets another.
            connection.terminate()
            if is_cut:
                raise ConnectionError(str(error)) from error
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()
