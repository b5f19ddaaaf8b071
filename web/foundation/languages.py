"""Languages: which one a person gets, and the texts in it.

English is the source: its text stands in the code and the templates. Every other language is one `.po` file,
read at the start, so that a translation is a text change and nothing has to be built.

In a text, `%(name)s` stands for a value and `%%` for a percent sign; a lone `%` stays as it is. Texts are
escaped where a page shows them, values too (see `web.foundation.rendering`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from gettext import c2py
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from web.foundation.formats import Formats
from web.foundation.negotiation import LONGEST, weights

SOURCE_LANGUAGE = "en"
DOMAIN = "pasito"
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%")
# The longest tag that RFC 5646, 4.4.1 asks everyone to accept.
LONGEST_TAG = 35


def N_(message: str) -> str:  # noqa: N802 (gettext's own name, which translators' tools look for)
    """`message` itself, marked for translation where it is written and translated where it is shown."""
    return message


def choose(offered: Sequence[str], *, link: str = "", customer: str = "", browser: str = "") -> str:
    """The language to answer in: always one of `offered`, the programme's tags with its default first.

    The link's language goes before the customer's own, that before the browser's `Accept-Language` field,
    that before the programme's default. `es-MX` is content with `es` and, failing that, with another `es-…`.
    """
    return _choose(tuple(offered), link[:LONGEST_TAG], customer, browser[:LONGEST])


@lru_cache(maxsize=1024)
def _choose(offered: tuple[str, ...], link: str, customer: str, browser: str) -> str:
    # Browsers of one country send a handful of fields between them, and every page asks this.
    for wanted in (link, customer, *_accepted(browser)):
        if match := _match(wanted.lower()[:LONGEST_TAG], offered):
            return match
    return offered[0]


def _accepted(accept_language: str) -> Iterator[str]:
    acceptable = [choice for choice in weights(accept_language) if choice[1] > 0]
    return (tag for tag, _ in sorted(acceptable, key=lambda choice: -choice[1]))


def _match(wanted: str, offered: Sequence[str]) -> str:
    """The lookup of RFC 4647, 3.4, and then any offered tag of the same language; "" when there is none."""
    if wanted == "*":
        return offered[0]
    subtags = wanted.replace("_", "-").split("-")
    for length in range(len(subtags), 0, -1):
        prefix = "-".join(subtags[:length])
        for tag in offered:
            if tag.lower() == prefix:
                return tag
    return next((tag for tag in offered if tag.lower().split("-")[0] == subtags[0]), "")


def direction(tag: str) -> str:
    """`"rtl"` or `"ltr"`: how the language of `tag` is written. Unknown languages count as left to right."""
    locale = _locale(tag)
    return locale.text_direction if locale else "ltr"


def interpolate(text: str, values: Mapping[str, object]) -> str:
    """`text` with its placeholders filled. KeyError for a placeholder without a value."""
    if "%" not in text:
        return text
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]) if found[1] else "%", text)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The texts of one language, for one region.

    `tag` is what goes into `lang=""` (`es-MX`); `locale` says how numbers and dates are written; `texts`
    gives the forms of each source text, one or `plurals` of them; `form` the index of the one for a number.
    """

    tag: str
    locale: Locale
    texts: Mapping[str, tuple[str, ...]]
    plurals: int
    form: Callable[[int], int]

    @property
    def direction(self) -> str:
        return self.locale.text_direction

    @cached_property
    def formats(self) -> Formats:
        """How the region writes numbers, money and dates; it keeps what it has written once."""
        return Formats(self.locale)

    def text(self, message: str) -> str:
        """The translation of `message` with its placeholders still open, or `message` where there is none."""
        return self.texts.get(message, (message,))[0]

    def forms(self, singular: str, plural: str) -> tuple[str, ...]:
        """The translations of a text with a number, one for each of the language's forms, still open."""
        forms = self.texts.get(singular, ())
        if len(forms) == self.plurals:
            return forms
        return tuple(singular if index == self.form(1) else plural for index in range(self.plurals))

    def gettext(self, message: str, /, **values: object) -> str:
        """`message` in this language, filled in. KeyError for a placeholder without a value."""
        return interpolate(self.text(message), values)

    def ngettext(self, singular: str, plural: str, num: int, /, **values: object) -> str:
        """The form for `num`, filled in; `%(num)s` is the number as the region writes it, unless given."""
        if "num" not in values:
            values["num"] = self.formats.number(num)
        return interpolate(self.forms(singular, plural)[self.form(abs(num))], values)


class Catalogues:
    """All languages that there are texts for."""

    def __init__(self, catalogues: Mapping[str, Catalogue]) -> None:
        self._catalogues = {SOURCE_LANGUAGE: _source(), **catalogues}
        self.find = lru_cache(maxsize=512)(self._find)

    @classmethod
    def load(cls, folder: Path) -> "Catalogues":
        """Reads `{language}/LC_MESSAGES/pasito.po` under `folder`. Fuzzy and empty texts count as missing."""
        return cls({path.parts[-3]: _read(path) for path in po_files(folder)})

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags of all catalogues, the source language first."""
        return tuple(self._catalogues)

    def _find(self, tag: str, fallback: str = SOURCE_LANGUAGE) -> Catalogue:
        """The catalogue for `tag`: its language's texts with its region's numbers and dates.

        A region that is not known gets its language's; a language without texts gets `fallback` (the
        programme's default), and if that has none either, English.
        """
        for candidate in (tag, fallback):
            language = re.split("[-_]", candidate, maxsplit=1)[0].lower()
            if catalogue := self._catalogues.get(language):
                locale = _locale(candidate) or catalogue.locale
                return replace(catalogue, tag=str(locale).replace("_", "-"), locale=locale)
        return self._catalogues[SOURCE_LANGUAGE]


def po_files(folder: Path) -> list[Path]:
    """The catalogues under `folder`, in the order of their languages."""
    return sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def _source() -> Catalogue:
    return Catalogue(SOURCE_LANGUAGE, Locale.parse(SOURCE_LANGUAGE), {}, 2, c2py("n != 1"))


def _read(path: Path) -> Catalogue:
    language = path.parts[-3]
    with path.open("rb") as file:
        catalog = read_po(file, locale=language)
    texts = {}
    for message in catalog:
        forms = translated_forms(message)
        if message.id and all(forms) and not message.fuzzy:
            texts[source_forms(message)[0]] = forms
    locale = Locale.parse(language, sep="-")
    return Catalogue(language, locale, texts, catalog.num_plurals, c2py(catalog.plural_expr))


def source_forms(message: Message) -> tuple[str, ...]:
    """The English of `message`: one text, or singular and plural."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def translated_forms(message: Message) -> tuple[str, ...]:
    """The translation of `message`: one text or one for each plural form, "" where missing."""
    if message.string is None or isinstance(message.string, str):
        return (message.string or "",)
    return tuple(message.string)


def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag[:LONGEST_TAG].replace("_", "-"), sep="-")
    except (ValueError, TypeError, UnknownLocaleError):
        return None
