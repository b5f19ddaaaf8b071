"""Step 2's form: the name, the programme's own questions, and the consents."""

from datetime import date
from typing import Any

import msgspec

from web.foundation.languages import N_
from web.foundation.schema import utc_now
from web.loyalty.consent import Decision
from web.loyalty.program_settings import ExtraField
from web.pages.visitor import Visitor

LONGEST_NAME = 80
LONGEST_TEXT = 200
FIELD_PREFIX = "field_"
CONSENT_PREFIX = "consent_"
VERSION_PREFIX = "wording_"

NAME_MISSING = N_("Enter the name that should be on the card")
NAME_TOO_LONG = N_("Use at most %(most)s characters for the name")
TEXT_MISSING = N_("Fill this in: %(label)s")
TEXT_TOO_LONG = N_("Use at most %(most)s characters: %(label)s")
CHOICE_MISSING = N_("Choose one: %(label)s")
DATE_WRONG = N_("Enter a real date, like 27 3 1990: %(label)s")
BIRTHDAY_WRONG = N_("Enter a real birthday, like 27 3 1990. The year may stay empty.")
BIRTHDAY_AHEAD = N_("A birthday lies in the past")
WORDING_CHANGED = N_("These words have just changed. Please read them once more.")


class AboutForm(msgspec.Struct, kw_only=True):
    """What step 2 shows. `fields` and `consents` are as the template reads them."""

    action: str
    values: dict[str, str]
    fields: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    errors: dict[str, str] = {}


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What step 2 was told, checked."""

    name: str
    birthday: str | None
    extra: dict[str, str]
    consents: list[Decision]


def blank_about(visitor: Visitor, typed: dict[str, Any]) -> AboutForm:
    """The form with what was typed before, in this language."""
    settings = visitor.program.settings
    return AboutForm(
        action=f"/{visitor.program.slug}/register/about",
        values={"name": typed.get("name", "")},
        fields=[_shown(visitor, field, typed.get(field.key)) for field in settings.fields],
        consents=[
            {
                "key": consent.purpose,
                "label": settings.say(consent.wording, visitor.language),
                "more": settings.say(consent.more, visitor.language),
                "checked": consent.purpose in typed.get("consents", ()),
                "version": visitor.program.wordings[consent.purpose].version,
            }
            for consent in settings.consents
        ],
    )


def typed_values(visitor: Visitor, posted: dict[str, list[str]]) -> dict[str, Any]:
    """The draft of this step: as it was typed, right or wrong, so that nothing is ever typed twice."""
    typed: dict[str, Any] = {
        "name": posted.get("name", [""])[-1].strip(),
        "consents": posted.get("consents", []),
        "versions": {
            consent.purpose: posted.get(VERSION_PREFIX + consent.purpose, [""])[-1]
            for consent in visitor.program.settings.consents
        },
    }
    for field in visitor.program.settings.fields:
        name = FIELD_PREFIX + field.key
        if field.kind in ("date", "birthday"):
            typed[field.key] = {
                part: posted.get(f"{name}_{part}", [""])[-1].strip() for part in ("day", "month", "year")
            }
        else:
            typed[field.key] = posted.get(name, [""])[-1].strip()
    return typed


def read_about(visitor: Visitor, form: AboutForm, typed: dict[str, Any]) -> About | None:
    """What was told; None where something is wrong, with the reasons in the form."""

    def say(message: str, **values: object) -> str:
        return visitor.site.renderer.text(visitor.language, message, **values)

    name = _printable(typed["name"])
    if not name:
        form.errors["name"] = say(NAME_MISSING)
    elif len(name) > LONGEST_NAME:
        form.errors["name"] = say(NAME_TOO_LONG, most=LONGEST_NAME)
    extra: dict[str, str] = {}
    birthday = None
    for field, shown in zip(visitor.program.settings.fields, form.fields, strict=True):
        value, fault = _read_field(field, typed[field.key])
        if fault:
            shown["error"] = say(fault, label=shown["label"], most=LONGEST_TEXT)
            form.errors[FIELD_PREFIX + field.key] = shown["error"]
        elif field.kind == "birthday":
            birthday = value or None
        elif value:
            extra[field.key] = value
    for consent in form.consents:
        # What is proven is the wording that was read: where it changed meanwhile, it is shown again.
        if typed["versions"].get(consent["key"]) not in ("", str(consent["version"])):
            consent["checked"] = False
            form.errors[CONSENT_PREFIX + consent["key"]] = say(WORDING_CHANGED)
    if form.errors:
        return None
    return About(name=name, birthday=birthday, extra=extra, consents=_decisions(visitor, typed["consents"]))


def _shown(visitor: Visitor, field: ExtraField, typed: Any) -> dict[str, Any]:
    settings = visitor.program.settings
    return {
        "key": field.key,
        "kind": field.kind,
        "label": settings.say(field.label, visitor.language),
        "hint": settings.say(field.hint, visitor.language),
        "required": field.required,
        "options": [
            {"value": option.value, "label": settings.say(option.label, visitor.language)}
            for option in field.options
        ],
        "value": typed,
        "error": "",
    }


def _read_field(field: ExtraField, typed: Any) -> tuple[str, str]:
    """A field's value and what is wrong with it; one of the two is empty."""
    if field.kind == "birthday":
        return _read_birthday(typed, field.required)
    if field.kind == "date":
        if not any(typed.values()):
            return "", DATE_WRONG if field.required else ""
        day = _day(typed)
        return (day.isoformat(), "") if day else ("", DATE_WRONG)
    if field.kind == "choice":
        known = typed in {option.value for option in field.options}
        return (typed, "") if known else ("", CHOICE_MISSING if field.required or typed else "")
    text = _printable(typed)
    if len(text) > LONGEST_TEXT:
        return "", TEXT_TOO_LONG
    return text, TEXT_MISSING if field.required and not text else ""


def _read_birthday(typed: dict[str, str], required: bool) -> tuple[str, str]:
    if not any(typed.values()):
        return "", BIRTHDAY_WRONG if required else ""
    if not typed["year"]:
        # 2000 was a leap year, so that the 29th of February is a birthday too.
        day = _day({**typed, "year": "2000"})
        return (f"--{day:%m-%d}", "") if day else ("", BIRTHDAY_WRONG)
    day = _day(typed)
    today = utc_now().date()
    if day is None or day.year < today.year - 125:
        return "", BIRTHDAY_WRONG
    return (day.isoformat(), "") if day < today else ("", BIRTHDAY_AHEAD)


def _day(typed: dict[str, str]) -> date | None:
    """A year has four figures: whoever writes 90 means 1990, and would not be told."""
    if not (len(typed["year"]) == 4 and all(part.isdecimal() for part in typed.values())):
        return None
    try:
        return date(int(typed["year"]), int(typed["month"]), int(typed["day"]))
    except ValueError:
        return None


def _decisions(visitor: Visitor, ticked: list[str]) -> list[Decision]:
    """Each box as it was left, with the version of the wording in the language it was read in."""
    settings, wordings = visitor.program.settings, visitor.program.wordings
    return [
        Decision(
            purpose=consent.purpose,
            channel=consent.channel,
            granted=consent.purpose in ticked,
            wording_version=wordings[consent.purpose].version,
            wording_sha256=wordings[consent.purpose].sha256[visitor.language],
        )
        for consent in settings.consents
    ]


def _printable(text: str) -> str:
    """Without control and direction-override characters, white space folded."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
