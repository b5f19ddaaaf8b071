"""E-mail addresses and phone numbers: read from a form, compared, counted and shown masked."""

import unicodedata
from typing import Final, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from msgspec import Struct
from phonenumbers import NumberParseException, PhoneNumberType

from web.foundation.sealing import digest

EmailFault = Literal[
    "empty", "too_long", "bad_character", "no_at", "bad_local", "accented_local", "bad_domain"
]
PhoneFault = Literal[
    "empty", "too_long", "not_a_number", "no_country", "too_short", "not_valid", "cannot_text"
]

_LONGEST_EMAIL: Final = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
_LONGEST_PHONE: Final = 40  # 15 digits by E.164, with room for punctuation
_HIDDEN: Final = "•••"
# No text message arrives there, or it costs its receiver money.
_NO_TEXTS: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.PAGER,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


class BadEmailError(ValueError):
    """The text is no e-mail address that mail can reach; `code` says why and never changes."""

    def __init__(self, code: EmailFault) -> None:
        super().__init__(code)
        self.code: EmailFault = code


class BadPhoneError(ValueError):
    """The text is no phone number that gets messages; `code` says why and never changes."""

    def __init__(self, code: PhoneFault) -> None:
        super().__init__(code)
        self.code: PhoneFault = code


class Email(Struct, frozen=True):
    """`value` is where mail goes, its domain in ASCII; `key` is the same for one inbox in any case."""

    value: str
    key: str


class Phone(Struct, frozen=True):
    """A number as E.164: "+34600123456"."""

    e164: str


def parse_email(text: str) -> Email:
    """The address in `text`, by syntax alone: no name server is asked. Raises BadEmailError.

    Letters beyond ASCII are taken in the domain, which goes on as IDNA, but not before the @:
    few servers accept them there, and on a form they are nearly always a slip ("josé@…").
    """
    text = text[: 2 * _LONGEST_EMAIL].strip()
    if not text:
        raise BadEmailError("empty")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") for character in text):
        raise BadEmailError("bad_character")
    if len(text) > _LONGEST_EMAIL:
        raise BadEmailError("too_long")
    local, at, domain = text.rpartition("@")
    if not at:
        raise BadEmailError("no_at")
    if not local.isascii():
        raise BadEmailError("accented_local")
    if not _is_valid(f"a@{domain}"):
        raise BadEmailError("bad_domain")
    try:
        valid = validate_email(text, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise BadEmailError("bad_local") from error
    value = f"{valid.local_part}@{valid.ascii_domain}"
    return Email(value, value.lower())


def _is_valid(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def inbox_key(email: str) -> str:
    """One key for all spellings of one inbox: dots and "+…" before the @ do not count.

    Only to count what was sent there, never to recognise a person: some servers do tell
    a.b@ and ab@ apart. Takes the `value` or `key` of an Email.
    """
    local, _, domain = email.lower().rpartition("@")
    domain = "gmail.com" if domain == "googlemail.com" else domain
    folded = local.partition("+")[0].replace(".", "")
    return f"{folded or local}@{domain}"


def address_hash(address: str) -> str:
    """What a link remembers of the address it was sent to."""
    return digest(address.lower())


def inbox_hash(address: str) -> str:
    """The same for the inbox behind it: however many spellings somebody asks with, one inbox is counted."""
    return digest(inbox_key(address.lower()) if "@" in address else address)


def mask_email(email: str) -> str:
    """Enough for its owner to know the address, and no more: "a•••@e•••.com". Takes an Email's `value`."""
    local, _, domain = email.rpartition("@")
    name, _, ending = domain.rpartition(".")
    # The first letter of a domain in IDNA is an x that its owner never typed.
    initial = "" if name.startswith("xn--") else name[:1]
    return f"{local[:1]}{_HIDDEN}@{initial}{_HIDDEN}.{ending}"


def parse_phone(text: str, region: str) -> Phone:
    """The number in `text`, national form of `region` (ISO 3166, "ES") or with +. Raises BadPhoneError.

    Numbers that cannot get a text message are refused as "cannot_text".
    """
    # Numbers copied from a phone's contacts come wrapped in invisible marks of direction.
    text = "".join(c for c in text[: 2 * _LONGEST_PHONE] if unicodedata.category(c) != "Cf").strip()
    if not text:
        raise BadPhoneError("empty")
    if len(text) > _LONGEST_PHONE:
        raise BadPhoneError("too_long")
    # The library reads letters as the keys of an old telephone; here they are a slip.
    if any(unicodedata.category(character)[0] in "LC" for character in text):
        raise BadPhoneError("not_a_number")
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException as error:
        raise BadPhoneError(_phone_fault(error)) from error
    if not phonenumbers.is_valid_number(number):
        raise BadPhoneError(_invalid_phone_fault(number))
    if phonenumbers.number_type(number) in _NO_TEXTS:
        raise BadPhoneError("cannot_text")
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _phone_fault(error: NumberParseException) -> PhoneFault:
    match error.error_type:
        case NumberParseException.INVALID_COUNTRY_CODE:
            return "no_country"
        case NumberParseException.TOO_LONG:
            return "too_long"
        case NumberParseException.TOO_SHORT_NSN | NumberParseException.TOO_SHORT_AFTER_IDD:
            return "too_short"
        case _:
            return "not_a_number"


def _invalid_phone_fault(number: phonenumbers.PhoneNumber) -> PhoneFault:
    match phonenumbers.is_possible_number_with_reason(number):
        case phonenumbers.ValidationResult.TOO_SHORT:
            return "too_short"
        case phonenumbers.ValidationResult.TOO_LONG:
            return "too_long"
        case _:
            return "not_valid"


def mask_phone(e164: str) -> str:
    """Country and the last two digits of a Phone's `e164`: "+34 ••• 56"."""
    country = phonenumbers.parse(e164).country_code
    return f"+{country} {_HIDDEN} {e164[-2:]}"
