from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integrations.webhooks.office import Office, open_office
from tests.support.receiver import Receiver, Reply, receiving
from web.foundation.database import Database
from web.foundation.outgoing import Outgoing
from web.foundation.sealing import Sealer
from web.loyalty.program import Program


@pytest.fixture(scope="session")
def one_receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(one_receiver: Receiver) -> Receiver:
    """A merchant's server that says yes to all, and has heard nothing yet."""
    one_receiver.requests.clear()
    one_receiver.answer = lambda _: Reply()
    return one_receiver


@pytest.fixture
async def office(database: Database, program: Program, sealer: Sealer) -> AsyncIterator[Office]:
    outgoing = Outgoing(private=True)
    yield await open_office(database, program, sealer, outgoing)
    await outgoing.close()
