"""What callers say of a person, read as strictly as a form is."""

from typing import Annotated, overload

from msgspec import UNSET, Meta, UnsetType

from web.api.problems import invalid
from web.foundation.address import BadEmailError, BadPhoneError, Email, Phone, parse_email, parse_phone
from web.loyalty.program import Program

Name = Annotated[str, Meta(max_length=80)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=120, description="Their id in your own system.")]
Birthday = Annotated[
    str,
    Meta(
        pattern=r"^(-|[12][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="YYYY-MM-DD, or --MM-DD without the year.",
    ),
]


def read_email(text: str, pointer: str) -> Email:
    """Raises: Problem."""
    try:
        return parse_email(text)
    except BadEmailError:
        raise invalid(pointer, "This is no e-mail address that mail can reach.") from None


@overload
def read_phone(text: str, program: Program, pointer: str) -> Phone: ...
@overload
def read_phone(text: None, program: Program, pointer: str) -> None: ...
@overload
def read_phone(text: UnsetType, program: Program, pointer: str) -> UnsetType: ...
@overload
def read_phone(text: str | UnsetType | None, program: Program, pointer: str) -> Phone | UnsetType | None: ...
def read_phone(text: str | UnsetType | None, program: Program, pointer: str) -> Phone | UnsetType | None:
    """A number with its country code, or as it is dialled in the programme's country. Raises: Problem."""
    if text is None or text is UNSET:
        return text
    try:
        return parse_phone(str(text), program.settings.country)
    except BadPhoneError:
        raise invalid(
            pointer, "This is no number that gets text messages; write it like +34600123456."
        ) from None


def require_language(program: Program, locale: str | UnsetType, pointer: str) -> None:
    """Raises: Problem."""
    if locale is not UNSET and locale not in program.settings.languages:
        raise invalid(pointer, f"The programme speaks {', '.join(program.settings.languages)}.")
