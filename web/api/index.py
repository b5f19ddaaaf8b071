"""Every operation, in the order in which the document shows them."""

from web.api import api_keys, customer_token, customers, locations, programs, resources, webhooks

OPERATIONS = (
    *resources.ROUTES,
    *customer_token.ROUTES,
    *customers.ROUTES,
    *programs.ROUTES,
    *locations.ROUTES,
    *api_keys.ROUTES,
    *webhooks.ROUTES,
)
