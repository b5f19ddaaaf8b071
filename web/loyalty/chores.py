"""Everything that the clock does, one line for each."""

from datetime import timedelta
from functools import partial

from web.foundation.sealing import Sealer
from web.loyalty.assigning import expire
from web.loyalty.birthday import birthdays_due
from web.loyalty.checkpoint import checkpoints_due, make_checkpoint
from web.loyalty.clock import Chore, every_program
from web.loyalty.coupon_code import due_coupons
from web.loyalty.due import expire_due, release_due, warn_due
from web.loyalty.held_tier import close_due, due_tiers
from web.loyalty.installation import forget_phones_of_nobody
from web.loyalty.lot import whose_lots_are_due
from web.loyalty.pass_item import due_items, void_item
from web.loyalty.redeeming import lapse
from web.loyalty.redemption import due_redemptions


def chores(sealer: Sealer) -> tuple[Chore, ...]:
    """In the order in which they are done: what was held back is released before it can run out."""
    return (
        Chore(name="release points", find=partial(whose_lots_are_due, what="release"), do=release_due),
        Chore(name="expire points", find=partial(whose_lots_are_due, what="expiry"), do=expire_due),
        Chore(name="warn of expiry", find=partial(whose_lots_are_due, what="warning"), do=warn_due),
        Chore(name="give back what was not redeemed", find=due_redemptions, do=lapse),
        Chore(name="expire coupons", find=due_coupons, do=expire),
        Chore(
            name="expire passes",
            find=due_items,
            do=lambda conn, program, item_id, now: void_item(conn, program.id, item_id),
        ),
        Chore(name="close tier cycles", find=due_tiers, do=close_due),
        Chore(
            name="birthdays",
            every=timedelta(minutes=5),
            find=every_program,
            do=lambda conn, program, _, now: birthdays_due(conn, program, now),
        ),
        Chore(
            name="forget phones of the erased",
            every=timedelta(hours=6),
            find=every_program,
            do=lambda conn, program, _, now: forget_phones_of_nobody(conn, program.id, now),
        ),
        Chore(
            name="sign checkpoints",
            every=timedelta(minutes=10),
            find=checkpoints_due,
            do=lambda conn, program, _, now: make_checkpoint(conn, program, sealer, now),
        ),
    )
