"""Pages and mails from templates: one Jinja environment for each language, everything compiled at the start.

Names in every template: `_`, `_html`, `ngettext`, `asset` (see `web.foundation.folding`); `lang` and `dir`
for `<html>`; `stylesheet`, the site's CSS for a `<style>` element; `htmx`, the script's address or "" where
it is not installed. Filters: `number`, `decimal(scale)`, `money(currency, scale)`, `date(style)`, `time` (see
`web.foundation.formats`). The last two show moments in the time zone of the context's `timezone`, or of
their own argument `timezone=…`, which a macro imported without context needs.

A `.txt` template is plain text; in all others values are escaped. An unknown name is an error.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from web.foundation.assets import HTMX, Assets
from web.foundation.folding import FoldingEnvironment
from web.foundation.formats import Formats, Style
from web.foundation.languages import Catalogue, Catalogues


class Renderer:
    """The templates of a folder in every language of `catalogues`.

    With `development` a changed template is read again; without, all are compiled here, so that a template
    that does not compile stops the start and no visitor waits for a compiler. Parts, whose names begin with `_`,
    are compiled where they stand.

    `catalogues` stays at hand for texts and formats outside templates: `renderer.catalogues.find("es-MX")`.
    """

    def __init__(
        self, templates: Path, catalogues: Catalogues, assets: Assets, *, development: bool = False
    ) -> None:
        self._folder = templates
        self.catalogues = catalogues
        self._assets = assets
        self._development = development
        self._environments: dict[str, FoldingEnvironment] = {}
        self._compiled: dict[tuple[str, str], Template] = {}
        for language in catalogues.languages:
            environment = self._environment(catalogues.find(language))
            for name in [] if development else environment.list_templates(filter_func=_is_whole):
                self._compiled[name, language] = environment.get_template(name)

    def render(self, name: str, locale: str, /, **context: object) -> str:
        """The template `name` in the language of the tag `locale`, or the nearest that there is.

        TemplateNotFound for an unknown template, UndefinedError for a name that the context lacks.
        """
        template = self._compiled.get((name, locale)) or self._template(name, locale)
        # As `template.render` does, which copies the context three times.
        whole = template.new_context({**template.globals, **context}, shared=True)
        try:
            return "".join(template.root_render_func(whole))
        except Exception:
            template.environment.handle_exception()

    def text(self, locale: str, message: str, /, **values: object) -> str:
        """`message` in the language of `locale`, filled in and not escaped; for a text marked with `N_`."""
        return self.catalogues.find(locale).gettext(message, **values)

    def _template(self, name: str, locale: str) -> Template:
        """For a region (`es-MX`), whose templates are compiled when the first page asks for them."""
        catalogue = self.catalogues.find(locale)
        template = self._environment(catalogue).get_template(name)
        if not self._development:
            self._compiled[name, catalogue.tag] = template
        return template

    def _environment(self, catalogue: Catalogue) -> FoldingEnvironment:
        if known := self._environments.get(catalogue.tag):
            return known
        environment = FoldingEnvironment(
            loader=FileSystemLoader(self._folder),
            autoescape=FoldingEnvironment.is_markup,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=self._development,
            cache_size=-1,
        )
        environment.catalogue = catalogue
        environment.address = self._assets.url
        environment.globals |= {
            "_": catalogue.gettext,
            "ngettext": catalogue.ngettext,
            "asset": self._assets.url,
            "lang": catalogue.tag,
            "dir": catalogue.direction,
            "stylesheet": Markup(self._assets.stylesheet()),  # noqa: S704 (our own file)
            "htmx": self._assets.url(HTMX) if HTMX in self._assets else "",
        }
        environment.filters |= filters(catalogue.formats)
        self._environments[catalogue.tag] = environment
        return environment


def filters(formats: Formats) -> dict[str, Callable[..., str]]:
    """The filters of every template, writing as `formats` does."""

    @pass_context
    def date(
        context: Context, value: dt.date | dt.datetime, style: Style = "medium", timezone: str = ""
    ) -> str:
        if isinstance(value, dt.datetime) and not timezone:
            timezone = context.get("timezone", "")
        return formats.date(value, style, timezone)

    @pass_context
    def time(context: Context, value: dt.datetime | dt.time, timezone: str = "") -> str:
        return formats.time(value, timezone or context.get("timezone", ""))

    return {
        "number": formats.number,
        "decimal": formats.decimal,
        "money": formats.money,
        "date": date,
        "time": time,
    }


def _is_whole(name: str) -> bool:
    *folders, file = name.split("/")
    return not file.startswith(("_", ".")) and not any(folder.startswith(".") for folder in folders)
