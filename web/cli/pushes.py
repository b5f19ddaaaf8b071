"""Commands for messages to customers' cards."""

import re
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.loyalty.card_message import LONGEST
from web.loyalty.directory import find_customer
from web.loyalty.push_message import LONGEST_URL, REASONS, SWITCHES, URL_PATTERN, Kind, push
from web.loyalty.push_result import Result, result_of


@click.group("push")
def pushes() -> None:
    """Messages to customers' cards."""


@pushes.command("send")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.option(
    "--customer", required=True, help="Their e-mail address, our id, or their id in your own system."
)
@click.option("--text", required=True, help=f"What the phone shows, up to {LONGEST} characters.")
@click.option("--url", help="Opens from the message; http or https.")
@click.option(
    "--kind",
    type=click.Choice([*SWITCHES, "service"]),
    default="marketing",
    show_default=True,
    help="Which of the customer's switches it obeys; marketing may need a consent, service has no switch.",
)
@click.pass_obj
def push_send(context: Context, slug: str, customer: str, text: str, url: str | None, kind: Kind) -> None:
    """Send a message to every phone that holds a customer's card."""
    if not 1 <= len(text.strip()) <= LONGEST:
        raise click.ClickException(f"--text: write 1 to {LONGEST} characters.")
    if url is not None and (len(url) > LONGEST_URL or not re.search(URL_PATTERN, url)):
        raise click.ClickException("--url: write an address like https://example.com/rewards.")

    def work(conn: Connection) -> Result | None:
        program = context.program(conn, slug)
        customer_id = find_customer(conn, program.id, customer)
        if customer_id is None:
            raise click.ClickException("There is no such customer in that programme.")
        sent = push(conn, program, customer_id, text.strip(), kind=kind, url=url, actor="support")
        return result_of(conn, program.id, sent.id)

    _say(context.in_transaction(work))


@pushes.command("show")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.argument("message_id", type=click.UUID)
@click.pass_obj
def push_show(context: Context, slug: str, message_id: UUID) -> None:
    """What became of a message, on each pass."""

    def work(conn: Connection) -> Result | None:
        return result_of(conn, context.program(conn, slug).id, str(message_id))

    _say(context.in_transaction(work))


def _say(result: Result | None) -> None:
    if result is None:
        raise click.ClickException("There is no such message in that programme.")
    why = f": {REASONS[result.reason]}" if result.reason else ""
    until = f" until {result.held_until:%Y-%m-%d %H:%M} UTC" if result.held_until else ""
    click.echo(f"{result.id}  {result.status}{until}{why}")
    for each in result.passes:
        told = "" if each.notified or each.status not in ("sent", "shown") else ", without a notice"
        click.echo(f"  {each.platform:<6} {each.pass_id}  {each.status}{told}")
    if result.url:
        click.echo(f"  its link was tapped {result.clicks} times")
