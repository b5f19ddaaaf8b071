from collections.abc import Iterator

import asyncpg
import pytest

from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        server.template("shop", lambda url: server.sql("CREATE TABLE card (points int)", url.rsplit("/")[-1]))
        yield server


async def test_its_address_opens_with_asyncpg(server: PostgresServer) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        assert await connection.fetchval("SELECT 6 * 7") == 42
    finally:
        await connection.close()


def test_a_fresh_database_has_what_the_template_has_and_nothing_of_another(server: PostgresServer) -> None:
    with server.fresh("shop") as first, server.fresh("shop") as second:
        server.sql("INSERT INTO card VALUES (7)", first.rsplit("/")[-1])
        assert server.sql("SELECT points FROM card", first.rsplit("/")[-1]) == "7"
        assert server.sql("SELECT count(*) FROM card", second.rsplit("/")[-1]) == "0"


async def test_a_fresh_database_is_dropped_with_connections_still_open(server: PostgresServer) -> None:
    with server.fresh("shop") as url:
        forgotten = await asyncpg.connect(url)
    forgotten.terminate()
    assert server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'shop\\_%'") == "0"


def test_text_is_unicode_and_folds_case_beyond_ascii(server: PostgresServer) -> None:
    assert server.sql("SHOW server_encoding") == "UTF8"
    assert server.sql("SELECT lower('ÉCLAIR')") == "éclair"


def test_a_wrong_statement_says_what_is_wrong(server: PostgresServer) -> None:
    with pytest.raises(RuntimeError, match="no_such_table"):
        server.sql("SELECT * FROM no_such_table")


def test_only_a_durable_server_waits_for_the_disk(server: PostgresServer) -> None:
    assert server.sql("SHOW fsync") == "off"
    with postgres_server(durable=True) as careful:
        assert careful.sql("SHOW fsync") == "on"
        assert careful.sql("SHOW synchronous_commit") == "on"


def test_nothing_is_left_of_it() -> None:
    with postgres_server() as server:
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(RuntimeError, match="refused"):
        server.sql("SELECT 1")
