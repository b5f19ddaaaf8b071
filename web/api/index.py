"""Every operation, in the order in which the document shows them."""

from web.api import api_keys, locations, programs

OPERATIONS = (*programs.ROUTES, *locations.ROUTES, *api_keys.ROUTES)
