"""The translators' side: collecting the project's texts, keeping the `.po` files, finding what is missing.

A file is written so that it changes only where a text does: sorted, without line numbers and dates, one line
for each text. Texts that are gone from the project are dropped; git remembers them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from gettext import c2py
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract as extract_messages
from babel.messages.pofile import generate_po, read_po

from web.foundation.languages import PLACEHOLDER, po_files, source_forms, translated_forms

# `_html` is `_` for a text whose tags are meant (see web.foundation.folding); `text` is the renderer's, whose
# first argument is the language.
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "_html": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "text": (2,),
}
SOURCES: tuple[tuple[str, tuple[str, ...], str, dict[str, str]], ...] = (
    ("templates", (".html", ".txt", ".svg"), "jinja2.ext:babel_extract", {"silent": "false"}),
    ("web", (".py",), "python", {}),
)
TAG = re.compile(r"</?\w[^>]*>")

Missing = dict[str, list[str | list[str]]]
Entries = Mapping[str, Mapping[str, str | Sequence[str]]]


def extract(root: Path) -> Catalog:
    """Every text in the templates and the Python code under `root`, each with the files it stands in.

    A template that does not parse raises jinja2's TemplateSyntaxError.
    """
    found = Catalog(fuzzy=False)
    for folder, suffixes, method, options in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in suffixes:
                continue
            with path.open("rb") as file:
                for _, message, _, _ in extract_messages(method, file, KEYWORDS, options=options):
                    found.add(message, locations=[(path.relative_to(root).as_posix(), 0)])
    return found


def update(root: Path) -> None:
    """Brings every catalogue in `root/locales` up to the texts under `root`; translations are kept."""
    template = extract(root)
    for path in po_files(root / "locales"):
        _write(path, _merge(template, _read(path)))


def missing(root: Path) -> Missing:
    """For each language the texts without a translation; one with a number as `[singular, plural]`.

    This and `fill` make a translation pass: dump as JSON, translate, hand back.
    """
    template = extract(root)
    return {
        _language(path): [
            forms[0] if len(forms := source_forms(message)) == 1 else list(forms)
            for message in _merge(template, _read(path))
            if message.id and not all(translated_forms(message))
        ]
        for path in po_files(root / "locales")
    }


def fill(root: Path, entries: Entries) -> None:
    """Writes translations: `{language: {text: translation}}`, for a text with a number a list of all forms.

    Such a text is named by its singular. All or nothing: ValueError tells of every text that is not in the
    project, has the wrong number of forms, or whose placeholders or tags differ from the source's.
    """
    template = extract(root)
    faults = [f"{language}: there is no such catalogue" for language in entries.keys() - _languages(root)]
    filled = []
    for path in po_files(root / "locales"):
        catalog = _merge(template, _read(path))
        for text, translation in entries.get(_language(path), {}).items():
            message = catalog.get(text)
            if message is None:
                faults.append(f"{_language(path)}: {text!r} is not a text of the project")
                continue
            message.string = translation if isinstance(translation, str) else tuple(translation)
            faults += [f"{_language(path)}: {text!r} {fault}" for fault in _faults(message, catalog)]
        filled.append((path, catalog))
    if faults:
        raise ValueError("\n".join(faults))
    for path, catalog in filled:
        _write(path, catalog)


def problems(root: Path) -> list[str]:
    """What keeps the catalogues in `root/locales` from being complete and sound, one sentence each."""
    template = extract(root)
    return [
        f"{_language(path)}: {source_forms(message)[0]!r} {fault}"
        for path in po_files(root / "locales")
        for catalog in [_merge(template, _read(path))]
        for message in catalog
        if message.id
        for fault in _faults(message, catalog)
    ]


def _faults(message: Message, catalog: Catalog) -> Iterator[str]:
    sources, forms = source_forms(message), translated_forms(message)
    if not all(forms):
        yield "is not translated"
    elif message.fuzzy:
        yield "is marked fuzzy"
    elif len(sources) == 1:
        if len(forms) != 1:
            yield "takes one text, not several forms"
        elif _names(forms[0]) != _names(sources[0]):
            yield f"has other placeholders in {forms[0]!r}"
    elif len(forms) != catalog.num_plurals:
        yield f"takes {catalog.num_plurals} forms, for the numbers {_examples(catalog)}"
    else:
        yield from _plural_faults(sources, forms, catalog)
    if all(forms) and any(_tags(form) != _tags(sources[-1]) for form in forms):
        yield "has other tags than the source"


def _plural_faults(sources: tuple[str, ...], forms: tuple[str, ...], catalog: Catalog) -> Iterator[str]:
    """A form for one number only may leave names out ("no points", "one point"); the others need them all."""
    allowed, needed = _names(*sources), _names(sources[-1])
    for form, examples in zip(forms, _examples(catalog), strict=True):
        if _names(form) - allowed or (len(examples) > 1 and needed - _names(form)):
            yield f"has other placeholders in {form!r}"


def _examples(catalog: Catalog) -> list[list[int]]:
    """For each plural form of the language up to three numbers that take it."""
    form = c2py(catalog.plural_expr)
    examples: list[list[int]] = [[] for _ in range(catalog.num_plurals)]
    for number in range(1000):
        if len(examples[form(number)]) < 3:
            examples[form(number)].append(number)
    return examples


def _names(*texts: str) -> set[str]:
    return {match[1] for text in texts for match in PLACEHOLDER.finditer(text) if match[1]}


def _tags(text: str) -> Counter[str]:
    return Counter(TAG.findall(text))


def _language(path: Path) -> str:
    return path.parts[-3]


def _languages(root: Path) -> set[str]:
    return {_language(path) for path in po_files(root / "locales")}


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=_language(path))


def _merge(template: Catalog, current: Catalog) -> Catalog:
    """The texts of `template`, sorted by file and text, with the translations of `current`."""
    merged = Catalog(locale=current.locale, fuzzy=False)
    texts = [message for message in template if message.id]
    for message in sorted(texts, key=lambda text: (min(text.locations), source_forms(text))):
        old = current.get(source_forms(message)[0])
        if old and len(source_forms(old)) != len(source_forms(message)):
            old = None
        merged.add(
            message.id,
            old.string if old else None,
            locations=sorted(set(message.locations)),
            flags=old.flags & {"fuzzy"} if old else (),
            user_comments=old.user_comments if old else (),
        )
    return merged


def _write(path: Path, catalog: Catalog) -> None:
    header = (
        'msgid ""\nmsgstr ""\n'
        f'"Language: {_language(path)}\\n"\n'
        '"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Content-Transfer-Encoding: 8bit\\n"\n'
        f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    )
    lines = generate_po(catalog, omit_header=True, include_lineno=False, ignore_obsolete=True, width=0)
    path.write_text((header + "".join(lines)).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
