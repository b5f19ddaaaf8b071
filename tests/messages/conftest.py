"""A renderer with real Jinja and no translations, which shows the English sources."""

import gettext
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_date, format_time
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parents[2] / "templates"


class EnglishRenderer:
    """Renders in English whatever the locale; only the direction follows it."""

    def __init__(self, translations: gettext.NullTranslations | None = None, locale: str = "en") -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=lambda name: name is None or not name.endswith(".txt"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.install_gettext_translations(  # type: ignore[attr-defined]
            translations or gettext.NullTranslations(), newstyle=True
        )

        def date(value: datetime, style: str, timezone: str) -> str:
            return format_date(value.astimezone(ZoneInfo(timezone)).date(), style, locale)

        def time(value: datetime, timezone: str) -> str:
            return format_time(value.astimezone(ZoneInfo(timezone)).time(), "short", locale=locale)

        self._environment.filters |= {"date": date, "time": time}

    def render(self, name: str, locale: str, /, **context: object) -> str:
        direction = "rtl" if locale.startswith("ar") else "ltr"
        return self._environment.get_template(name).render(lang=locale, dir=direction, **context)


@pytest.fixture(scope="session")
def renderer() -> EnglishRenderer:
    return EnglishRenderer()
