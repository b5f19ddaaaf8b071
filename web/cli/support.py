"""Commands for whoever helps customers: links, and what did not go out."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation import delivery
from web.foundation.address import BadEmailError, BadPhoneError, parse_email, parse_phone
from web.foundation.sheets import csv_line
from web.foundation.tokens import for_url
from web.loyalty.address_change import agree
from web.loyalty.booking import Order
from web.loyalty.customer import find_by_address
from web.loyalty.customer_link import NoPass, make_download_link, make_session_link
from web.loyalty.merging import MERGED, NotMergeable, merge
from web.loyalty.program import Program
from web.loyalty.wallet_status import Holder, Segment, list_segment

FC = TypeVar("FC", bound=Callable[..., Any])
UTM_NAMES = ("source", "medium", "campaign", "term", "content")


@click.group()
def link() -> None:
    """Links, so that support can help."""


def _of_customer(command: FC) -> FC:
    """The options by which a command names one customer."""
    for option in (
        click.option("--phone", help="Their phone instead, with the country code."),
        click.option("--email", help="The customer's e-mail address."),
        click.option("--program", "slug", required=True, help="The programme's slug."),
    ):
        command = option(command)
    return command


@link.command("download")
@_of_customer
@click.option(
    "--expires-in", type=int, help="Seconds. With it the link may be used again until then; without, once."
)
@click.option("--platform", type=click.Choice(["ios", "android"]), help="Straight to that wallet.")
@click.option("--utm", multiple=True, help="source=counter, medium=support … as often as needed.")
@click.pass_obj
def link_download(
    context: Context,
    slug: str,
    email: str | None,
    phone: str | None,
    expires_in: int | None,
    platform: str | None,
    utm: tuple[str, ...],
) -> None:
    """A link to a customer's card."""

    def work(conn: Connection) -> str:
        program, customer_id = _find(context, conn, slug, email, phone)
        lifetime = timedelta(seconds=expires_in) if expires_in else None
        token = make_download_link(conn, program, customer_id, created_by="support", lifetime=lifetime)
        query = [("token", for_url(token)), *([("platform", platform)] if platform else []), *_utm(utm)]
        return f"{context.settings.base_url}/{slug}/download?{urlencode(query)}"

    click.echo(context.in_transaction(work))


@link.command("session")
@_of_customer
@click.option("--expires-in", type=int, help="Seconds; a week without it.")
@click.option("--to", "destination", default="profile", show_default=True, help="One of the six sections.")
@click.pass_obj
def link_session(
    context: Context,
    slug: str,
    email: str | None,
    phone: str | None,
    expires_in: int | None,
    destination: str,
) -> None:
    """A link that lets a customer into their own pages."""

    def work(conn: Connection) -> str:
        program, customer_id = _find(context, conn, slug, email, phone)
        lifetime = timedelta(seconds=expires_in) if expires_in else None
        try:
            token = make_session_link(conn, program, customer_id, created_by="support", lifetime=lifetime)
        except NoPass:
            raise click.ClickException(
                "This customer holds no card in a wallet yet; send them `link download` first."
            ) from None
        query = urlencode({"redirectTo": destination})
        return f"{context.settings.base_url}/{slug}/{for_url(token)}?{query}"

    click.echo(context.in_transaction(work))


@click.group()
def customer() -> None:
    """Customers, where support has to help."""


@customer.command("agree")
@_of_customer
@click.pass_obj
def customer_agree(context: Context, slug: str, email: str | None, phone: str | None) -> None:
    """Answer for the old address in a change of address, once you know who they are (a lost inbox)."""

    def work(conn: Connection) -> str:
        program, customer_id = _find(context, conn, slug, email, phone)
        return agree(conn, program.id, customer_id, "old")

    said = {
        "waiting": "Agreed. Now the new address has to agree too.",
        "changed": "Agreed, and changed: the new address had agreed already.",
    }
    outcome = context.in_transaction(work)
    if outcome not in said:
        raise click.ClickException("No change of address waits there, or the new one is another customer's.")
    click.echo(said[outcome])


@customer.command("merge")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.argument("from_id", type=click.UUID)
@click.argument("into_id", type=click.UUID)
@click.option("--by", "actor", help="Who decided it, for the ledger.")
@click.pass_obj
def customer_merge(context: Context, slug: str, from_id: UUID, into_id: UUID, actor: str | None) -> None:
    """Make one customer of two who are the same person: all of FROM_ID becomes INTO_ID's. It cannot be undone."""

    def work(conn: Connection) -> str:
        program = context.program(conn, slug)
        order = Order(key=None, reason=MERGED, source="support", actor=actor)
        booked = merge(conn, program, str(from_id), str(into_id), order)
        scale = program.settings.scale
        return f"{from_id} stands for {into_id} now, who can spend {booked.available / 10**scale:.{scale}f}."

    try:
        click.echo(context.in_transaction(work))
    except NotMergeable as error:
        raise click.ClickException(f"Not merged: {error}.") from None


# How a list of customers is asked for, and the segment that answers.
WALLETS: dict[str, Segment] = {
    "never": "never_installed",
    "requested": "requested_not_installed",
    "uninstalled": "uninstalled",
    "not-installed": "not_installed",
    "installed": "installed",
}
COLUMNS = (
    "id",
    "email",
    "phone",
    "name",
    "locale",
    "externalCustomerId",
    "walletStatus",
    "walletPlatforms",
)


@customer.command("list")
@click.option("--program", "slug", required=True, help="The programme's slug.")
@click.option("--wallet", type=click.Choice(list(WALLETS)), required=True, help="Who has the card, or not.")
@click.option("--format", "form", type=click.Choice(["csv"]), default="csv", show_default=True)
@click.pass_obj
def customer_list(context: Context, slug: str, wallet: str, form: str) -> None:
    """Customers by what their wallets hold, as CSV. All but `installed` are lists to remind by.

    `not-installed` is everybody who can be reached, has not withdrawn that, and has the card in no wallet; `never`
    are those of them who never had it, `requested` those who asked for it a day ago or earlier and did not take it,
    `uninstalled` those who had it.
    """

    program_id = context.in_transaction(lambda conn: context.program(conn, slug).id)
    click.echo(csv_line(COLUMNS), nl=False)
    for each in _segment(context, program_id, WALLETS[wallet]):
        cells = (each.id, each.email, each.phone, each.name, each.locale, each.external_id)
        click.echo(csv_line((*cells, each.wallet_status, " ".join(each.wallet_platforms))), nl=False)


def _segment(context: Context, program_id: str, segment: Segment) -> Iterator[Holder]:
    """A page at a time, each in a transaction of its own: whoever reads us slowly holds nobody up."""
    after: str | None = None
    while page := context.in_transaction(
        partial(list_segment, program_id=program_id, segment=segment, after=after)
    ):
        yield from page
        after = page[-1].id


def _find(
    context: Context, conn: Connection, slug: str, email: str | None, phone: str | None
) -> tuple[Program, str]:
    program = context.program(conn, slug)
    try:
        address = parse_email(email) if email else None
        number = parse_phone(phone, program.settings.country) if phone and not email else None
    except (BadEmailError, BadPhoneError):
        raise click.ClickException(f"{email or phone!r} is no address that can be read.") from None
    if address is None and number is None:
        raise click.ClickException("Name the customer with --email or --phone.")
    customer_id = find_by_address(conn, program.id, address, number)
    if customer_id is None:
        raise click.ClickException("There is no such customer in that programme.")
    return program, customer_id


def _utm(given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = [one.partition("=") for one in given]
    for name, _, value in pairs:
        if name not in UTM_NAMES or not value:
            raise click.ClickException(
                f"--utm {name!r}: write it like source=counter ({', '.join(UTM_NAMES)})."
            )
    return [(f"utm_{name}", value) for name, _, value in pairs]


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
