"""Commands for webhooks: where a merchant's own systems are told what happens."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation.delivery import Delivery, release_lanes
from web.foundation.outgoing import Answer, BadTarget, NoAnswer, Outgoing, check_target
from web.foundation.schema import new_id, utc_now
from web.integrations.webhooks.courier import send
from web.integrations.webhooks.endpoint import (
    BY_OPERATOR,
    MOST_ENDPOINTS,
    Endpoint,
    NoSuchEndpoint,
    TooManyEndpoints,
    add_endpoint,
    backlog_of,
    change_endpoint,
    endpoints_of,
    find_endpoint,
    lane_of,
    pause_endpoint,
    remove_endpoint,
    resume_endpoint,
)
from web.integrations.webhooks.envelope import WEBHOOK, tell_again, trial
from web.integrations.webhooks.secret import OVERLAP, rotate_secret, secrets_of
from web.loyalty.event_catalogue import EIGHTEEN, EVENTS, UnknownEvent
from web.loyalty.program import Program

T = TypeVar("T")
FC = TypeVar("FC", bound=Callable[..., Any])

KEEP_IT = "Keep this secret: it is shown this once."


@click.group()
def webhook() -> None:
    """Addresses of a merchant's that are told of events, signed."""


def _one(command: FC) -> FC:
    """The arguments by which a command names one endpoint."""
    command = click.argument("endpoint_id", metavar="ENDPOINT")(command)
    return click.option("--program", "slug", required=True, help="The programme's slug.")(command)


_EVENT = click.option(
    "--event",
    "events",
    multiple=True,
    help="An event by name or handle, as often as needed; without it the eighteen. `webhook events` lists them.",
)


@webhook.command("add")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.argument("url")
@_EVENT
@click.pass_obj
def webhook_add(context: Context, slug: str, url: str, events: tuple[str, ...]) -> None:
    """Tell URL of events from now on, and say with which secret they are signed."""
    _check(context, url)

    def work(conn: Connection) -> tuple[str, str]:
        program = context.program(conn, slug)
        return add_endpoint(conn, program.id, url, context.sealer, events or None)

    endpoint_id, secret = _in_words(lambda: context.in_transaction(work))
    click.echo(f"Endpoint  {endpoint_id}\nSecret    {secret}\n{KEEP_IT}")


@webhook.command("list")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.pass_obj
def webhook_list(context: Context, slug: str) -> None:
    """The endpoints of a programme, and how they are doing."""

    def work(conn: Connection) -> list[tuple[Endpoint, tuple[int, int]]]:
        program_id = context.program(conn, slug).id
        return [(each, backlog_of(conn, program_id, each.id)) for each in endpoints_of(conn, program_id)]

    for endpoint, (waiting, dead) in context.in_transaction(work):
        click.echo(f"{endpoint.id}  {endpoint.url}")
        told = "the eighteen" if endpoint.events == list(EIGHTEEN) else ", ".join(endpoint.events)
        click.echo(f"    told of {told}; {waiting} wait, {dead} were put aside")
        click.echo(f"    {_state(endpoint)}")


def _state(endpoint: Endpoint) -> str:
    if endpoint.paused_at is not None:
        return f"PAUSED since {endpoint.paused_at:%Y-%m-%d %H:%M} UTC: {endpoint.pause_reason}"
    if endpoint.failing_since is not None:
        return f"failing since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
    if endpoint.last_success_at is None:
        return "nothing was sent yet"
    return f"last success {endpoint.last_success_at:%Y-%m-%d %H:%M} UTC"


@webhook.command("events")
def webhook_events() -> None:
    """The events that can be told; those with a plus only to who asks for them by name."""
    for kind in EVENTS.values():
        click.echo(f"{'+' if kind.is_extra else ' '} {kind.name:<28} {kind.handle}")


@webhook.command("change")
@_one
@click.option("--url", help="Another address; letters that wait go there.")
@_EVENT
@click.pass_obj
def webhook_change(
    context: Context, slug: str, endpoint_id: str, url: str | None, events: tuple[str, ...]
) -> None:
    """Another address or other events for ENDPOINT."""
    if url is not None:
        _check(context, url)
    _with_one(
        context,
        slug,
        endpoint_id,
        lambda conn, program, its: change_endpoint(conn, program.id, its, url=url, events=events or None),
    )
    click.echo("Changed.")


@webhook.command("rotate")
@_one
@click.option("--now", is_flag=True, help="Let the old secret sign no more, where it has leaked.")
@click.pass_obj
def webhook_rotate(context: Context, slug: str, endpoint_id: str, now: bool) -> None:
    """Give ENDPOINT a new secret; for a day the old one signs as well."""
    secret = _with_one(
        context,
        slug,
        endpoint_id,
        lambda conn, program, its: rotate_secret(
            conn, program.id, its, context.sealer, OVERLAP * 0 if now else OVERLAP
        ),
    )
    click.echo(f"Secret    {secret}\n{KEEP_IT}")


@webhook.command("pause")
@_one
@click.pass_obj
def webhook_pause(context: Context, slug: str, endpoint_id: str) -> None:
    """Send ENDPOINT nothing for now; what happens meanwhile is kept for 30 days."""
    _with_one(
        context,
        slug,
        endpoint_id,
        lambda conn, program, its: pause_endpoint(conn, program.id, its, BY_OPERATOR),
    )
    click.echo("Paused.")


@webhook.command("resume")
@_one
@click.pass_obj
def webhook_resume(context: Context, slug: str, endpoint_id: str) -> None:
    """Send to ENDPOINT again: first, in order, what waits and what was put aside."""
    count = _with_one(
        context, slug, endpoint_id, lambda conn, program, its: resume_endpoint(conn, program.id, its)
    )
    click.echo(f"Resumed; {count} go out now.")


@webhook.command("replay")
@_one
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="Tell everything since then (UTC) once more, received or not, under the same event ids.",
)
@click.pass_obj
def webhook_replay(context: Context, slug: str, endpoint_id: str, since: datetime | None) -> None:
    """Start again what was put aside for ENDPOINT, or tell it again what happened since a moment."""

    def release(conn: Connection, program: Program, its: str) -> int:
        find_endpoint(conn, program.id, its)
        return release_lanes(conn, program.id, lane_of(its))

    def again(conn: Connection, program: Program, its: str) -> tuple[int, datetime | None]:
        assert begin is not None
        return tell_again(conn, program, find_endpoint(conn, program.id, its), begin)

    begin, count = since.replace(tzinfo=UTC) if since else None, 0
    if begin is None:
        count = _with_one(context, slug, endpoint_id, release)
    while begin is not None:
        more, begin = _with_one(context, slug, endpoint_id, again)
        count += more
    click.echo(f"{count} go out now.")


@webhook.command("remove")
@_one
@click.pass_obj
def webhook_remove(context: Context, slug: str, endpoint_id: str) -> None:
    """Tell ENDPOINT nothing any more; what waits for it is given up."""
    count = _with_one(
        context, slug, endpoint_id, lambda conn, program, its: remove_endpoint(conn, program.id, its)
    )
    click.echo(f"Removed; {count} that waited are given up.")


@webhook.command("test")
@_one
@click.pass_obj
def webhook_test(context: Context, slug: str, endpoint_id: str) -> None:
    """Send ENDPOINT a signed "Webhook test" now, and say how it answered."""

    def read(conn: Connection, program: Program, its: str) -> tuple[Endpoint, list[bytes], dict[str, Any]]:
        return (
            find_endpoint(conn, program.id, its),
            secrets_of(conn, program.id, its, context.sealer),
            trial(program),
        )

    endpoint, secrets, payload = _with_one(context, slug, endpoint_id, read)
    letter = Delivery(
        program_id="",
        id=new_id(),
        kind=WEBHOOK,
        event_id=None,
        payload=payload,
        tries=1,
        created_at=utc_now(),
    )
    private = context.settings.webhook_allow_private
    answer = _in_words(lambda: asyncio.run(_send_once(endpoint.url, letter, secrets, private)))
    said = f"{endpoint.url} answered {answer.status} after {answer.seconds:.2f} seconds."
    if not 200 <= answer.status < 300:
        raise click.ClickException(f"{said} Only 2xx counts as received.")
    click.echo(said)


async def _send_once(url: str, letter: Delivery, secrets: list[bytes], private: bool) -> Answer:
    outgoing = Outgoing(private=private)
    try:
        return await send(outgoing, url, letter, secrets)
    finally:
        await outgoing.close()


def _with_one(
    context: Context, slug: str, endpoint_id: str, work: Callable[[Connection, Program, str], T]
) -> T:
    try:
        its = str(UUID(endpoint_id))
    except ValueError:
        raise click.ClickException(f"{endpoint_id!r} is no id; `webhook list` shows them.") from None
    return _in_words(
        lambda: context.in_transaction(lambda conn: work(conn, context.program(conn, slug), its))
    )


def _check(context: Context, url: str) -> None:
    _in_words(lambda: check_target(url, private=context.settings.webhook_allow_private))


def _in_words(work: Callable[[], T]) -> T:
    """What `work` returns; what can go wrong with it becomes a sentence."""
    try:
        return work()
    except BadTarget as error:
        raise click.ClickException(str(error)) from None
    except NoAnswer as error:
        raise click.ClickException(f"It was not reached: {error}.") from None
    except NoSuchEndpoint as error:
        raise click.ClickException(f"There is no endpoint {error}; `webhook list` shows them.") from None
    except TooManyEndpoints:
        raise click.ClickException(f"A programme has at most {MOST_ENDPOINTS} endpoints.") from None
    except UnknownEvent as error:
        raise click.ClickException(f"Unknown: {error}. `webhook events` lists the events.") from None
