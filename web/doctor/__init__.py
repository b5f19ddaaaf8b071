"""Everything that can keep an installation from serving well, looked at from this machine, in plain words.

Nothing is sent to a customer and nothing is changed. Each call over a network has a time limit.
"""

from web.doctor.database import look_at_database
from web.doctor.machine import look_at_machine
from web.doctor.outside import look_outside
from web.foundation.finding import Finding
from web.settings import Settings

__all__ = ["examine"]


async def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order in which one would mend them. Ends within a minute, whatever hangs."""
    return [
        *look_at_machine(settings),
        *await look_at_database(settings),
        *await look_outside(settings),
    ]
