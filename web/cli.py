"""Commands. Each says what it did in one line, and fails with a sentence that says what to do."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import uvicorn
from sqlalchemy.engine import Connection

from web.app import ROOT
from web.demo import SLUG, ensure_demo
from web.foundation import delivery, translation
from web.foundation.address import BadEmailError, parse_email
from web.foundation.database import DatabaseBusy
from web.foundation.sealing import Sealer, random_code
from web.foundation.tokens import for_url
from web.loyalty import program as programs
from web.loyalty.customer import find_by_address
from web.loyalty.link import make_link
from web.loyalty.program_settings import InvalidProgram, ProgramSettings
from web.migrations import current_revision, head_revision, upgrade, with_connection
from web.program_file import create_from_file, read_program_file, update_from_file
from web.settings import Settings, SettingsError, load_settings
from web.wallets import apple_certificates, open_google

T = TypeVar("T")


@dataclass
class Context:
    """What the commands share: the settings, read once."""

    settings: Settings

    def __post_init__(self) -> None:
        self.sealer = Sealer(self.settings.secret_keys)

    def in_transaction(self, work: Callable[[Connection], T]) -> T:
        return with_connection(self.settings.database_url, work)


@click.group()
@click.pass_context
def commands(context: click.Context) -> None:
    """Pasito: from a sign in the shop to a card in the phone's wallet."""
    try:
        context.obj = Context(load_settings())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@commands.command()
@click.pass_obj
def demo(context: Context) -> None:
    """Make the demo programme if it is missing, and serve it."""
    settings = context.settings
    if not settings.development:
        raise click.ClickException("The demo is for development; PASITO_ENVIRONMENT says production.")
    upgrade(settings.database_url)
    context.in_transaction(lambda conn: ensure_demo(conn, context.sealer))
    apple_certificates(settings)
    open_google(settings)
    base = settings.base_url
    click.echo(
        f"\n  Front door     {base}/{SLUG}"
        f"\n  The sign       {base}/{SLUG}/poster   {base}/{SLUG}/poster?location=malasana&size=a5"
        f"\n  Mailbox        {base}/dev/mailbox"
        f"\n  Health         {base}/health/ready   {base}/metrics\n"
    )
    _serve(settings, 1)


@commands.command()
@click.option("--workers", default=1, help="Web processes; more than one needs PostgreSQL.")
@click.pass_obj
def serve(context: Context, workers: int) -> None:
    """Serve the pages. The schema must be current: see migrate."""
    if workers > 1 and context.settings.database_url.startswith("sqlite"):
        raise click.ClickException("SQLite is for one process. Set DATABASE_URL to a PostgreSQL for more.")
    _serve(context.settings, workers)


@commands.command()
@click.pass_obj
def worker(context: Context) -> None:
    """Make deliveries in a process of their own, until told to stop."""
    from web.background import run_worker

    _run(run_worker(context.settings))


@commands.command()
@click.pass_obj
def migrate(context: Context) -> None:
    """Bring the database's schema to this version's."""
    upgrade(context.settings.database_url)
    click.echo(f"The schema is at {context.in_transaction(current_revision)}.")


@commands.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Say in plain words what is missing or wrong. Exits with 1 if something is wrong."""
    from web.doctor import examine

    findings = _run(examine(context.settings))
    signs = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}
    for finding in findings:
        click.echo(
            f"{signs[finding.level]}  {finding.what}" + (f"\n       {finding.do}" if finding.do else "")
        )
    if any(finding.level == "wrong" for finding in findings):
        sys.exit(1)


@commands.group()
def program() -> None:
    """Programmes: one for each merchant."""


@program.command("create")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--slug", help="Without a file: the name in addresses, like brewbar.")
@click.option("--name", help="Without a file: the name that customers see.")
@click.option("--colour", default="#6b4226", show_default=True)
@click.option("--languages", default="en", show_default=True, help="With commas; the first is the default.")
@click.option("--country", default="GB", show_default=True, help="For phone numbers without a country code.")
@click.option("--timezone", default="UTC", show_default=True)
@click.option("--asks", type=click.Choice(["email", "phone", "either"]), default="email", show_default=True)
@click.pass_obj
def program_create(context: Context, file: Path | None, slug: str, name: str, **options: str) -> None:
    """Make a programme, from a TOML FILE or from options."""

    def work(conn: Connection) -> str:
        if file is not None:
            create_from_file(conn, file, context.sealer)
            return read_program_file(file).slug
        if not slug or not name:
            raise InvalidProgram(["Give a file, or --slug and --name."])
        settings = msgspec.convert(
            {
                "name": name,
                "languages": [code.strip() for code in options["languages"].split(",")],
                "brand": {"colour": options["colour"]},
                "country": options["country"],
                "timezone": options["timezone"],
                "asks": options["asks"],
            },
            ProgramSettings,
        )
        programs.create_program(conn, slug, settings, context.sealer)
        return slug

    made = _or_complain(context, work)
    click.echo(f"Made. Its front door is {context.settings.base_url}/{made}")


@program.command("update")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def program_update(context: Context, file: Path) -> None:
    """Give a programme the settings and pictures of a TOML FILE; a running server shows them within seconds."""
    _or_complain(context, lambda conn: update_from_file(conn, file))
    click.echo("Changed.")


@program.command("list")
@click.pass_obj
def program_list(context: Context) -> None:
    """All programmes, with the version of their settings."""
    for slug, version in sorted(context.in_transaction(programs.versions).items()):
        click.echo(f"{slug:<40} version {version}")


@program.command("show")
@click.argument("slug")
@click.pass_obj
def program_show(context: Context, slug: str) -> None:
    """A programme's settings as JSON."""
    found = context.in_transaction(lambda conn: programs.load_program(conn, slug, context.sealer))
    if found is None:
        raise click.ClickException(f"There is no programme {slug!r}; `program list` names them.")
    click.echo(msgspec.json.format(msgspec.json.encode(found.settings), indent=2).decode())


@commands.group()
def link() -> None:
    """Links, so that support can help."""


@link.command("download")
@click.option("--program", "slug", required=True)
@click.option("--email", required=True)
@click.pass_obj
def link_download(context: Context, slug: str, email: str) -> None:
    """A one-time link to a customer's card."""

    def work(conn: Connection) -> str:
        found = programs.load_program(conn, slug, context.sealer)
        try:
            address = parse_email(email)
        except BadEmailError:
            raise InvalidProgram([f"{email!r} is no e-mail address."]) from None
        customer_id = find_by_address(conn, found.id, address, None) if found else None
        if found is None or customer_id is None:
            raise InvalidProgram(["There is no such customer in that programme."])
        token = make_link(conn, found, customer_id, "download", jti=random_code(), created_by="support")
        return f"{context.settings.base_url}/{slug}/download?token={for_url(token)}"

    click.echo(_or_complain(context, work))


@commands.group("delivery")
def deliveries() -> None:
    """What goes out: mails, text messages, updates."""


@deliveries.command("dead")
@click.pass_obj
def delivery_dead(context: Context) -> None:
    """What was put aside after its last try, and why."""
    rows = context.in_transaction(delivery.dead_letters)
    for row in rows:
        click.echo(f"{row['id']}  {row['kind']:<14} {row['tries']} tries  {row['last_error']}")
    click.echo(f"{len(rows)} put aside.")


@deliveries.command("replay")
@click.argument("delivery_id", required=False)
@click.pass_obj
def delivery_replay(context: Context, delivery_id: str | None) -> None:
    """Start what was put aside again: all of it, or one delivery."""
    count = context.in_transaction(lambda conn: delivery.replay(conn, delivery_id=delivery_id))
    click.echo(f"{count} started again.")


@commands.command()
@click.option("--into", default="mails", type=click.Path(path_type=Path), show_default=True)
@click.pass_obj
def mails(context: Context, into: Path) -> None:
    """Write a preview of every mail and text message, in every language."""
    from web.app import load_assets, load_renderer
    from web.messages.previews import write_previews

    renderer = load_renderer(load_assets(context.settings), development=True)
    count = write_previews(renderer, into)
    click.echo(f"{count} previews: open {into / 'index.html'}")


@commands.command()
@click.option("--missing", "show_missing", is_flag=True, help="Print what has no translation, as JSON.")
@click.option("--fill", type=click.File("rb"), help="Take translations from such a JSON.")
def translate(show_missing: bool, fill: Any) -> None:
    """Bring the translation catalogues up to date with the texts in templates and code."""
    if fill is not None:
        translation.fill(ROOT, msgspec.json.decode(fill.read()))
    translation.update(ROOT)
    if show_missing:
        click.echo(msgspec.json.format(msgspec.json.encode(translation.missing(ROOT)), indent=1).decode())
    else:
        for problem in translation.problems(ROOT):
            click.echo(problem)


def _or_complain(context: Context, work: Callable[[Connection], T]) -> T:
    try:
        return context.in_transaction(work)
    except (InvalidProgram, msgspec.ValidationError) as error:
        raise click.ClickException(str(error)) from None
    except programs.SlugTaken as error:
        raise click.ClickException(
            f"There is a programme {str(error)!r} already; `program update` changes it."
        ) from None


def _serve(settings: Settings, workers: int) -> None:
    if with_connection(settings.database_url, current_revision) != head_revision():
        raise click.ClickException("The database's schema is another version's. Run: python -m web migrate")
    if workers > 1:
        # Each process opens its own connections after the fork, so the app is named, not handed over.
        os.environ.setdefault("PORT", str(settings.port))
    uvicorn.run(
        "web.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=30,
        log_config=None,
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except DatabaseBusy as error:
        raise click.ClickException(str(error)) from None


def main() -> None:
    """Entry of `python -m web`."""
    commands(prog_name="python -m web")
