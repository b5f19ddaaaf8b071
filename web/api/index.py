"""Every operation, in the order in which the document shows them."""

from web.api import (
    api_keys,
    balances,
    customer_token,
    customers,
    earning_flows,
    locations,
    loyalty,
    me,
    orders,
    programs,
    push,
    referrals,
    resources,
    tiers,
    visits,
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
    *orders.ROUTES,
    *visits.ROUTES,
    *earning_flows.ROUTES,
    *tiers.ROUTES,
    *referrals.ROUTES,
    *programs.ROUTES,
    *locations.ROUTES,
    *api_keys.ROUTES,
    *webhooks.ROUTES,
)
