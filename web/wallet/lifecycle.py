"""Each update of a pass that reached its wallet, as an event, for the programmes that want to hear of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import Delivery
from web.loyalty.event import PASS_UPDATED, record
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import find_pass_by_id

Handler = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True)
class Lifecycle:
    """`after(handler)` does what the handler does, and records it where that went well."""

    database: Database
    programs: Programs

    def after(self, handler: Handler) -> Handler:
        async def tell(delivery: Delivery) -> None:
            await handler(delivery)
            program = self.programs.by_id(delivery.program_id)
            if program is not None and program.settings.flows.pass_updated:
                await self.database.write(_record, delivery.program_id, delivery.payload["pass_id"])

        return tell


def _record(conn: Connection, program_id: str, pass_id: str) -> None:
    held = find_pass_by_id(conn, program_id, pass_id)
    if held is not None and held.voided_at is None:
        record(
            conn, program_id, PASS_UPDATED, held.customer_id, {"passId": held.id, "platform": held.platform}
        )
