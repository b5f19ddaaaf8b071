"""A worker that carries letters, and what tests look at around it."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from web.foundation.assets import Assets
from web.foundation.database import Database
from web.foundation.delivery import WAITING, delivery
from web.foundation.languages import Catalogues
from web.foundation.metrics import Metrics
from web.foundation.outgoing import Outgoing
from web.foundation.rendering import Renderer
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks.courier import Courier
from web.integrations.webhooks.endpoint import Endpoint, add_endpoint, find_endpoint
from web.integrations.webhooks.envelope import WEBHOOK, follow_up
from web.loyalty.event import record
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.messages.deliveries import Messenger
from web.messages.envelope import Message
from web.messages.mailbox import MailboxSender
from web.messages.mailbox_store import keep_message, kept_messages
from web.worker import SLOW_DELIVERIES, Worker

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
OPERATOR = "operator@example.net"


def the_checker_of_the_readme() -> Callable[..., bool]:
    """`is_from_pasito`, as a merchant would copy it."""
    [block] = re.findall(r"```python\n(import hashlib.*?)```", README, re.DOTALL)
    room: dict[str, Any] = {}
    exec(block, room)
    checker: Callable[..., bool] = room["is_from_pasito"]
    return checker


class Office:
    """A worker of a programme's own, that may call this machine."""

    def __init__(self, database: Database, program: Program, sealer: Sealer, worker: Worker) -> None:
        self.database = database
        self.program = program
        self.sealer = sealer
        self.worker = worker

    async def add(self, url: str, events: list[str] | None = None) -> tuple[str, str]:
        return await self.database.write(add_endpoint, self.program.id, url, self.sealer, events)

    async def happen(self, name: str, customer_id: str | None, **properties: Any) -> str:
        return await self.database.write(record, self.program.id, name, customer_id, properties)

    async def work_off(self) -> None:
        """Until nothing is due any more and nothing under way."""
        while await self.worker.work_once() or self.worker._under_way:
            await asyncio.gather(*self.worker._under_way)

    async def let_time_pass(self) -> None:
        """What waits for its next try is due now."""
        await self.database.write(_make_due)

    async def try_until_over(self, rounds: int = 40) -> None:
        for _ in range(rounds):
            await self.work_off()
            if not [row for row in await self.letters() if row["state"] == WAITING]:
                return
            await self.let_time_pass()
        raise AssertionError("it never ended")

    async def mails(self) -> list[Message]:
        """What the mailbox holds, the latest first."""
        return [message for _, message in await self.database.read(kept_messages)]

    async def letters(self) -> list[dict[str, Any]]:
        query = select(delivery).where(delivery.c.kind == WEBHOOK).order_by(delivery.c.id)
        return await self.database.read(lambda conn: [dict(row._mapping) for row in conn.execute(query)])

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        return await self.database.read(find_endpoint, self.program.id, endpoint_id)


async def open_office(database: Database, program: Program, sealer: Sealer, outgoing: Outgoing) -> Office:
    programs = Programs(database, sealer)
    await programs.refresh()
    worker = Worker(
        database=database,
        programs=programs,
        metrics=Metrics(),
        handlers={
            **Courier(database, sealer, outgoing).handlers(),
            **messenger(database, programs, sealer).handlers(),
        },
        follow_ups=[follow_up],
        work_to_do=asyncio.Event(),
        slow={WEBHOOK: SLOW_DELIVERIES},
    )
    return Office(database, program, sealer, worker)


def messenger(database: Database, programs: Programs, sealer: Sealer) -> Messenger:
    """Writes to the mailbox, in the name of an installation that says who runs it."""
    mailbox = MailboxSender(lambda message: database.write(keep_message, message))
    catalogues = Catalogues.load(ROOT / "locales")
    return Messenger(
        database=database,
        programs=programs,
        renderer=Renderer(ROOT / "templates", catalogues, Assets({}, ""), development=True),
        sealer=sealer,
        mail=mailbox,
        sms=mailbox,
        base_url="https://cards.example.com",
        mail_from="cards@example.com",
        reply_to="",
        operator=OPERATOR,
    )


def _make_due(conn: Connection) -> None:
    conn.execute(
        update(delivery).where(delivery.c.state == WAITING).values(due_at=utc_now() - timedelta(seconds=1))
    )
