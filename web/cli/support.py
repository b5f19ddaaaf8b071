"""Commands for whoever helps customers: links, and what did not go out."""

from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation import delivery
from web.foundation.address import BadEmailError, parse_email
from web.foundation.sealing import random_code
from web.foundation.tokens import for_url
from web.loyalty.customer import find_by_address
from web.loyalty.link import make_link


@click.group()
def link() -> None:
    """Links, so that support can help."""


@link.command("download")
@click.option("--program", "slug", required=True)
@click.option("--email", required=True)
@click.pass_obj
def link_download(context: Context, slug: str, email: str) -> None:
    """A one-time link to a customer's card."""
    try:
        address = parse_email(email)
    except BadEmailError:
        raise click.ClickException(f"{email!r} is no e-mail address.") from None

    def work(conn: Connection) -> str:
        program = context.program(conn, slug)
        customer_id = find_by_address(conn, program.id, address, None)
        if customer_id is None:
            raise click.ClickException("There is no such customer in that programme.")
        token = make_link(conn, program, customer_id, "download", jti=random_code(), created_by="support")
        return f"{context.settings.base_url}/{slug}/download?token={for_url(token)}"

    click.echo(context.in_transaction(work))


@click.group("delivery")
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
    count = context.in_transaction(lambda conn: delivery.replay(conn, delivery_id=_known(delivery_id)))
    _say_how_many(count, delivery_id, "started again")


@deliveries.command("drop")
@click.argument("delivery_id")
@click.pass_obj
def delivery_drop(context: Context, delivery_id: str) -> None:
    """Give up one delivery that was put aside, for good."""
    count = context.in_transaction(lambda conn: delivery.drop(conn, str(_known(delivery_id))))
    _say_how_many(count, delivery_id, "dropped")


def _known(delivery_id: str | None) -> str | None:
    """The id in its usual spelling, so that a slip is told by us and not by the database."""
    try:
        return str(UUID(delivery_id)) if delivery_id else None
    except ValueError:
        raise click.ClickException(f"{delivery_id!r} is no id; `delivery dead` lists them.") from None


def _say_how_many(count: int, delivery_id: str | None, done: str) -> None:
    if delivery_id and not count:
        raise click.ClickException(f"Nothing put aside has the id {delivery_id}; `delivery dead` lists it.")
    click.echo(f"{count} {done}.")
