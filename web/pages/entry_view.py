"""A change of the points as people read it: what for, how much, and, where somebody asks, why and until when."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import and_, select

from web.foundation.languages import N_
from web.foundation.schema import is_id, utc_now
from web.loyalty import purchase, referral_reward
from web.loyalty.earning_rules import Trace
from web.loyalty.ledger import EFFECT, ledger_entry
from web.loyalty.lot import lot
from web.pages.member import Member
from web.pages.reasons import because

# What an entry is, for whoever asks why it is there.
WHY = {
    "earn": N_("You earned these."),
    "hold": N_("You earned these. They wait until whatever you bought can no longer be sent back."),
    "release": N_("You earned these earlier, and their waiting time is over."),
    "spend": N_("You spent these."),
    "reserve": N_("Set aside for something you chose."),
    "give_back": N_("You spent these, and they came back to you."),
    "adjust": N_("Corrected by a person at %(program)s."),
    "opening": N_("What you had when this card began."),
    "sync": N_("Brought up to date with the till's own count."),
    "expire": N_("Their last day passed before they were spent."),
    "reverse": N_("You earned these for something that was sent back or cancelled."),
    "merge": N_("Moved here from your other card."),
}
OUR_REASONS = frozenset(
    (
        *(purchase.BOUGHT, purchase.REFUNDED, purchase.CANCELLED),
        *(referral_reward.BROUGHT, referral_reward.CAME, referral_reward.RETURNED),
    )
)
# By how many days ago they are.
NEAR_DAYS = {0: N_("Today"), 1: N_("Yesterday")}
# Sources that count a purchase, whose own number a customer may find on a receipt.
RECEIPTS = ("pos", "shopify", "order", "api")

SHORT = (
    ledger_entry.c.number.label("id"),
    ledger_entry.c.effective_at.label("at"),
    ledger_entry.c.reason,
    ledger_entry.c.source,
    EFFECT.label("amount"),
    ledger_entry.c.available_after.label("balance_after"),
)


class ShortEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `SHORT` columns."""

    id: int
    at: datetime
    reason: str
    source: str
    amount: int
    balance_after: int


FULL = (
    *SHORT,
    ledger_entry.c.id.label("entry_id"),
    ledger_entry.c.kind,
    ledger_entry.c.source_ref,
    lot.c.amount.label("lot_amount"),
    lot.c.remaining,
    lot.c.is_pending,
    lot.c.available_from,
    lot.c.expires_at,
)
# Every entry, and the lot of one that earned.
WITH_LOT = select(*FULL).join_from(
    ledger_entry,
    lot,
    and_(lot.c.program_id == ledger_entry.c.program_id, lot.c.entry_id == ledger_entry.c.id),
    isouter=True,
)


def entry_view(member: Member, entry: ShortEntry) -> dict[str, Any]:
    """An entry in one line."""
    day = entry.at.astimezone(member.zone).date()
    return {
        "id": entry.id,
        "at": entry.at,
        "day": day,
        "day_name": _day_name(member, day),
        "reason": _reason(member, entry),
        "amount": signed(member, entry.amount),
        "is_gain": entry.amount > 0,
        "balance": member.visitor.amount(entry.balance_after),
        "why": None,
        "arrives": None,
    }


def explained_view(member: Member, entry: Any, traces: Iterable[Trace] = ()) -> dict[str, Any]:
    """A row of `FULL` columns, with what unfolds beneath it; `traces` are those of the flows that led to it."""
    view, now = entry_view(member, entry), utc_now()
    text = member.site.renderer.text
    left = entry.remaining if entry.lot_amount is not None and not entry.is_pending else None
    if entry.is_pending:
        view["amount"] = signed(member, entry.remaining)
    return view | {
        "why": text(member.language, WHY[entry.kind], program=member.program.settings.name),
        "because": because(member, traces),
        "code": entry.source_ref if entry.source == "reward" and is_id(entry.source_ref or "") else None,
        "receipt": entry.source_ref if entry.source in RECEIPTS else None,
        "arrives": entry.available_from if entry.is_pending else None,
        "left": member.visitor.amount(left) if left else None,
        "is_spent": left == 0,
        # The moment is the first at which they are gone; people count the days on which they have them.
        "last_day": entry.expires_at - timedelta(seconds=1) if left and entry.expires_at else None,
        "is_over": bool(entry.expires_at and entry.expires_at <= now),
    }


def signed(member: Member, amount: int) -> str:
    """An amount with its sign: "+10", "−100"."""
    return ("+" if amount > 0 else "−") + member.visitor.amount(abs(amount))


def _reason(member: Member, entry: Any) -> str:
    # What is said in our words is said in the reader's language.
    reason: str = entry.reason
    is_ours = entry.source == "clock" or reason in OUR_REASONS
    return member.site.renderer.text(member.language, reason) if is_ours else reason


def _day_name(member: Member, day: date) -> str | None:
    """Today's and yesterday's own names; other days go by their date."""
    name = NEAR_DAYS.get((member.today - day).days)
    return member.site.renderer.text(member.language, name) if name else None
