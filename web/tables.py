"""Every table in one place, for migrations and for searches of the whole database."""

from web.foundation import delivery, idempotency
from web.foundation.schema import metadata
from web.integrations.webhooks import endpoint
from web.loyalty import (
    address_change,
    api_key,
    balance,
    birthday,
    consent,
    customer,
    event,
    held_tier,
    ledger,
    link,
    lot,
    membership,
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
    api_key.api_key,
    birthday.birthday,
    consent.consent_event,
    customer.customer,
    delivery.delivery,
    event.event,
    idempotency.idempotency,
    held_tier.tier_change,
    ledger.ledger_entry,
    balance.balance,
    link.one_time_link,
    lot.lot,
    lot.lot_use,
    membership.membership,
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
    endpoint.webhook_endpoint,
)
__all__ = ["TABLES", "metadata"]
