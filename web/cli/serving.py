"""Commands that run the program: the demo, the web processes, the workers, the schema, the doctor."""

import asyncio
import signal
import socket
import sys
from types import FrameType

import click
import msgspec
import uvicorn

from web.app import ROOT
from web.background import run_worker
from web.cli.base import Context
from web.complaints import MIGRATE
from web.demo import SLUG, ensure_demo, link_to_own_pages
from web.doctor import examine
from web.foundation.assets import HTMX_FILE
from web.foundation.database import open_database
from web.foundation.logs import configure_logs
from web.loyalty.api_key import demo_key
from web.migrations import current_revision, head_revision, upgrade
from web.settings import Settings
from web.wallets import open_apple, open_google

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@click.pass_obj
def demo(context: Context) -> None:
    """Make the demo programme if it is missing, and serve it."""
    settings = context.settings
    if not settings.development:
        raise click.ClickException("The demo is for development; PASITO_ENVIRONMENT says production.")
    _ensure_port_is_free(settings)
    upgrade(settings.database_url)
    context.in_transaction(lambda conn: ensure_demo(conn, context.sealer))
    base = settings.base_url
    guest = context.in_transaction(lambda conn: link_to_own_pages(conn, context.program(conn, SLUG), base))
    api_key = context.in_transaction(
        lambda conn: demo_key(conn, context.program(conn, SLUG).id, context.sealer)
    )
    click.echo(
        f"\n  Front door     {base}/{SLUG}"
        f"\n  The sign       {base}/{SLUG}/poster   {base}/{SLUG}/poster?location=malasana&size=a5"
        f"\n  Mailbox        {base}/dev/mailbox"
        f"\n  The phone      {base}/dev/phone"
        f"\n  Health         {base}/health/ready   {base}/metrics"
        f"\n  The API        {base}/schema"
        f"\n  A key for it   {api_key}" + (f"\n  Ana's pages    {guest}\n" if guest else "\n")
    )
    if not (ROOT / "node_modules" / HTMX_FILE).exists():
        click.echo("  htmx is not installed; the pages work without it, as they do without JavaScript.\n")
    _serve(context, 1)


@click.command()
@click.option("--workers", default=1, type=click.IntRange(1, 64), help="Web processes, on PostgreSQL.")
@click.pass_obj
def serve(context: Context, workers: int) -> None:
    """Serve the pages. The schema must be current: see migrate."""
    if workers > 1 and context.settings.database_url.startswith("sqlite"):
        raise click.ClickException("SQLite is for one process. Set DATABASE_URL to a PostgreSQL for more.")
    _ensure_port_is_free(context.settings)
    _serve(context, workers)


@click.command()
@click.pass_obj
def worker(context: Context) -> None:
    """Make deliveries in a process of their own, until told to stop."""
    _ensure_schema_is_current(context)
    asyncio.run(run_worker(context.settings))


@click.command()
@click.pass_obj
def migrate(context: Context) -> None:
    """Bring the database's schema to this version's."""
    upgrade(context.settings.database_url)
    click.echo(f"The schema is at {context.in_transaction(current_revision)}.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A list of findings for a program to read.")
@click.pass_obj
def doctor(context: Context, as_json: bool) -> None:
    """Say in plain words what is missing or wrong. Exits with 1 if something is wrong."""
    findings = asyncio.run(examine(context.settings))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=1).decode())
    else:
        for finding in findings:
            click.echo(f"{SIGNS[finding.level]}  {finding.what}")
            if finding.do:
                click.echo(f"       {finding.do}")
    sys.exit(any(finding.level == "wrong" for finding in findings))


def _serve(context: Context, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first, and the exit code is 0."""
    settings = context.settings
    configure_logs(settings.log_format)
    _ensure_schema_is_current(context)
    _ensure_nobody_else_serves(settings)
    # What is wrong with a certificate shall be said here, in a sentence, and not by each process.
    open_apple(settings)
    open_google(settings)
    # uvicorn ends well and then raises the signal again, which without this would end us with its number.
    signal.signal(signal.SIGTERM, _end_well)
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
        # On a busy machine a process needs longer than uvicorn's five seconds to start; it would be killed for that.
        timeout_worker_healthcheck=60,
        log_config=None,
    )


def _end_well(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _ensure_port_is_free(settings: Settings) -> None:
    try:
        with socket.create_server((settings.host, settings.port), family=_family(settings.host)):
            return
    except OSError as error:
        raise click.ClickException(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}). "
            "Set PORT to a free one, or end the program that has it."
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _ensure_schema_is_current(context: Context) -> None:
    if context.in_transaction(current_revision) != head_revision():
        raise click.ClickException(f"The database's schema is another version's. {MIGRATE}")


def _ensure_nobody_else_serves(settings: Settings) -> None:
    """Raises: DatabaseBusy, where another process serves from the same SQLite file."""

    async def look() -> None:
        await open_database(settings.database_url, serving=True).close()

    asyncio.run(look())
