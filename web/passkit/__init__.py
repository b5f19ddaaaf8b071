"""Apple's web service for passes: phones register for a card's changes, ask what changed, and fetch it.

After Apple's "PassKit Web Service Reference". Phones repeat themselves, in any order, and change their ids; every call
may be made any number of times.
"""

from web.passkit import complaints, passes, registrations

PASSKIT = (
    registrations.register,
    registrations.unregister,
    registrations.list_changed,
    passes.send_current,
    complaints.keep,
)
