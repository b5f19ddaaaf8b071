"""Commands for referrals that wait for a person's judgement."""

from collections.abc import Callable
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.loyalty.program import Program
from web.loyalty.referral import BLOCKED, FLAGGED, Kept, list_referrals
from web.loyalty.referral_reward import NotWaiting, approve, reject
from web.loyalty.referral_signals import FLAG_AT, REASONS, Person, score
from web.loyalty.referral_start import REASONS as BLOCKED_FOR
from web.loyalty.referral_start import person_of

MOST = 100


@click.group()
def referral() -> None:
    """Referrals: what looks odd waits here for a person's judgement."""


@referral.command("review")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.pass_obj
def referral_review(context: Context, slug: str) -> None:
    """What waits, and why. Nothing was paid for it yet."""

    def work(conn: Connection) -> list[tuple[Kept, Person, Person]]:
        program_id = context.program(conn, slug).id
        return [
            (each, person_of(conn, program_id, each.advocate_id), person_of(conn, program_id, each.friend_id))
            for each in list_referrals(conn, program_id, state=FLAGGED, most=MOST)
        ]

    waiting = context.in_transaction(work)
    for found, advocate, friend in waiting:
        click.echo(
            f"{found.id}  {found.created_at:%Y-%m-%d %H:%M}  {score(found.signals)} of {FLAG_AT} points"
        )
        click.echo(f"  {_said(advocate)} brought {_said(friend)}")
        for signal in found.signals:
            click.echo(f"  - {REASONS[signal]}")
    click.echo(
        f"{len(waiting)} to look at." if len(waiting) < MOST else f"The latest {MOST}; there are more."
    )


@referral.command("approve")
@click.argument("referral_id")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.pass_obj
def referral_approve(context: Context, referral_id: str, slug: str) -> None:
    """It is all right: both get their points."""
    found = _judge(context, slug, referral_id, approve)
    if found.state == BLOCKED:
        raise click.ClickException(f"Approved, but not paid. {BLOCKED_FOR[found.blocked_by or '']}")
    click.echo("Approved. Both have their points.")


@referral.command("reject")
@click.argument("referral_id")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.pass_obj
def referral_reject(context: Context, referral_id: str, slug: str) -> None:
    """It is not: nobody gets points for it, ever."""
    _judge(context, slug, referral_id, reject)
    click.echo("Rejected.")


def _judge(
    context: Context, slug: str, referral_id: str, verdict: Callable[[Connection, Program, str, str], Kept]
) -> Kept:
    try:
        its_id = str(UUID(referral_id))
    except ValueError:
        raise click.ClickException(f"{referral_id!r} is no id; `referral review` lists them.") from None
    try:
        return context.in_transaction(
            lambda conn: verdict(conn, context.program(conn, slug), its_id, "support")
        )
    except NotWaiting:
        raise click.ClickException("No such referral waits; `referral review` lists those that do.") from None


def _said(person: Person) -> str:
    return (
        " / ".join(each for each in (person.name, person.email_key, person.phone) if each) or "somebody gone"
    )
