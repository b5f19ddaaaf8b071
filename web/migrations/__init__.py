"""The schema's history: one chain of Alembic revisions for SQLite and PostgreSQL alike."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to a revision. Must not be called inside a running event loop."""

    def run(conn: Connection) -> None:
        config = _config()
        config.attributes["connection"] = conn
        command.upgrade(config, revision)

    with_connection(url, run)


def current_revision(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


def head_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def with_connection(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction on a connection of its own; for commands, never for serving."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        # Another process may be at it already; whoever comes second waits for it to have done the whole chain.
        patient = {"timeout": 60}
        engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args=patient)
        # Python's driver would begin no transaction for CREATE TABLE, and half a migration could stay behind.
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
        with engine.begin() as conn:
            return work(conn)

    async def through_asyncpg() -> T:
        engine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"), poolclass=NullPool, hide_parameters=True
        )
        try:
            async with engine.begin() as conn:
                return await conn.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(through_asyncpg())


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
