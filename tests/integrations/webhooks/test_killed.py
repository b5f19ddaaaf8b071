"""A worker that dies in the middle of a letter: another carries it again, under the same id and in the same words."""

import asyncio
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, update

from tests.conftest import SECRET, Fresh
from tests.integrations.webhooks.office import open_office, the_checker_of_the_readme
from tests.support.receiver import Receiver, Reply
from tests.support.rows import in_database, rows_of
from tests.test_background import process
from web.foundation.database import open_database
from web.foundation.delivery import delivery
from web.foundation.outgoing import Outgoing
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks.endpoint import add_endpoint
from web.loyalty.event import record
from web.loyalty.program import load_program


def test_a_letter_that_a_killed_worker_held_comes_again_the_same(
    fresh_database: Fresh, data_dir: Path, receiver: Receiver
) -> None:
    url, sealer = fresh_database("sqlite"), Sealer((SECRET,))

    def prepare(conn: Connection) -> str:
        program = load_program(conn, "brewbar", sealer)
        assert program is not None
        for number in range(2):
            record(conn, program.id, "Customer tapped", None, {"number": number})
        return add_endpoint(conn, program.id, receiver.url, sealer)[1]

    secret = in_database(url, prepare)
    receiver.answer = lambda _: Reply(hang=20)
    environment = {
        "DATABASE_URL": url,
        "PASITO_DATA_DIR": str(data_dir),
        "PASITO_WEBHOOK_ALLOW_PRIVATE": "true",
    }
    with process("worker", environment) as first:
        receiver.wait_for(1, 30)
        first.kill()
    receiver.answer = lambda _: Reply()
    in_database(url, _end_leases)
    asyncio.run(_work_off(url, sealer))
    heard = receiver.requests
    assert [request.envelope["properties"]["number"] for request in heard] == [0, 0, 1]
    assert heard[0].body == heard[1].body
    assert heard[0].headers["x-pasito-delivery"] == heard[1].headers["x-pasito-delivery"]
    check = the_checker_of_the_readme()
    assert all(check(request.body, request.headers["x-pasito-signature"], secret) for request in heard)
    assert [row["state"] for row in rows_of(url, "delivery", kind="webhook")] == ["done", "done"]


def _end_leases(conn: Connection) -> None:
    conn.execute(update(delivery).values(due_at=utc_now() - timedelta(seconds=1)))


async def _work_off(url: str, sealer: Sealer) -> None:
    database, outgoing = open_database(url), Outgoing(private=True)
    program = await database.read(load_program, "brewbar", sealer)
    assert program is not None
    await (await open_office(database, program, sealer, outgoing)).work_off()
    await outgoing.close()
    await database.close()
