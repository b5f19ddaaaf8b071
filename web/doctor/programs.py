"""Each programme, as a careful merchant would look at it before printing signs."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select, true
from sqlalchemy.engine import Connection

from web.doctor.webhooks import look_at_webhooks
from web.foundation.finding import Finding
from web.foundation.sealing import CannotOpen, Sealer
from web.foundation.theme import PAPER, contrast
from web.loyalty.earning_flow import earning_flow
from web.loyalty.multiplier import multiplier
from web.loyalty.program import Program, load_program, versions
from web.loyalty.program_settings import Localised, ProgramSettings
from web.loyalty.referral import FLAGGED, list_referrals
from web.loyalty.reward import reward
from web.loyalty.tier import tier
from web.settings import Settings

# Text needs this much by WCAG 2.2, 1.4.3.
READABLE = 4.5
MOST_NAMED = 100
_FILE = "Correct the programme's file and run: python -m web program update FILE.toml"


def look_at_programs(
    conn: Connection, sealer: Sealer, catalogues: Sequence[str], settings: Settings
) -> Iterator[Finding]:
    """Keys, texts in each language, logo and colour of every programme. `catalogues` are the pages' languages."""
    slugs = sorted(versions(conn))
    if not slugs:
        yield Finding("note", "There is no programme yet.", "Run: python -m web program create FILE.toml")
    for slug in slugs:
        try:
            program = load_program(conn, slug, sealer)
        except CannotOpen:
            yield Finding(
                "wrong",
                f"{slug}: none of PASITO_SECRET_KEYS opens its signing keys, so it cannot be served.",
                "Put back the key that they were sealed with, behind the new one.",
            )
            continue
        if program is not None:
            findings = [*_look_at(conn, program, catalogues, settings)]
            yield from findings or [
                Finding("ok", f"{slug}: complete in {', '.join(program.settings.languages)}.")
            ]
            yield from look_at_webhooks(conn, program.id, slug, sealer)
            yield from _look_at_referrals(conn, program)


def _look_at(
    conn: Connection, program: Program, catalogues: Sequence[str], settings: Settings
) -> Iterator[Finding]:
    slug, decided = program.slug, program.settings
    for language in decided.languages:
        missing = [*_missing(decided, language), *_missing_in_rows(conn, program.id, language)]
        if missing:
            yield Finding("note", f"{slug}: has no {language} for {', '.join(missing)}.", _FILE)
        if language.partition("-")[0] not in catalogues:
            yield Finding(
                "note",
                f"{slug}: offers {language}, but the pages' own words are not translated into it.",
                "Make a catalogue for it: see README.md.",
            )
    if "logo" not in program.images:
        yield Finding("note", f"{slug}: has no logo; its first letter stands in for it.", _FILE)
    on_paper = contrast(decided.brand.colour, PAPER["light"])
    if on_paper < READABLE:
        yield Finding(
            "note",
            f"{slug}: its colour {decided.brand.colour} has a contrast of {on_paper:.1f} on the page; "
            f"links and outlines use a darker shade, with {READABLE} or more.",
        )
    if decided.asks != "email" and not settings.sms_url and not settings.development:
        yield Finding(
            "wrong",
            f"{slug}: asks for phone numbers, but no SMS provider is set.",
            'Set PASITO_SMS_URL and PASITO_SMS_BODY, or asks = "email".',
        )


def _look_at_referrals(conn: Connection, program: Program) -> Iterator[Finding]:
    waiting = len(list_referrals(conn, program.id, state=FLAGGED, most=MOST_NAMED))
    if waiting:
        said = f"{waiting} or more" if waiting == MOST_NAMED else f"{waiting}"
        yield Finding(
            "note",
            f"{program.slug}: {said} referrals wait for a person's judgement.",
            f"Run: python -m web referral review --program {program.slug}",
        )


def _missing(decided: ProgramSettings, language: str) -> Iterator[str]:
    """Texts that the default language has and this one lacks, by their place in the file."""
    first = decided.texts.get(decided.default_language)
    own = decided.texts.get(language)
    for name in first.__struct_fields__ if first else ():
        if getattr(first, name) and not getattr(own, name, None):
            yield f"texts.{name}"
    for place, texts in _localised(decided):
        if texts and not texts.get(language):
            yield place


def _localised(decided: ProgramSettings) -> Iterator[tuple[str, Localised]]:
    for field in decided.fields:
        yield f"fields.{field.key}.label", field.label
        yield f"fields.{field.key}.hint", field.hint
        for option in field.options:
            yield f"fields.{field.key}.options.{option.value}", option.label
    for consent in decided.consents:
        yield f"consents.{consent.purpose}.more", consent.more


def _missing_in_rows(conn: Connection, program_id: str, language: str) -> Iterator[str]:
    for name, title, shown in (
        ("reward", reward.c.title, reward.c.active.is_(True)),
        ("tier", tier.c.name, tier.c.active.is_(True)),
        ("way to earn", earning_flow.c.title, earning_flow.c.active.is_(True)),
        ("campaign", multiplier.c.name, true()),
    ):
        for texts in conn.scalars(select(title).where(title.table.c.program_id == program_id, shown)):
            if texts and not texts.get(language):
                yield f"the {name} {next(iter(texts.values()))!r}"
