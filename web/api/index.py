"""Every operation, in the order in which the document shows them."""

from web.api import (
    api_keys,
    balances,
    customer_token,
    customers,
    locations,
    loyalty,
    me,
    programs,
    push,
    referrals,
    resources,
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
    *referrals.ROUTES,
    *programs.ROUTES,
    *locations.ROUTES,
    *api_keys.ROUTES,
    *webhooks.ROUTES,
)
