"""What becomes due with time, done by hand: after a night without a worker, or to see what a day would bring."""

import asyncio
from datetime import UTC, datetime

import click

from web.cli.base import Context
from web.foundation.database import open_database
from web.foundation.metrics import Metrics
from web.foundation.schema import utc_now
from web.loyalty.chores import chores
from web.loyalty.clock import Clock, Turn
from web.loyalty.programs import Programs


@click.group()
def clock() -> None:
    """What becomes due by the passing of time alone: points, tiers, reservations, checkpoints."""


@clock.command("run")
@click.option("--now", type=click.DateTime(), help="As if it were that moment, in UTC. Nothing undoes it.")
@click.option("--only", help="One chore, by its name.")
@click.pass_obj
def clock_run(context: Context, now: datetime | None, only: str | None) -> None:
    """Do all that is due now, whoever else is at it. Exits with 1 if something failed."""
    known = chores(context.sealer)
    chosen = [chore for chore in known if only in (None, chore.name)]
    if not chosen:
        raise click.ClickException(
            f"There is no chore {only!r}; there are: {', '.join(chore.name for chore in known)}."
        )
    moment = now.replace(tzinfo=UTC) if now else utc_now()

    async def run() -> bool:
        database = open_database(context.settings.database_url)
        clock = Clock(database, Programs(database, context.sealer), Metrics(), known)
        failed = 0
        try:
            for chore in chosen:
                turn = Turn(is_finished=False)
                while not turn.is_finished:
                    turn = await clock.do(chore, moment)
                    failed += turn.failed
                    click.echo(f"{chore.name}: {turn.done} done, {turn.failed} failed")
                    if turn.failed and not turn.done:
                        break
        finally:
            await database.close()
        return bool(failed)

    if asyncio.run(run()):
        raise click.ClickException("Some failed; the log above says which and why.")
