"""The translators' side: what is collected, what is kept, and what counts as missing."""

import json
from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError

from web.foundation.translation import extract, fill, missing, problems, update

ROOT = Path(__file__).parents[2]

EMPTY = 'msgid ""\nmsgstr ""\n"Language: {0}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'

ARABIC_POINTS = ["لا نقاط", "نقطة", "نقطتان", "%(num)s نقاط", "%(num)s نقطة", "%(num)s نقطة"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for language in ("ar", "es"):
        folder = tmp_path / "locales" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "pasito.po").write_text(EMPTY.format(language), encoding="utf-8")
    (tmp_path / "templates" / "emails").mkdir(parents=True)
    (tmp_path / "web").mkdir()
    (tmp_path / "templates" / "page.html").write_text(
        '{{ _("Hi %(name)s", name=customer.name) }}\n'
        '{{ ngettext("%(num)s point", "%(num)s points", balance) }}\n'
        '{{ _html("Read <a href=\\"%(url)s\\">this</a>", url=terms) }}{{ _(variable) }}\n'
    )
    (tmp_path / "templates" / "emails" / "card.txt").write_text('{{ _("Your card") }}')
    (tmp_path / "web" / "errors.py").write_text(
        'TITLE = N_("Not found")\nsubject = _("Your card")\nother = catalogue.gettext("Try again")\n'
        'title = renderer.text(language, "Welcome")\nquery = text("SELECT 1")\n'
    )
    return tmp_path


def po(project: Path, language: str = "es") -> Path:
    return project / "locales" / language / "LC_MESSAGES" / "pasito.po"


LINK = 'Read <a href="%(url)s">this</a>'
SPANISH = {
    "Hi %(name)s": "Hola, %(name)s",
    "%(num)s point": ["%(num)s punto", "%(num)s puntos"],
    LINK: 'Lee <a href="%(url)s">esto</a>',
    "Your card": "Tu tarjeta",
    "Not found": "No existe",
    "Try again": "Inténtalo otra vez",
    "Welcome": "Te damos la bienvenida",
}


def test_texts_are_collected_from_templates_and_code(project: Path) -> None:
    texts = {message.id for message in extract(project) if message.id}
    assert texts == {
        "Hi %(name)s",
        ("%(num)s point", "%(num)s points"),
        LINK,
        "Your card",
        "Not found",
        "Try again",
        "Welcome",
    }


def test_a_template_that_does_not_parse_stops_the_collecting(project: Path) -> None:
    (project / "templates" / "broken.html").write_text('{% if %}{{ _("lost") }}')
    with pytest.raises(TemplateSyntaxError):
        extract(project)


def test_missing_texts_are_listed_so_that_they_can_be_handed_to_a_translator(project: Path) -> None:
    listed = missing(project)
    assert json.loads(json.dumps(listed)) == listed
    assert set(listed) == {"ar", "es"}
    assert ["%(num)s point", "%(num)s points"] in listed["es"]
    assert "Your card" in listed["ar"]
    assert len(listed["es"]) == len(SPANISH)


def test_what_was_filled_in_is_missing_no_more(project: Path) -> None:
    fill(project, {"es": SPANISH})
    assert missing(project)["es"] == []
    assert not [problem for problem in problems(project) if problem.startswith("es")]
    assert len(problems(project)) == len(SPANISH)


def test_arabic_needs_all_six_forms_and_may_leave_the_number_out_of_none_one_and_two(project: Path) -> None:
    with pytest.raises(ValueError, match="takes 6 forms"):
        fill(project, {"ar": {"%(num)s point": ARABIC_POINTS[:2]}})
    fill(project, {"ar": {"%(num)s point": ARABIC_POINTS}})
    assert ["%(num)s point", "%(num)s points"] not in missing(project)["ar"]
    with pytest.raises(ValueError, match="other placeholders"):
        fill(project, {"ar": {"%(num)s point": [*ARABIC_POINTS[:5], "نقطة"]}})


@pytest.mark.parametrize(
    ("text", "translation", "fault"),
    [
        ("Hi %(name)s", "Hola", "other placeholders"),
        ("Hi %(name)s", "Hola, %(nombre)s", "other placeholders"),
        ("%(num)s point", ["un punto", "puntos"], "other placeholders"),
        ("%(num)s point", "%(num)s punto", "takes 2 forms"),
        ("Your card", ["Tu tarjeta", "Tus tarjetas"], "takes one text"),
        ("Your card", "<b>Tu tarjeta</b>", "other tags"),
        (LINK, 'Lee <a href="//elsewhere.example">%(url)s</a>', "other tags"),
        ("Your card", "", "not translated"),
        ("Farewell", "Adiós", "not a text of the project"),
    ],
)
def test_a_wrong_translation_is_refused_and_nothing_is_written(
    project: Path, text: str, translation: str | list[str], fault: str
) -> None:
    before = po(project).read_bytes()
    with pytest.raises(ValueError, match=fault):
        fill(project, {"es": {**SPANISH, text: translation}})
    assert po(project).read_bytes() == before


def test_a_language_without_a_catalogue_is_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="no such catalogue"):
        fill(project, {"de": {"Your card": "Deine Karte"}})


def test_an_update_keeps_translations_drops_what_is_gone_and_adds_what_is_new(project: Path) -> None:
    fill(project, {"es": SPANISH})
    (project / "web" / "errors.py").write_text('TITLE = N_("Not found")\nMORE = N_("Gone")\n')
    update(project)
    written = po(project).read_text(encoding="utf-8")
    assert "No existe" in written
    assert "Try again" not in written
    assert missing(project)["es"] == ["Gone"]


def test_a_file_changes_only_where_a_text_does(project: Path) -> None:
    fill(project, {"es": SPANISH})
    before = po(project).read_bytes()
    page = project / "templates" / "page.html"
    page.write_text("\n\n" + page.read_text() + "<p>" + "long " * 100 + "</p>")
    update(project)
    assert po(project).read_bytes() == before
    (project / "web" / "more.py").write_text('MORE = N_("' + "Long " * 40 + '")\n')
    update(project)
    changed = set(po(project).read_bytes().splitlines()) - set(before.splitlines())
    assert len(changed) == 2  # the text, and the file that it stands in
    assert b"POT-Creation-Date" not in before


def test_a_fuzzy_text_is_a_problem_and_stays_one_after_an_update(project: Path) -> None:
    fill(project, {"es": SPANISH})
    text = po(project).read_text(encoding="utf-8")
    po(project).write_text(text.replace('msgid "Your card"', '#, fuzzy\nmsgid "Your card"'), encoding="utf-8")
    update(project)
    assert "es: 'Your card' is marked fuzzy" in problems(project)


def test_spanish_and_arabic_are_complete() -> None:
    """Every text of the project; `python -m web translate` brings the files up to date."""
    assert problems(ROOT) == []
