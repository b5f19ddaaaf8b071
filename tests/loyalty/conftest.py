from collections.abc import AsyncIterator

import pytest

from tests.support.promises import broken_promises
from web.foundation.database import Database


@pytest.fixture
async def database(database: Database) -> AsyncIterator[Database]:
    """At its end, everything that a test has recorded is what merchants are promised."""
    yield database
    assert await database.read(broken_promises) == set()
