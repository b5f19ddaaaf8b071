"""What is told of each event: its names elsewhere, and the shape of its properties.

Amounts are integers in minor units, `scale` says of which (0 whole points, 2 hundredths). Moments are RFC 3339 in
UTC. A field that may be missing is left out where there is nothing to say; one that may be null is always there.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from web.loyalty import event

Platform = Literal["apple", "google"]


class Properties(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What all shapes share: camelCase names, and nothing beside the fields that are named here."""


class CardInstalled(Properties):
    """`first` is true for the first card of this person ever; `installs_active` counts with this one."""

    pass_id: str
    platform: Platform
    first: bool
    installs_active: int
    link_id: str | UnsetType = UNSET


class CardUninstalled(Properties):
    """Apple does not tell a removed card from updates that were turned off, so `reason` may be missing."""

    pass_id: str
    platform: Platform
    days_installed: int
    reason: Literal["removed", "updates_off"] | UnsetType = UNSET


class CardOpened(Properties):
    """A session page was opened after half an hour without one. `session_id` is a hash that opens nothing."""

    surface: Literal["web_app"]
    path: str
    session_id: str


class CardClicked(Properties):
    link_key: str
    url: str
    pass_id: str


class CampaignAssigned(Properties):
    campaign_id: str
    campaign_name: str
    type: str
    coupon_code: str | UnsetType = UNSET


class BalanceChanged(Properties):
    """`amount` is positive; `unit` is what the programme calls its points; `txn_id` is the ledger entry."""

    direction: Literal["increase", "decrease"]
    amount: int
    balance: int
    balance_before: int
    unit: str
    scale: Literal[0, 2]
    reason: str
    source: str
    source_ref: str | None
    txn_id: str
    expires_at: datetime | UnsetType = UNSET


class Rung(Properties):
    """A tier by name and place: level 0 is the lowest."""

    name: str
    level: int


class TierUpgraded(Properties):
    """`previous` is null for somebody's first tier, `expires_at` for one that is kept for life."""

    previous: Rung | None
    current: Rung | None
    tier_points: int
    entered_at: datetime
    expires_at: datetime | None


class TierDowngraded(TierUpgraded):
    cause: Literal["cycle", "refund", "manual"]


class RewardRedeemedOnline(Properties):
    """`value` is minor units of money or whole percent, as `discount_type` says; null where it has none."""

    redemption_id: str
    reward_id: str
    reward_title: str
    cost: int
    balance: int
    code: str | None
    discount_type: str
    value: int | None
    order_id: str | UnsetType = UNSET


class RewardRedeemedInStore(RewardRedeemedOnline, kw_only=True):
    location_id: str | None
    location_name: str | None
    staff_id: str | None
    device_id: str | None


class CustomerScanned(Properties):
    location_id: str | None
    method: Literal["qr", "nfc", "manual"]
    device_id: str | None


class ReferralCompleted(Properties):
    """Told of each side by an event of its own; `points` is what this side got."""

    role: Literal["advocate", "friend"]
    referral_id: str
    other_customer_id: str
    points: int
    qualifying_action: str


class AccountVerified(Properties):
    channel: Literal["email", "phone"]
    method: Literal["link"]


class CheckIn(Properties):
    location_id: str
    location_name: str
    points: int
    recurrence: str
    first_visit: bool


class CustomerCreated(Properties):
    """`consents` are the purposes that were agreed to; `referral_code` is the one that led here."""

    origin: str
    consents: list[str]
    referral_code: str | UnsetType = UNSET


class CustomerBirthday(Properties):
    """`birthdate` is month and day alone: the year is nobody else's business."""

    birthdate: str | UnsetType = UNSET
    points: int | UnsetType = UNSET
    coupon_code: str | UnsetType = UNSET


class CustomerTapped(Properties):
    device_id: str
    location_id: str | None
    reader: str


class WalletPassRequested(Properties):
    """`download_url` is there only where our own message is turned off; it opens the card once, until `expires_at`.

    `browser` and `device` are families by name, of whoever asked.
    """

    channel: Literal["email", "phone"]
    delivery: Literal["email", "sms", "merchant"]
    cause: Literal["asked", "registered_again", "dead_link"]
    browser: str
    device: str
    download_url: str | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET


class CouponAssigned(Properties):
    coupon_id: str
    coupon_name: str
    code: str
    expires_at: datetime | None


class CouponUsed(Properties):
    coupon_id: str
    coupon_name: str
    code: str
    order_id: str | UnsetType = UNSET
    location_id: str | UnsetType = UNSET


class CouponRunningLow(Properties):
    """Told once, when so few codes are left as the merchant wanted to know of; of no customer."""

    coupon_id: str
    coupon_name: str
    codes_left: int


class PointsExpiring(Properties):
    """`amount` goes at `expires_at` unless it is spent before; `days_left` is 0 on the last day."""

    amount: int
    balance: int
    scale: Literal[0, 2]
    expires_at: datetime
    days_left: int


class PointsExpired(Properties):
    amount: int
    balance: int
    scale: Literal[0, 2]
    txn_id: str


class ConsentChanged(Properties):
    purpose: str
    channel: str
    decision: Literal["granted", "refused", "withdrawn"]
    source: str


class ReferralStarted(Properties):
    role: Literal["advocate", "friend"]
    referral_id: str
    other_customer_id: str


class ReferralBlocked(ReferralStarted):
    signals: list[str]


class PassUpdated(Properties):
    """Told where the programme wants it (`flows.pass_updated`), once for each update that reached Apple or Google."""

    pass_id: str
    platform: Platform


class PassIssued(Properties):
    """A coupon, gift card or membership goes into a wallet; `item_id` is what the API calls the pass."""

    pass_id: str
    platform: Platform
    kind: Literal["coupon", "gift_card", "membership"]
    item_id: str


class PassVoided(Properties):
    """A pass is worthless: used up, over, taken back, or its phone is gone."""

    pass_id: str
    platform: Platform
    kind: Literal["loyalty", "coupon", "gift_card", "membership"]


class CardReplaced(Properties):
    """The holder lost a phone: so many passes are void, and the number on them is worthless."""

    passes_voided: int


class RewardAvailable(Properties):
    reward_id: str
    reward_title: str
    cost: int
    balance: int


class CustomerErased(Properties):
    """The last that is told of a customer. Who keeps their data elsewhere has to erase it there, too."""

    certificate: str


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One event as merchants know it. `alias` is the name under which JeriCommerce sent it earlier."""

    name: str
    shape: type[Properties]
    alias: str | None = None
    is_extra: bool = False

    @property
    def handle(self) -> str:
        """As Shopify Flow spells it: "balance-changed"."""
        return self.key.replace("_", "-")

    @property
    def key(self) -> str:
        """As the envelope's `event` spells it: "balance_changed"."""
        return key_of(self.name)


def key_of(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


_EIGHTEEN = (
    Kind(name=event.CARD_INSTALLED, shape=CardInstalled, alias="Wallet pass installed"),
    Kind(name=event.CARD_UNINSTALLED, shape=CardUninstalled, alias="Wallet pass uninstalled"),
    Kind(name=event.CARD_OPENED, shape=CardOpened, alias="Wallet visit"),
    Kind(name=event.CARD_CLICKED, shape=CardClicked, alias="Wallet click"),
    Kind(name=event.CAMPAIGN_ASSIGNED, shape=CampaignAssigned),
    Kind(name=event.BALANCE_CHANGED, shape=BalanceChanged),
    Kind(name=event.TIER_UPGRADED, shape=TierUpgraded, alias="Tier changed"),
    Kind(name=event.TIER_DOWNGRADED, shape=TierDowngraded, alias="Tier changed"),
    Kind(name=event.REWARD_REDEEMED_ONLINE, shape=RewardRedeemedOnline),
    Kind(name=event.REWARD_REDEEMED_IN_STORE, shape=RewardRedeemedInStore),
    Kind(name=event.CUSTOMER_SCANNED, shape=CustomerScanned, alias="Customer scanned"),
    Kind(name=event.REFERRAL_COMPLETED, shape=ReferralCompleted),
    Kind(name=event.ACCOUNT_VERIFIED, shape=AccountVerified),
    Kind(name=event.CHECK_IN, shape=CheckIn),
    Kind(name=event.CUSTOMER_CREATED, shape=CustomerCreated),
    Kind(name=event.CUSTOMER_BIRTHDAY, shape=CustomerBirthday),
    Kind(name=event.CUSTOMER_TAPPED, shape=CustomerTapped),
    Kind(name=event.WALLET_PASS_REQUESTED, shape=WalletPassRequested),
)
_EXTRAS = (
    Kind(name=event.COUPON_ASSIGNED, shape=CouponAssigned, is_extra=True),
    Kind(name=event.COUPON_USED, shape=CouponUsed, is_extra=True),
    Kind(name=event.COUPON_RUNNING_LOW, shape=CouponRunningLow, is_extra=True),
    Kind(name=event.POINTS_EXPIRING, shape=PointsExpiring, is_extra=True),
    Kind(name=event.POINTS_EXPIRED, shape=PointsExpired, is_extra=True),
    Kind(name=event.CONSENT_CHANGED, shape=ConsentChanged, is_extra=True),
    Kind(name=event.REFERRAL_STARTED, shape=ReferralStarted, is_extra=True),
    Kind(name=event.REFERRAL_BLOCKED, shape=ReferralBlocked, is_extra=True),
    Kind(name=event.PASS_ISSUED, shape=PassIssued, is_extra=True),
    Kind(name=event.PASS_UPDATED, shape=PassUpdated, is_extra=True),
    Kind(name=event.PASS_VOIDED, shape=PassVoided, is_extra=True),
    Kind(name=event.REWARD_AVAILABLE, shape=RewardAvailable, is_extra=True),
    Kind(name=event.CARD_REPLACED, shape=CardReplaced, is_extra=True),
    Kind(name=event.CUSTOMER_ERASED, shape=CustomerErased, is_extra=True),
)
# Every event that may be told outside, by its name.
EVENTS = {kind.name: kind for kind in (*_EIGHTEEN, *_EXTRAS)}
EIGHTEEN = tuple(kind.name for kind in _EIGHTEEN)


class UnknownEvent(Exception):
    """No event has this name, handle or alias."""


def names_of(spelt: Collection[str]) -> list[str]:
    """The names of events that are given by name, handle, key or alias, in the catalogue's order.

    An alias may stand for two: "Tier changed" is both ways. Raises: UnknownEvent.
    """
    wanted = set(spelt)
    by_spelling: dict[str, set[str]] = {}
    for kind in EVENTS.values():
        for spelling in (kind.name, kind.handle, kind.key, kind.alias):
            if spelling:
                by_spelling.setdefault(spelling, set()).add(kind.name)
    if unknown := sorted(wanted - by_spelling.keys()):
        raise UnknownEvent(", ".join(unknown))
    chosen = set().union(*(by_spelling[spelling] for spelling in wanted))
    return [name for name in EVENTS if name in chosen]


def check_properties(name: str, properties: dict[str, Any]) -> None:
    """Raises: msgspec.ValidationError, where an event's properties are not of the shape that merchants are promised."""
    msgspec.convert(properties, EVENTS[name].shape)
