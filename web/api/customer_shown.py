"""A customer in the documented shape."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from web.api.call import Call
from web.api.shapes import A_CUSTOMER, A_MOMENT, A_PROGRAM, Id, Output, PointsShown, shown
from web.loyalty.directory import Entrant
from web.loyalty.preferences import Notifications
from web.loyalty.program import Program
from web.loyalty.wallet_pass import Platform
from web.loyalty.wallet_status import WalletStatus


class UserData(Output):
    """Who they are. `externalCustomerId` is their id in the merchant's own system."""

    id: Id
    customer_id: Id
    external_customer_id: str | None
    first_name: str | None
    last_name: str | None
    phone: str | None
    email_verified: bool
    created_at: datetime
    updated_at: datetime


class LoyaltyData(Output):
    """Where they stand. `tierStatus` is what another system says, else the name of our tier.

    `referralLink` is theirs to share, once it was made.
    """

    id: Id
    customer_id: Id
    loyalty_customer_id: str | None
    balance: PointsShown
    member_since: datetime
    tier_status: str | None
    referral_link: str | None = None


class CustomerShown(Output):
    """A customer. `utm…` tell of the campaign by which they first came, `…Notifications` what they want to hear of.

    `referral` is the code of the customer who brought them, `referralEarned` what they got for friends of their own.
    `walletStatus` tells whether a wallet holds their card: "requested" is who asked for it and never had it there,
    "uninstalled" who had it. `walletPlatforms` names the wallets that hold it now.
    """

    id: Id
    program_id: Id
    email: str | None
    origin: Annotated[str, Meta(examples=["API", "WEB"])]
    referral: str | None
    utm_campaign: str | None
    utm_source: str | None
    utm_medium: str | None
    balance_notifications: bool
    tier_notifications: bool
    reward_available_notifications: bool
    location_notifications: bool
    marketing_notifications: bool
    referral_earned: PointsShown
    wallet_status: WalletStatus
    wallet_installed: bool
    wallet_platforms: list[Platform]
    created_at: datetime
    updated_at: datetime
    user_data: UserData
    loyalty_data: LoyaltyData


EXAMPLE = CustomerShown(
    id=A_CUSTOMER,
    program_id=A_PROGRAM,
    email="ana@example.com",
    origin="API",
    referral=None,
    utm_campaign="autumn",
    utm_source="store",
    utm_medium="qr",
    balance_notifications=True,
    tier_notifications=True,
    reward_available_notifications=True,
    location_notifications=True,
    marketing_notifications=True,
    referral_earned=0,
    wallet_status="installed",
    wallet_installed=True,
    wallet_platforms=["apple"],
    created_at=A_MOMENT,
    updated_at=A_MOMENT,
    user_data=UserData(
        id=A_CUSTOMER,
        customer_id=A_CUSTOMER,
        external_customer_id="crm-4711",
        first_name="Ana",
        last_name="López",
        phone="+34600123456",
        email_verified=True,
        created_at=A_MOMENT,
        updated_at=A_MOMENT,
    ),
    loyalty_data=LoyaltyData(
        id=A_CUSTOMER,
        customer_id=A_CUSTOMER,
        loyalty_customer_id="L-1001",
        balance=120,
        member_since=A_MOMENT,
        tier_status="Gold",
    ),
)


def show_customer(entrant: Entrant, call: Call) -> CustomerShown:
    """A customer in the documented shape."""
    program = call.program
    first_name, last_name = entrant.names
    wants = msgspec.convert(entrant.notifications or {}, Notifications)
    scale = program.settings.scale
    return CustomerShown(
        id=entrant.id,
        program_id=program.id,
        email=entrant.email,
        origin=entrant.origin.upper(),
        referral=entrant.referred_by,
        utm_campaign=entrant.utm_campaign,
        utm_source=entrant.utm_source,
        utm_medium=entrant.utm_medium,
        balance_notifications=wants.balance,
        tier_notifications=wants.tier,
        reward_available_notifications=wants.reward,
        location_notifications=wants.location,
        marketing_notifications=wants.marketing,
        referral_earned=shown(entrant.referral_earned, scale),
        wallet_status=entrant.wallet_status,
        wallet_installed=entrant.wallet_status == "installed",
        wallet_platforms=entrant.wallet_platforms,
        created_at=entrant.created_at,
        updated_at=entrant.updated_at,
        user_data=UserData(
            id=entrant.id,
            customer_id=entrant.id,
            external_customer_id=entrant.external_id,
            first_name=first_name,
            last_name=last_name,
            phone=entrant.phone,
            email_verified=entrant.email_verified_at is not None,
            created_at=entrant.created_at,
            updated_at=entrant.updated_at,
        ),
        loyalty_data=LoyaltyData(
            id=entrant.id,
            customer_id=entrant.id,
            loyalty_customer_id=entrant.loyalty_customer_id,
            balance=shown(entrant.available, scale),
            member_since=entrant.member_since or entrant.created_at,
            tier_status=entrant.tier_status or tier_of(entrant, program),
            referral_link=link_by(entrant.referral_code, call) if entrant.referral_code else None,
        ),
    )


def link_by(code: str, call: Call) -> str:
    """The link by which friends come with this code."""
    return f"{call.parts.settings.base_url}/{call.program.slug}/r/{code}"


def tier_of(entrant: Entrant, program: Program) -> str | None:
    """The name of a customer's tier; who was never booked anything holds the one that needs nothing."""
    base = next((tier.name for tier in program.tiers if tier.active and not tier.required_points), None)
    name = entrant.tier_name or base
    return program.settings.say(name, program.settings.default_language) if name else None
