"""Every table in one place, for migrations and for whole-database searches."""

from web.foundation import delivery
from web.foundation.schema import metadata
from web.loyalty import (
    consent,
    customer,
    event,
    ledger,
    link,
    program,
    reward,
    sign,
    tier,
    touch,
    visit,
    wallet_pass,
)

__all__ = [
    "consent", "customer", "delivery", "event", "ledger", "link", "metadata", "program", "reward", "sign",
    "tier", "touch", "visit", "wallet_pass",
]  # fmt: skip
