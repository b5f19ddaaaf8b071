"""Commands for passes of other kinds than the card, and for a card whose phone was lost."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation.schema import utc_now
from web.loyalty.directory import find_customer
from web.loyalty.pass_item import (
    InvalidItem,
    Item,
    NewItem,
    ReferenceTaken,
    find_item_named,
    issue_item,
    items_of,
    void_item,
)
from web.loyalty.program import Program
from web.loyalty.replacing import replace_card

T = TypeVar("T")
PROGRAM = click.option("--program", "slug", required=True, help="The programme's slug.")
CUSTOMER = click.option("--customer", "name", required=True, help="Their e-mail address, our id, or yours.")


@click.group("pass")
def passes() -> None:
    """Coupons, gift cards and memberships in the wallet; and cards whose phone was lost."""


@passes.command("issue")
@PROGRAM
@CUSTOMER
@click.option("--kind", type=click.Choice(["coupon", "gift_card", "membership"]), required=True)
@click.option("--title", required=True, help="What stands large on it.")
@click.option("--number", required=True, help="What the till reads from the barcode.")
@click.option("--amount", type=int, help="Of a gift card, in minor units of the currency.")
@click.option("--expires", type=click.DateTime(), help="When it is over, in UTC.")
@click.option("--reference", help="Your own name for it.")
@click.pass_obj
def pass_issue(
    context: Context,
    slug: str,
    name: str,
    kind: str,
    title: str,
    number: str,
    amount: int | None,
    expires: datetime | None,
    reference: str | None,
) -> None:
    """Issue a pass, and print the address at which its holder puts it into a wallet."""

    def work(conn: Connection, program: Program, customer_id: str) -> Item:
        new = NewItem(
            kind=kind,  # type: ignore[arg-type]
            title={program.settings.default_language: title},
            number=number,
            amount=amount,
            expires_at=expires.replace(tzinfo=UTC) if expires else None,
            reference=reference,
        )
        return issue_item(conn, program.id, customer_id, new)

    try:
        item = _for_customer(context, slug, name, work)
    except InvalidItem as error:
        raise click.ClickException(f"--{error}") from None
    except ReferenceTaken:
        raise click.ClickException("Another pass of this programme has that reference.") from None
    click.echo(f"{context.settings.base_url}/{slug}/passes/{item.code}")


@passes.command("list")
@PROGRAM
@CUSTOMER
@click.pass_obj
def pass_list(context: Context, slug: str, name: str) -> None:
    """What a customer holds besides the card."""
    now = utc_now()
    for item in _for_customer(
        context, slug, name, lambda conn, program, its: items_of(conn, program.id, its)
    ):
        state = "void" if item.voided_at else "good" if item.is_good(now) else "over"
        click.echo(f"{item.id}  {item.kind:<10}  {state:<4}  {item.number}  {item.reference or ''}")


@passes.command("void")
@PROGRAM
@click.argument("name", metavar="PASS")
@click.pass_obj
def pass_void(context: Context, slug: str, name: str) -> None:
    """Make PASS, an id or your reference, worthless, on the phones too."""

    def work(conn: Connection) -> bool:
        program = context.program(conn, slug)
        found = find_item_named(conn, program.id, name)
        if found is None:
            raise click.ClickException("There is no such pass; `pass list` names those of a customer.")
        return void_item(conn, program.id, found.id)

    click.echo("Void." if context.in_transaction(work) else "It was void already.")


@passes.command("replace")
@PROGRAM
@CUSTOMER
@click.pass_obj
def pass_replace(context: Context, slug: str, name: str) -> None:
    """Replace the card of a customer who lost the phone: every pass is void, and the till refuses the old number."""
    number = _for_customer(
        context, slug, name, lambda conn, program, its: replace_card(conn, program.id, its)
    )
    click.echo(f"The new number is {number}. `link download` makes a link to the new card.")


def _for_customer(context: Context, slug: str, name: str, work: Callable[[Connection, Program, str], T]) -> T:
    def find_and_work(conn: Connection) -> T:
        program = context.program(conn, slug)
        customer_id = find_customer(conn, program.id, name)
        if customer_id is None:
            raise click.ClickException(f"{slug} has no customer {name!r}.")
        return work(conn, program, customer_id)

    return context.in_transaction(find_and_work)
