"""Shapes and examples that several resources share."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

A_PROGRAM = "0199a1b2-3c4d-7e5f-8a6b-7c8d9e0f1a2b"
A_CUSTOMER = "0199a1b2-4d5e-7f60-9a7b-8c9d0e1f2a3b"
A_LOCATION = "0199a1b2-5e6f-7071-8b8c-9d0e1f2a3b4c"
A_KEY = "0199a1b2-6f70-7182-9c9d-0e1f2a3b4c5d"
A_MOMENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

Id = Annotated[str, Meta(description="A UUID.", extra_json_schema={"format": "uuid"})]


class Input(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What callers send: unknown fields are refused, with a pointer."""


class Output(msgspec.Struct, kw_only=True, rename="camel"):
    """What callers get."""
