"""Commands for the keys with which a merchant's own systems call the API."""

from datetime import timedelta
from typing import get_args

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation.schema import is_id, utc_now
from web.loyalty.api_key import Scope, keys_of, make_key, revoke_key


@click.group()
def api() -> None:
    """The keys with which a merchant's own systems call the API."""


@api.command("create")
@click.option("--program", "slug", required=True)
@click.option("--name", default="API", show_default=True, help="Where it will be used.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(get_args(Scope)),
    default=("read", "write"),
    show_default=True,
    help="read sees, write changes customers, admin changes the programme and its keys. As often as needed.",
)
@click.option("--expires-in", "days", type=click.IntRange(1), help="Days; without it the key does not end.")
@click.pass_obj
def create(context: Context, slug: str, name: str, scopes: tuple[Scope, ...], days: int | None) -> None:
    """Make a key and show its secret, this once."""

    def work(conn: Connection) -> str:
        expires_at = utc_now() + timedelta(days=days) if days else None
        return make_key(conn, context.program(conn, slug).id, name[:80], scopes, expires_at)[1]

    click.echo(context.in_transaction(work))


@api.command("list")
@click.option("--program", "slug", required=True)
@click.pass_obj
def list_keys(context: Context, slug: str) -> None:
    """The keys of a programme, the newest first, without their secrets."""
    now = utc_now()
    for key in context.in_transaction(lambda conn: keys_of(conn, context.program(conn, slug).id)):
        state = "revoked" if key.revoked_at else "good" if key.is_good(now) else "over"
        used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
        click.echo(
            f"{key.id}  {key.prefix:<8}  {state:<7}  {','.join(key.scopes):<16}  {used:<21}  {key.name}"
        )


@api.command("revoke")
@click.argument("key_id")
@click.option("--program", "slug", required=True)
@click.pass_obj
def revoke(context: Context, key_id: str, slug: str) -> None:
    """End the key of that id at once."""

    def work(conn: Connection) -> bool:
        return is_id(key_id) and revoke_key(conn, context.program(conn, slug).id, key_id)

    if not context.in_transaction(work):
        raise click.ClickException(f"There is no such key; `key api list --program {slug}` names them.")
    click.echo("Revoked.")
