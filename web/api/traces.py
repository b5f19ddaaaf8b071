"""Why an earning flow gave something or did not, condition by condition."""

from typing import Any

import msgspec

from web.api.shapes import Output
from web.loyalty.earning_rules import Trace


class CheckShown(Output):
    """One condition: what it compared, and whether it held."""

    rule: str
    passed: bool
    needed: Any
    found: Any


def checks_of(trace: Trace) -> list[CheckShown]:
    return [CheckShown(**msgspec.structs.asdict(check)) for check in trace.checks]
