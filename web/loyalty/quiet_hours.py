"""The hours in which nobody's phone shall ring, in the programme's own time: where a customer is, nobody knows."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

# "21:00-09:00": from nine in the evening to nine in the morning.
PATTERN = r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"


def quiet_until(moment: datetime, hours: str, timezone: str) -> datetime | None:
    """When the quiet hours end that `moment` lies in; None where it lies in none, or there are none ("").

    The answer is in UTC, later than `moment`, and not in quiet hours itself, also where the clocks change.
    """
    if not hours:
        return None
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    now = local.time()
    is_quiet = begin <= now < end if begin < end else now >= begin or now < end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=now >= end)
    # An hour that comes twice in the night when the clocks go back ends in the same of the two.
    return datetime.combine(day, end, zone).replace(fold=local.fold).astimezone(UTC)


def has_end(hours: str) -> bool:
    """Whether there is time outside of them: hours that end when they begin are the whole day."""
    begin, _, end = hours.partition("-")
    return begin != end


def is_written_well(hours: str) -> bool:
    return not hours or (re.fullmatch(PATTERN, hours) is not None and has_end(hours))
