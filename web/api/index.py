"""Every operation, in the order in which the document shows them."""

from web.api import (
    api_keys,
    balances,
    codes,
    coupons,
    customer_token,
    customers,
    locations,
    loyalty,
    me,
    programs,
    push,
    redemptions,
    resources,
    rewards,
    webhooks,
)

OPERATIONS = (
    *resources.ROUTES,
    *customer_token.ROUTES,
    *customers.ROUTES,
    *me.ROUTES,
    *balances.ROUTES,
    *loyalty.ROUTES,
    *push.ROUTES,
    *redemptions.ROUTES,
    *codes.ROUTES,
    *coupons.ROUTES,
    *rewards.ROUTES,
    *programs.ROUTES,
    *locations.ROUTES,
    *api_keys.ROUTES,
    *webhooks.ROUTES,
)
