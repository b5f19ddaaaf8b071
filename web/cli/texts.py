"""Commands for those who write and translate."""

from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from web.app import ROOT, load_assets, load_renderer
from web.cli.base import Context
from web.foundation import translation
from web.messages.previews import write_previews


@click.command()
@click.option("--into", default="mails", type=click.Path(path_type=Path), show_default=True)
@click.pass_obj
def mails(context: Context, into: Path) -> None:
    """Write a preview of every mail and text message, in every language."""
    renderer = load_renderer(load_assets(context.settings), development=True)
    count = write_previews(renderer, into)
    click.echo(f"{count} previews: open {into / 'index.html'}")


@click.command()
@click.option("--missing", "show_missing", is_flag=True, help="Print what has no translation, as JSON.")
@click.option("--fill", type=click.File("rb"), help="Take translations from such a JSON.")
def translate(show_missing: bool, fill: BinaryIO | None) -> None:
    """Bring the translation catalogues up to date with the texts in templates and code."""
    if fill is not None:
        try:
            translation.fill(ROOT, msgspec.json.decode(fill.read()))
        except (ValueError, msgspec.DecodeError) as error:
            raise click.ClickException(str(error)) from None
    translation.update(ROOT)
    if show_missing:
        click.echo(msgspec.json.format(msgspec.json.encode(translation.missing(ROOT)), indent=1).decode())
    else:
        for problem in translation.problems(ROOT):
            click.echo(problem)
