"""`Pass updated` is an event of its own for the programmes that ask for it, once an update was told."""

import msgspec
import pytest
from sqlalchemy import select

from tests.loyalty.people import new_customer
from web.foundation.database import Database
from web.foundation.delivery import Delivery, TryLater
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.event import PASS_UPDATED, event
from web.loyalty.program import Program, change_program
from web.loyalty.program_settings import Flows
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import pass_for
from web.wallet.lifecycle import Lifecycle


@pytest.mark.parametrize("wanted", [True, False])
async def test_an_update_that_was_told_is_an_event_where_it_is_wanted(
    database: Database, program: Program, sealer: Sealer, wanted: bool
) -> None:
    settings = msgspec.structs.replace(program.settings, flows=Flows(pass_updated=wanted))
    await database.write(change_program, program.slug, settings)
    programs = Programs(database, sealer)
    await programs.refresh()
    customer_id = await database.write(new_customer, program)
    held = await database.write(pass_for, program.id, customer_id, "apple")
    ways = iter([TryLater("Apple is away"), None])

    async def tell(_: Delivery) -> None:
        if error := next(ways):
            raise error

    handler = Lifecycle(database, programs).after(tell)
    delivery = Delivery(
        program_id=program.id,
        id=new_id(),
        kind="apple_card",
        event_id=None,
        payload={"pass_id": held.id},
        tries=1,
        created_at=utc_now(),
    )
    with pytest.raises(TryLater):
        await handler(delivery)
    await handler(delivery)
    told = select(event.c.properties).where(event.c.customer_id == customer_id, event.c.name == PASS_UPDATED)
    found = await database.read(lambda conn: list(conn.scalars(told)))
    assert found == ([{"passId": held.id, "platform": "apple"}] if wanted else [])
