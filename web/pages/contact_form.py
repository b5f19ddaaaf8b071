"""The one field that asks for an address: e-mail, phone, or whichever the person has."""

from typing import Any

import msgspec

from web.foundation.address import (
    BadEmailError,
    BadPhoneError,
    Email,
    Phone,
    inbox_key,
    parse_email,
    parse_phone,
)
from web.foundation.languages import N_
from web.foundation.slips import question
from web.pages.visitor import Visitor

ERRORS = {
    "email": N_("Enter an e-mail address like name@example.com"),
    "phone": N_("Enter a mobile number like %(example)s"),
    "contact": N_("Enter an e-mail address like name@example.com, or a mobile number"),
}
EXAMPLES = {"ES": "612 34 56 78", "GB": "07400 123456", "US": "(201) 555-0123"}


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed address of one kind."""

    email: Email | None = None
    phone: Phone | None = None

    @property
    def inbox(self) -> str:
        """What limits count by: one inbox, however its address is spelt."""
        return inbox_key(self.email.key) if self.email else self.phone.e164 if self.phone else ""


class ContactForm(msgspec.Struct, kw_only=True):
    """What was typed, what is wrong with it, and what it may have been meant to be."""

    action: str
    asks: str
    region: str
    values: dict[str, str]
    errors: dict[str, str] = {}
    slip: dict[str, str] | None = None

    def get(self, name: str) -> Any:
        return getattr(self, name)


def field_name(asks: str) -> str:
    return "contact" if asks == "either" else asks


def blank_contact(visitor: Visitor, path: str, asks: str, typed: str = "") -> ContactForm:
    return ContactForm(
        action=f"/{visitor.program.slug}{path}",
        asks=asks,
        region=visitor.program.settings.country,
        values={field_name(asks): typed},
    )


def read_contact(visitor: Visitor, form: ContactForm, posted: dict[str, list[str]]) -> Contact | None:
    """The address that was typed; None where it is none, with the reason in `form.errors`."""
    name = field_name(form.asks)
    typed = posted.get(name, [""])[-1].strip()
    form.values[name] = typed
    try:
        if form.asks == "phone" or (form.asks == "either" and "@" not in typed):
            return Contact(phone=parse_phone(typed, form.region))
        return Contact(email=parse_email(typed))
    except (BadEmailError, BadPhoneError):
        form.errors[name] = visitor.site.renderer.text(
            visitor.language, ERRORS[name], example=EXAMPLES.get(form.region, "+34 612 34 56 78")
        )
        return None


def ask_about_slip(form: ContactForm, contact: Contact, posted: dict[str, list[str]]) -> Contact | None:
    """Question a likely slip once (`gmial.com`); the person's answer is taken, whatever it is.

    Returns the address to go on with, or None while the question is open.
    """
    if contact.email is None:
        return contact
    answer = posted.get("slip", [""])[-1]
    suggestion = question(contact.email.value)
    if answer == "keep" or suggestion is None:
        return contact
    if answer == suggestion:
        return Contact(email=parse_email(suggestion))
    form.slip = {"suggestion": suggestion, "field": field_name(form.asks)}
    return None
