"""Phones that hold cards, where an operator has to look."""

import click

from web.cli.base import Context
from web.wallet.apple.phone_log import MOST_KEPT, complaints


@click.group()
def passkit() -> None:
    """Apple's web service: what phones say."""


@passkit.command("log")
@click.option(
    "--most", type=click.IntRange(1, MOST_KEPT), default=50, show_default=True, help="So many at most."
)
@click.pass_obj
def passkit_log(context: Context, most: int) -> None:
    """What phones complained of, the newest first; each different complaint once."""
    told = context.in_transaction(lambda conn: complaints(conn, most))
    for each in told:
        times = "once" if each.count == 1 else f"{each.count} times"
        click.echo(f"{each.last_at:%Y-%m-%d %H:%M} UTC  {times}  {each.message}")
    click.echo(f"{len(told)} different complaints." if told else "No phone complained.")
