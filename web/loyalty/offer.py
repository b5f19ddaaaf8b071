"""What a reward is to one customer now: ready, or why not. The same judgement stands on the page and in the till.

What is shown is judged by the programme in memory; what is redeemed, by the rows as they are in the transaction.
"""

from datetime import datetime
from typing import Literal

import msgspec

from web.foundation.languages import N_
from web.loyalty.period import period_around
from web.loyalty.program import Program
from web.loyalty.refusal import Refusal
from web.loyalty.reward import Reward

State = Literal["ready", "short", "not_yet", "range", "used_up", "tier", "sold_out"]
# What can be had comes first, then what somebody can work towards or wait for.
_ORDER: dict[str, int] = {
    "ready": 0,
    "short": 1,
    "not_yet": 2,
    "range": 3,
    "used_up": 4,
    "tier": 5,
    "sold_out": 6,
}


class CannotRedeem(Refusal):
    """A reward that this customer cannot have now. `code` names the rule, `advice` says what to do next."""

    code = "cannot_redeem"
    advice = N_("Choose another reward.")


class RewardGone(CannotRedeem):
    """It is not offered, not any more, or never was."""

    code = "reward_gone"
    advice = N_("This reward is not offered any more. Choose another one.")


class UnknownCustomer(CannotRedeem):
    code = "unknown_customer"
    advice = N_("This customer is not there any more.")


class NotVerified(CannotRedeem):
    """Ruling 6: only who has shown that the address is theirs redeems."""

    code = "not_verified"
    advice = N_("Confirm your address first: open the link that we sent you, or ask for a new one.")


class NotNow(CannotRedeem):
    """It begins later; `starts_at`."""

    code = "not_yet"
    advice = N_("This reward is not there yet. Come back when it starts.")

    def __init__(self, starts_at: datetime) -> None:
        super().__init__(starts_at=starts_at)
        self.starts_at = starts_at


class TierTooLow(CannotRedeem):
    code = "tier_too_low"
    advice = N_("This reward is for a higher tier. Gather more to reach it.")


class WrongChannel(CannotRedeem):
    """It is for the shop alone, or for the web alone."""

    code = "wrong_channel"
    advice = N_("This reward cannot be redeemed here.")


class OutOfStock(CannotRedeem):
    code = "out_of_stock"
    advice = N_("Somebody else took the last one. Your points are untouched.")


class LimitReached(CannotRedeem):
    """They had it as often as one person may; again from `until`, or never."""

    code = "limit_reached"
    advice = N_("You have had this reward as often as one person may.")

    def __init__(self, until: datetime | None) -> None:
        super().__init__(until=until)
        self.until = until


class OutOfRange(CannotRedeem):
    """It is for those whose balance lies between `lowest` and `highest`, in minor units."""

    code = "out_of_range"
    advice = N_("Your balance is not in the range that this reward is for.")

    def __init__(self, lowest: int | None, highest: int | None) -> None:
        super().__init__(lowest=lowest, highest=highest)
        self.lowest, self.highest = lowest, highest


class NoCodesLeft(CannotRedeem):
    """The pool of codes is empty; nothing was changed."""

    code = "no_codes_left"
    advice = N_("There are no codes left just now. Your points are untouched.")


class CodeNotGood(CannotRedeem):
    """There is no such redemption, or nothing more can be done with it: `state` says which.

    "unknown", "reserved" (not issued yet), "used", "returned" or "expired".
    """

    code = "code_not_good"
    advice = N_("This code is not good, or not any more.")

    def __init__(self, state: str) -> None:
        super().__init__(state=state)
        self.state = state


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A reward as one customer sees it.

    `missing` points until it can be had, `percent` of the way there. `left_for_you`: how often they may still have
    it in this period, None for no limit. `until`: a reward that is ready or short ends then; one that is used up can
    be had again, one that is not there yet begins.
    """

    reward: Reward
    state: State
    missing: int
    percent: int
    left_for_you: int | None
    until: datetime | None


def offers_for(
    program: Program, available: int, tier_level: int | None, used: dict[str, int], now: datetime
) -> list[Offer]:
    """The rewards that a customer sees, those that can be had first, and of these the cheapest.

    `available` in minor units; `used`: how often they had each in its period (`redemption.counts_for`).
    """
    offers = [
        offer_of(program, each, available, tier_level, used.get(each.id, 0), now)
        for each in program.rewards
        if is_offered(each, now) and _is_visible(each, available)
    ]
    return sorted(offers, key=lambda each: (_ORDER[each.state], each.missing, each.reward.cost))


def offer_of(
    program: Program, reward: Reward, available: int, tier_level: int | None, used: int, now: datetime
) -> Offer:
    """What an offered reward is to this customer."""
    needed = cost_of(reward)
    # What costs nothing can be had by those who owe points, too.
    missing = max(0, needed - available) if needed else 0
    left = None if reward.limit_count is None else max(0, reward.limit_count - used)
    until = reward.ends_at
    state: State = "ready"
    if reward.starts_at is not None and reward.starts_at > now:
        state, until = "not_yet", reward.starts_at
    elif reward.tier_level is not None and (tier_level is None or tier_level < reward.tier_level):
        state = "tier"
    elif reward.stock == 0:
        state = "sold_out"
    elif left == 0:
        around = period_around(reward.limit_period, program.settings.timezone, now)
        state, until = "used_up", around[1] if around else None
    elif reward.redeemable_to is not None and available > reward.redeemable_to:
        state = "range"
    elif missing:
        state = "short"
    return Offer(
        reward=reward,
        state=state,
        missing=missing,
        percent=max(0, available) * 100 // needed if missing else 100,
        left_for_you=left,
        until=until,
    )


def cost_of(reward: Reward) -> int:
    """The balance from which it can be had, in minor units: its cost, or the start of its range."""
    return max(reward.cost, reward.redeemable_from or 0)


def is_offered(reward: Reward, now: datetime) -> bool:
    """Whether anybody may see it: it is on, and has not ended."""
    return reward.active and (reward.ends_at is None or now < reward.ends_at)


def level_of(program: Program, tier_id: str | None, tier_points: int) -> int | None:
    """The level of the tier that is held; for those who never had one set, of the highest that they reach."""
    held = [tier.level for tier in program.tiers if tier.id == tier_id]
    reached = [tier.level for tier in program.tiers if tier.required_points <= tier_points]
    return held[0] if held else max(reached, default=None)


def _is_visible(reward: Reward, available: int) -> bool:
    return (reward.visible_from is None or available >= reward.visible_from) and (
        reward.visible_to is None or available <= reward.visible_to
    )
