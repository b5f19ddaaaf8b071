"""Every table in one place, for migrations and for searches of the whole database."""

from web.foundation import delivery
from web.foundation.schema import metadata
from web.loyalty import (
    address_change,
    balance,
    clock,
    consent,
    customer,
    event,
    ledger,
    link,
    lot,
    personal_data,
    program,
    reward,
    session,
    sign,
    tier,
    touch,
    visit,
    wallet_pass,
)
from web.messages import mailbox_store

TABLES = (
    address_change.address_change,
    clock.clock_run,
    consent.consent_event,
    customer.customer,
    delivery.delivery,
    event.event,
    ledger.ledger_entry,
    balance.balance,
    link.one_time_link,
    lot.lot,
    lot.lot_use,
    mailbox_store.mailbox_message,
    personal_data.suppression,
    program.program,
    program.program_image,
    program.consent_wording,
    program.signing_key,
    reward.reward,
    session.session,
    sign.location,
    sign.sign,
    tier.tier,
    touch.touch,
    visit.visit,
    wallet_pass.wallet_pass,
)
__all__ = ["TABLES", "metadata"]
