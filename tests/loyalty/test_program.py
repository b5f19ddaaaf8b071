"""Programmes: made, changed, their wordings kept word for word, and each mistake told in plain words."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from web.foundation.database import Database
from web.foundation.schema import utc_now
from web.foundation.sealing import CannotOpen, Sealer
from web.loyalty.program import (
    Program,
    SlugTaken,
    add_signing_key,
    change_program,
    consent_wording,
    create_program,
    image_of,
    load_program,
    set_image,
    signing_key,
    versions,
)
from web.loyalty.program_settings import (
    RESERVED_SLUGS,
    Consent,
    ExtraField,
    InvalidProgram,
    Option,
    ProgramSettings,
    Texts,
    check_program,
)
from web.loyalty.programs import Programs

NEWS = Consent(purpose="news", wording={"en": "News by e-mail", "es": "Novedades por correo"})
CORNER = ProgramSettings(name="The Corner", languages=("en", "es"), consents=(NEWS,))


async def loaded(database: Database, sealer: Sealer, slug: str = "corner") -> Program:
    found = await database.read(load_program, slug, sealer)
    assert found is not None
    return found


def changed(**changes: Any) -> ProgramSettings:
    return msgspec.structs.replace(CORNER, **changes)


async def test_a_programme_comes_back_as_it_was_made(database: Database, sealer: Sealer) -> None:
    program_id = await database.write(create_program, "corner", CORNER, sealer, {"logo": b"\x89PNG"})
    program = await loaded(database, sealer)
    assert (program.id, program.slug, program.settings) == (program_id, "corner", CORNER)
    assert program.images == {"logo": hashlib.sha256(b"\x89PNG").hexdigest()}
    assert await database.read(image_of, program_id, "logo") == b"\x89PNG"
    assert await database.read(image_of, program_id, "strip") is None
    assert len(program.signing_key.secret) == 32
    assert await database.read(load_program, "nowhere", sealer) is None


async def test_a_name_is_taken_once(database: Database, sealer: Sealer) -> None:
    with pytest.raises(SlugTaken):
        await database.write(create_program, "brewbar", CORNER, sealer)


async def test_a_changed_wording_is_a_new_version_and_the_old_one_stays_word_for_word(
    database: Database, sealer: Sealer
) -> None:
    program_id = await database.write(create_program, "corner", CORNER, sealer)
    first = (await loaded(database, sealer)).wordings["news"]
    assert first.version == 1
    assert first.sha256["es"] == hashlib.sha256(b"Novedades por correo").hexdigest()
    await database.write(change_program, "corner", changed(name="The Other Corner"))
    assert (await loaded(database, sealer)).wordings["news"] == first, "its wording did not change"
    softer = msgspec.structs.replace(
        NEWS, wording={"en": "A letter now and then", "es": "Novedades por correo"}
    )
    await database.write(change_program, "corner", changed(consents=(softer,)))
    second = (await loaded(database, sealer)).wordings["news"]
    assert second.version == 2
    assert second.sha256["es"] == first.sha256["es"]
    await database.write(change_program, "corner", changed(consents=()))
    await database.write(change_program, "corner", changed(consents=(softer,)))
    assert (await loaded(database, sealer)).wordings["news"].version == 2, "asked again in the same words"
    await database.write(change_program, "corner", CORNER)
    assert (await loaded(database, sealer)).wordings["news"].version == 3
    rows = await database.read(
        lambda conn: conn.execute(
            select(consent_wording.c.version, consent_wording.c.locale, consent_wording.c.text)
            .where(consent_wording.c.program_id == program_id)
            .order_by(consent_wording.c.version, consent_wording.c.locale)
        ).all()
    )
    assert [tuple(row) for row in rows] == [
        (1, "en", "News by e-mail"),
        (1, "es", "Novedades por correo"),
        (2, "en", "A letter now and then"),
        (2, "es", "Novedades por correo"),
        (3, "en", "News by e-mail"),
        (3, "es", "Novedades por correo"),
    ]


async def test_a_new_language_is_a_new_wording(database: Database, sealer: Sealer) -> None:
    await database.write(create_program, "corner", CORNER, sealer)
    german = msgspec.structs.replace(NEWS, wording={**NEWS.wording, "de": "Neues per E-Mail"})
    await database.write(change_program, "corner", changed(languages=("en", "es", "de"), consents=(german,)))
    wording = (await loaded(database, sealer)).wordings["news"]
    assert (wording.version, set(wording.sha256)) == (2, {"en", "es", "de"})


async def test_every_change_is_a_new_version_of_the_programme_also_when_many_come_at_once(
    database: Database, sealer: Sealer
) -> None:
    program_id = await database.write(create_program, "corner", CORNER, sealer)
    await asyncio.gather(
        *(database.write(change_program, "corner", changed(name=f"Corner {n}")) for n in range(20))
    )
    assert (await database.read(versions))["corner"] == 21
    await database.write(set_image, program_id, "logo", b"1")
    await database.write(set_image, program_id, "logo", b"2")
    assert (await database.read(versions))["corner"] == 23
    assert await database.read(image_of, program_id, "logo") == b"2"


async def test_a_new_key_signs_and_the_old_one_still_opens(database: Database, sealer: Sealer) -> None:
    program_id = await database.write(create_program, "corner", CORNER, sealer)
    old = (await loaded(database, sealer)).signing_key
    kid = await database.write(add_signing_key, program_id, "corner", sealer, utc_now())
    program = await loaded(database, sealer)
    assert program.signing_key.kid == kid != old.kid
    assert old in program.keys


async def test_its_keys_lie_sealed_and_open_with_ours_only(database: Database, sealer: Sealer) -> None:
    await database.write(create_program, "corner", CORNER, sealer)
    secret = (await loaded(database, sealer)).signing_key.secret
    rows = await database.read(lambda conn: conn.execute(select(signing_key)).all())
    assert secret.hex() not in str(rows)
    with pytest.raises(CannotOpen):
        await database.read(load_program, "corner", Sealer(("another",)))


# What each process holds


async def test_a_process_sees_what_others_change_at_its_next_look(database: Database, sealer: Sealer) -> None:
    programs = Programs(database, sealer)
    assert programs.get("brewbar") is None
    await programs.refresh()
    before = programs.get("brewbar")
    assert before is not None
    assert programs.by_id(before.id) is before
    await programs.refresh()
    assert programs.get("brewbar") is before, "nothing changed, nothing was loaded"
    await database.write(create_program, "corner", CORNER, sealer)
    await database.write(
        change_program, "brewbar", msgspec.structs.replace(before.settings, name="Brewer Bar")
    )
    assert programs.get("corner") is None
    await programs.refresh()
    corner, after = programs.get("corner"), programs.get("brewbar")
    assert corner is not None
    assert after is not None
    assert after.settings.name == "Brewer Bar"
    assert programs.by_id(before.id) is after
    assert {each.slug for each in programs.all()} == {"brewbar", "corner"}


# What a merchant is told

BAD: list[tuple[str, ProgramSettings, str]] = [
    ("v1", CORNER, "slug: 'v1' is taken by the program itself"),
    ("Corner", CORNER, "slug: use 2 to 40 small letters"),
    ("c", CORNER, "slug: use 2 to 40 small letters"),
    ("c" * 41, CORNER, "slug: use 2 to 40 small letters"),
    ("-corner", CORNER, "slug: use"),
    ("cor ner", CORNER, "slug: use"),
    ("corner\n", CORNER, "slug: use"),
    (
        "corner",
        changed(languages=("en", "klingon!"), consents=()),
        "languages: 'klingon!' is no language tag",
    ),
    ("corner", changed(texts={"fr": Texts()}), "texts.fr: is not among languages"),
    ("corner", changed(timezone="Madrid"), "timezone: 'Madrid' is unknown; write one like Europe/Madrid"),
    ("corner", changed(timezone="../etc/passwd"), "timezone:"),
    (
        "corner",
        changed(fields=(ExtraField(key="name", kind="text", label={"en": "N"}),)),
        "'name' is asked for already",
    ),
    (
        "corner",
        changed(fields=(ExtraField(key="a", kind="text", label={"en": "A"}),) * 2),
        "fields: 'a' is there twice",
    ),
    ("corner", changed(fields=(ExtraField(key="a", kind="text", label={}),)), "fields.a.label"),
    (
        "corner",
        changed(fields=(ExtraField(key="a", kind="choice", label={"en": "A"}),)),
        "a choice needs them",
    ),
    (
        "corner",
        changed(
            fields=(
                ExtraField(
                    key="a", kind="text", label={"en": "A"}, options=(Option(value="x", label={"en": "X"}),)
                ),
            )
        ),
        "nothing else has any",
    ),
    ("corner", changed(consents=(NEWS, NEWS)), "each purpose may be asked once"),
    (
        "corner",
        changed(consents=(Consent(purpose="news", wording={"en": "News"}),)),
        "consents.news.wording: give it in every language of the programme (es is missing)",
    ),
]


@pytest.mark.parametrize(("slug", "settings", "words"), BAD)
def test_a_programme_that_cannot_be_served_is_refused_with_the_reason(
    slug: str, settings: ProgramSettings, words: str
) -> None:
    with pytest.raises(InvalidProgram) as caught:
        check_program(slug, settings)
    assert len(caught.value.problems) == 1
    assert words in caught.value.problems[0]


async def test_what_is_refused_leaves_nothing_behind(database: Database, sealer: Sealer) -> None:
    bad = changed(timezone="Madrid")
    with pytest.raises(InvalidProgram):
        await database.write(create_program, "corner", bad, sealer)
    await database.write(create_program, "corner", CORNER, sealer)
    with pytest.raises(InvalidProgram):
        await database.write(change_program, "corner", bad)
    assert (await loaded(database, sealer)).version == 1


async def test_what_is_not_there_cannot_be_changed(database: Database) -> None:
    with pytest.raises(InvalidProgram, match="there is no programme 'nowhere'"):
        await database.write(change_program, "nowhere", CORNER)


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidProgram) as caught:
        check_program("C", changed(timezone="Madrid", texts={"fr": Texts()}))
    assert len(caught.value.problems) == 3


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]", fullmatch=True))
def test_every_plain_name_will_do(slug: str) -> None:
    if slug not in RESERVED_SLUGS:
        check_program(slug, CORNER)


# Which language is shown


def test_a_text_is_said_in_the_language_asked_for_else_the_first_else_any() -> None:
    assert CORNER.say({"en": "Hi", "es": "Hola"}, "es") == "Hola"
    assert CORNER.say({"en": "Hi"}, "es") == "Hi"
    assert CORNER.say({"de": "Hallo"}, "es") == "Hallo"
    assert CORNER.say({}, "es") == ""


def test_each_of_the_merchant_s_words_falls_back_by_itself() -> None:
    settings = changed(
        texts={"en": Texts(tagline="Come in", points_name="Beans"), "es": Texts(points_name="Granos")}
    )
    assert settings.texts_in("es") == Texts(tagline="Come in", points_name="Granos")
    assert settings.texts_in("fr") == Texts(tagline="Come in", points_name="Beans")
