"""Commands for the design of cards: its versions, and how far the newest has come to the phones."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.loyalty.card_design import CardDesign, begin_again, designs_of, newest_design, pause, resume

PROGRAM = click.option("--program", "slug", required=True, help="The programme's slug.")
LOOK_EVERY_SECONDS = 1.0


@click.group()
def design() -> None:
    """Versions of a programme's cards, and their way to the phones. A worker makes it; these only look and steer."""


@design.command("list")
@PROGRAM
@click.pass_obj
def design_list(context: Context, slug: str) -> None:
    """The versions, the newest first, and what each changed."""
    for each in context.in_transaction(lambda conn: designs_of(conn, context.program(conn, slug).id)):
        click.echo(
            f"{each.number:>5}  {each.created_at:%Y-%m-%d %H:%M}  {each.state:<10}  {each.done:>8} of {each.total:<8}"
            f"  {', '.join(each.changes)}"
        )


@design.command("show")
@PROGRAM
@click.option("--wait", is_flag=True, help="Stay, and show how it goes on, until it is done.")
@click.pass_obj
def design_show(context: Context, slug: str, wait: bool) -> None:
    """How far the newest version is."""
    now = _newest(context, slug)
    while True:
        click.echo(progress(now, datetime.now(UTC)))
        if not wait or now.state != "running":
            return
        time.sleep(LOOK_EVERY_SECONDS)
        now = _newest(context, slug)


@design.command("rollout")
@PROGRAM
@click.pass_obj
def design_rollout(context: Context, slug: str) -> None:
    """Take the newest version to every card once more, from the first one on."""
    _steer(
        context,
        slug,
        lambda conn, program_id: begin_again(conn, program_id) is not None,
        "There is no version yet.",
    )
    click.echo("Begun. `design show --wait` tells how far it is.")


@design.command("pause")
@PROGRAM
@click.pass_obj
def design_pause(context: Context, slug: str) -> None:
    """Let the roll-out rest after the batch that is under way."""
    _steer(context, slug, pause, "No roll-out is under way.")
    click.echo("It rests. `design resume` lets it go on where it is.")


@design.command("resume")
@PROGRAM
@click.pass_obj
def design_resume(context: Context, slug: str) -> None:
    """Let a roll-out that rests go on where it is."""
    _steer(context, slug, resume, "No roll-out rests.")
    click.echo("It goes on. `design show --wait` tells how far it is.")


def progress(design: CardDesign, now: datetime) -> str:
    """One line: how many cards of how many, how fast, how long still."""
    line = f"Version {design.number} ({', '.join(design.changes)}), {design.state}"
    if not design.total:
        return f"{line}: there were no cards yet."
    line += f": {design.done} of {design.total} cards"
    seconds = ((design.ended_at or now) - design.created_at).total_seconds()
    if design.done and seconds > 0:
        line += f", {design.done / seconds:.0f} a second"
        left = max(0, design.total - design.done)
        if design.state == "running" and left:
            line += f", about {left * seconds / design.done:.0f} seconds left"
    return line + "."


def _newest(context: Context, slug: str) -> CardDesign:
    found = context.in_transaction(lambda conn: newest_design(conn, context.program(conn, slug).id))
    if found is None:
        raise click.ClickException("There is no version yet; the server makes the first one when it starts.")
    return found


def _steer(context: Context, slug: str, verb: Callable[[Connection, str], bool], refusal: str) -> None:
    if not context.in_transaction(lambda conn: verb(conn, context.program(conn, slug).id)):
        raise click.ClickException(refusal)
