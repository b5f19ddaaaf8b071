"""A programme: one merchant's, with its settings, its pictures, the wording of its consents and its keys."""

import hashlib
import os
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, metadata, new_id, utc_now
from web.foundation.sealing import Sealer
from web.foundation.tokens import Key
from web.loyalty.earning_flow import EarningFlow, flows_of
from web.loyalty.ledger import has_entries
from web.loyalty.location import Shop, on_cards, shops_of
from web.loyalty.program_settings import InvalidProgram, Localised, ProgramSettings, check_program
from web.loyalty.reward import Reward, rewards_of
from web.loyalty.tier import Tier, tiers_of

program = Table(
    "program",
    metadata,
    Column("id", Id, primary_key=True),
    Column("slug", String(40), nullable=False, unique=True),
    Column("settings", Json, nullable=False),
    # Grows with every change, so that each process knows when what it holds in memory is old.
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("version > 0", name="version_counts_up"),
)

program_image = Table(
    "program_image",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# Each wording that was ever shown, word for word: a consent is worth what can be proven about it.
consent_wording = Table(
    "consent_wording",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("purpose", String(40), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("locale", String(16), primary_key=True),
    Column("text", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("kid", String(40), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("retires_at", Moment),
    UniqueConstraint("kid"),
)

# The mark is the logo in the small size that pages show.
ImageKind = Literal["logo", "mark", "icon", "strip", "hero"]


class SlugTaken(Exception):
    """Another programme has this slug."""


class Wording(msgspec.Struct, frozen=True):
    """The current wording of one purpose: version and, by language, the SHA-256 of the text."""

    version: int
    sha256: dict[str, str]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A programme as the processes hold it in memory. `images` are SHA-256 sums by kind, not the pictures.

    `tiers` (lowest first), `rewards` (cheapest first) and `flows` are for showing; what decides about points reads them
    again.
    """

    id: str
    slug: str
    version: int
    settings: ProgramSettings
    wordings: dict[str, Wording]
    keys: tuple[Key, ...]
    images: dict[str, str]
    tiers: tuple[Tier, ...] = ()
    rewards: tuple[Reward, ...] = ()
    flows: tuple[EarningFlow, ...] = ()
    # The shops that cards name.
    shops: tuple[Shop, ...] = ()

    @property
    def signing_key(self) -> Key:
        return next(key for key in reversed(self.keys) if key.retires_at is None)


def create_program(
    conn: Connection,
    slug: str,
    settings: ProgramSettings,
    sealer: Sealer,
    images: dict[ImageKind, bytes] | None = None,
) -> str:
    """A new programme with its first signing key; returns its id.

    Raises: InvalidProgram, SlugTaken.
    """
    check_program(slug, settings)
    if conn.scalar(select(program.c.id).where(program.c.slug == slug)) is not None:
        raise SlugTaken(slug)
    program_id, now = new_id(), utc_now()
    conn.execute(
        insert(program).values(
            id=program_id,
            slug=slug,
            settings=msgspec.to_builtins(settings),
            version=1,
            created_at=now,
            updated_at=now,
        )
    )
    _keep_wordings(conn, program_id, settings, now)
    add_signing_key(conn, program_id, slug, sealer, now)
    for kind, content in (images or {}).items():
        set_image(conn, program_id, kind, content)
    return program_id


def change_program(conn: Connection, slug: str, settings: ProgramSettings) -> str:
    """New settings for a programme, which every process sees within seconds. Returns its id.

    Raises: InvalidProgram.
    """
    check_program(slug, settings)
    _keep_scale(conn, slug, settings)
    now = utc_now()
    program_id: str | None = conn.scalar(
        update(program)
        .where(program.c.slug == slug)
        .values(settings=msgspec.to_builtins(settings), version=program.c.version + 1, updated_at=now)
        .returning(program.c.id)
    )
    if program_id is None:
        raise InvalidProgram([f"slug: there is no programme {slug!r}."])
    _keep_wordings(conn, program_id, settings, now)
    return program_id


def _keep_scale(conn: Connection, slug: str, settings: ProgramSettings) -> None:
    known = conn.execute(select(program.c.id, program.c.settings).where(program.c.slug == slug)).one_or_none()
    if known and known.settings.get("scale", 0) != settings.scale and has_entries(conn, known.id):
        raise InvalidProgram(
            ["scale: points were booked already, and what they mean cannot change any more."]
        )


def set_image(conn: Connection, program_id: str, kind: ImageKind, content: bytes) -> None:
    """Replace one picture. The bytes must have been decoded and encoded again by whoever took them in."""
    conn.execute(
        delete(program_image).where(program_image.c.program_id == program_id, program_image.c.kind == kind)
    )
    conn.execute(
        insert(program_image).values(
            program_id=program_id, kind=kind, content=content, sha256=hashlib.sha256(content).hexdigest()
        )
    )
    conn.execute(
        update(program)
        .where(program.c.id == program_id)
        .values(version=program.c.version + 1, updated_at=utc_now())
    )


def image_of(conn: Connection, program_id: str, kind: str) -> bytes | None:
    return conn.scalar(
        select(program_image.c.content).where(
            program_image.c.program_id == program_id, program_image.c.kind == kind
        )
    )


def add_signing_key(conn: Connection, program_id: str, slug: str, sealer: Sealer, now: datetime) -> str:
    """Add a key that signs from now on; older ones keep verifying until they retire. Returns its id."""
    kid = f"{slug}-{now:%Y%m%d}-{os.urandom(4).hex()}"
    conn.execute(
        insert(signing_key).values(
            program_id=program_id,
            kid=kid,
            sealed=sealer.seal(os.urandom(32), f"signing_key/{program_id}/{kid}"),
            created_at=now,
        )
    )
    return kid


def rotate_signing_key(conn: Connection, rotated: Program, sealer: Sealer, retire_in: timedelta) -> str:
    """Let a new key sign and the present ones retire; one that retires sooner already keeps its day.

    Returns the new key's id. Every process has it within seconds.
    """
    now = utc_now()
    conn.execute(
        update(signing_key)
        .where(
            signing_key.c.program_id == rotated.id,
            signing_key.c.retires_at.is_(None) | (signing_key.c.retires_at > now + retire_in),
        )
        .values(retires_at=now + retire_in)
    )
    kid = add_signing_key(conn, rotated.id, rotated.slug, sealer, now)
    conn.execute(
        update(program)
        .where(program.c.id == rotated.id)
        .values(version=program.c.version + 1, updated_at=now)
    )
    return kid


def reseal_signing_keys(conn: Connection, sealer: Sealer) -> int:
    """Seal every programme's keys with the sealer's first secret; returns how many. Raises: CannotOpen."""
    keys = conn.execute(select(signing_key.c.program_id, signing_key.c.kid, signing_key.c.sealed)).all()
    for row in keys:
        context = f"signing_key/{row.program_id}/{row.kid}"
        conn.execute(
            update(signing_key)
            .where(signing_key.c.program_id == row.program_id, signing_key.c.kid == row.kid)
            .values(sealed=sealer.seal(sealer.open(row.sealed, context), context))
        )
    return len(keys)


def versions(conn: Connection) -> dict[str, int]:
    """Slug and version of every programme: all that a process needs to see whether it is up to date."""
    return {row.slug: row.version for row in conn.execute(select(program.c.slug, program.c.version))}


def load_program(conn: Connection, slug: str, sealer: Sealer) -> Program | None:
    """A programme by its slug, with its open keys; None if there is none."""
    row = conn.execute(select(program).where(program.c.slug == slug)).one_or_none()
    if row is None:
        return None
    keys = conn.execute(
        select(signing_key).where(signing_key.c.program_id == row.id).order_by(signing_key.c.created_at)
    ).all()
    images = conn.execute(
        select(program_image.c.kind, program_image.c.sha256).where(program_image.c.program_id == row.id)
    ).all()
    return Program(
        id=row.id,
        slug=row.slug,
        version=row.version,
        settings=msgspec.convert(row.settings, ProgramSettings, strict=False),
        wordings=_current_wordings(conn, row.id),
        keys=tuple(
            Key(
                kid=key.kid,
                secret=sealer.open(key.sealed, f"signing_key/{row.id}/{key.kid}"),
                retires_at=key.retires_at,
            )
            for key in keys
        ),
        images={image.kind: image.sha256 for image in images},
        tiers=tuple(tiers_of(conn, row.id)),
        rewards=tuple(rewards_of(conn, row.id)),
        flows=tuple(flows_of(conn, row.id)),
        shops=on_cards(shops_of(conn, row.id)),
    )


def _keep_wordings(conn: Connection, program_id: str, settings: ProgramSettings, now: datetime) -> None:
    current = _current_wordings(conn, program_id)
    for consent in settings.consents:
        wanted = {locale: _sum_of(consent.wording, locale) for locale in settings.languages}
        known = current.get(consent.purpose)
        if known is not None and known.sha256 == wanted:
            continue
        conn.execute(
            insert(consent_wording),
            [
                {
                    "program_id": program_id,
                    "purpose": consent.purpose,
                    "version": known.version + 1 if known else 1,
                    "locale": locale,
                    "text": consent.wording[locale],
                    "sha256": sha256,
                    "created_at": now,
                }
                for locale, sha256 in wanted.items()
            ],
        )


def _current_wordings(conn: Connection, program_id: str) -> dict[str, Wording]:
    rows = conn.execute(
        select(
            consent_wording.c.purpose,
            consent_wording.c.version,
            consent_wording.c.locale,
            consent_wording.c.sha256,
        )
        .where(consent_wording.c.program_id == program_id)
        .order_by(consent_wording.c.version)
    )
    latest: dict[str, Any] = {}
    for row in rows:
        if row.purpose not in latest or latest[row.purpose].version < row.version:
            latest[row.purpose] = Wording(row.version, {})
        latest[row.purpose].sha256[row.locale] = row.sha256
    return latest


def _sum_of(wording: Localised, locale: str) -> str:
    return hashlib.sha256(wording[locale].encode()).hexdigest()
