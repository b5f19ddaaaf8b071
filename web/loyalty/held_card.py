"""A pass with all that the ledger and the programme say of it, in one statement: what every wallet is told.

Whoever builds a card for a phone, a vendor or a browser asks here, so that all of them agree. What it says and the
pass's version are of the same moment: a card is never older than the version it is sent as.
"""

import msgspec
from sqlalchemy import bindparam, case, null

from web.foundation.database import Database
from web.foundation.document import Document, object_of
from web.foundation.schema import Id, is_id
from web.loyalty.card_message import card_message
from web.loyalty.customer import customer
from web.loyalty.pass_item import ITEM, Item, pass_item
from web.loyalty.preferences import Notifications
from web.loyalty.program import program
from web.loyalty.standing import STANDING, Standing, with_standing
from web.loyalty.wallet_pass import Pass, wallet_pass


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What the card says: lines of text, and the end of the short address that it links to."""

    text: str
    code: str | None


class HeldCard(msgspec.Struct, frozen=True, kw_only=True):
    """A pass and what it shows. `standing` is None once its customer was erased: the pass is void and names nobody.

    `program_version` is the programme's as of the same moment, for a process that holds an older one in memory.
    """

    program_id: str
    program_version: int
    held: Pass
    standing: Standing | None
    message: Message | None
    notifications: Notifications | None
    item: Item | None = None


HELD_CARD = Document(
    HeldCard,
    object_of(
        program_id=wallet_pass.c.program_id,
        program_version=program.c.version,
        held=object_of(wallet_pass.c[name] for name in Pass.__struct_fields__),
        standing=case((customer.c.id.is_(None), null()), else_=object_of(STANDING)),
        message=case(
            (card_message.c.message_id.is_(None), null()),
            else_=object_of(text=card_message.c.text, code=card_message.c.code),
        ),
        notifications=customer.c.notifications,
        item=case((pass_item.c.id.is_(None), null()), else_=object_of(ITEM)),
    ),
    with_standing(
        wallet_pass.join(program, program.c.id == wallet_pass.c.program_id)
        .outerjoin(
            pass_item,
            (pass_item.c.program_id == wallet_pass.c.program_id) & (pass_item.c.id == wallet_pass.c.item_id),
        )
        .outerjoin(
            customer,
            (customer.c.program_id == wallet_pass.c.program_id)
            & (customer.c.id == wallet_pass.c.customer_id),
        )
    ).outerjoin(
        card_message,
        (card_message.c.program_id == customer.c.program_id)
        & (card_message.c.customer_id == customer.c.id)
        & (wallet_pass.c.kind == "loyalty"),
    ),
    wallet_pass.c.id == bindparam("pass_id", type_=Id),
)


async def find_held_card(database: Database, pass_id: str) -> HeldCard | None:
    """The card of a serial number, whatever its state; None where there is none, or it is no serial of ours."""
    if not is_id(pass_id):
        return None
    return await database.ask(HELD_CARD, pass_id=pass_id)
