"""What a void card still says: nothing that its customer's new one does."""

import msgspec

from tests.loyalty.people import new_customer
from tests.support.ledger import change_points
from tests.wallet.designs import design
from web.foundation.database import Database
from web.loyalty.held_card import find_held_card
from web.loyalty.program import Program
from web.loyalty.replacing import replace_card
from web.loyalty.wallet_pass import pass_for
from web.wallet.apple.content import Content
from web.wallet.issue import card_of


async def test_whoever_found_a_lost_phone_learns_neither_the_new_number_nor_what_it_is_worth(
    database: Database, program: Program
) -> None:
    customer_id = await database.write(lambda conn: new_customer(conn, program, name="Zoë Núñez"))
    old = await database.write(pass_for, program.id, customer_id, "apple")
    number = await database.write(replace_card, program.id, customer_id)
    await database.write(change_points, program.slug, customer_id, 4711)
    assert number is not None
    shown = await find_held_card(database, old.id)
    assert shown is not None
    card = card_of(program, shown)
    assert card.voided
    told = Content(design(), "pass.test", "TEAM", "https://cards.example/passkit").of(card).decode()
    assert msgspec.json.decode(told)["voided"] is True
    for secret in (number, number[-4:], "Zoë Núñez", "4711", "4,711"):
        assert secret not in told
