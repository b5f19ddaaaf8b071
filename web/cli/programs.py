"""Commands for programmes: what a merchant decides, the signs in the shops, the keys that sign links."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import msgspec
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation.qr import png, svg
from web.integrations.webhooks.secret import reseal_secrets
from web.loyalty.location import Location, add_location, change_location, shops_of
from web.loyalty.program import create_program, reseal_signing_keys, rotate_signing_key, versions
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.sign import sign_for
from web.pages.signage import LEVEL, PRINT_PIXELS
from web.program_file import create_from_file, read_program_file, update_from_file

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
# The longest-lived link is the one that confirms an address; a month leaves room for a late reader.
RETIRE_IN_DAYS = 30


@click.group()
def program() -> None:
    """Programmes: one for each merchant."""


@program.command("create")
@click.argument("file", required=False, type=FILE)
@click.option("--slug", help="Without a file: the name in addresses, like brewbar.")
@click.option("--name", help="Without a file: the name that customers see.")
@click.option("--colour", default="#6b4226", show_default=True)
@click.option("--languages", default="en", show_default=True, help="With commas; the first is the default.")
@click.option("--country", default="GB", show_default=True, help="For phone numbers without a country code.")
@click.option("--timezone", default="UTC", show_default=True)
@click.option("--asks", type=click.Choice(["email", "phone", "either"]), default="email", show_default=True)
@click.pass_obj
def program_create(
    context: Context, /, file: Path | None, slug: str | None, name: str | None, **options: str
) -> None:
    """Make a programme, from a TOML FILE or from options."""
    if file is not None:
        context.in_transaction(lambda conn: create_from_file(conn, file, context.sealer))
        made = read_program_file(file).slug
    elif slug and name:
        settings = _settings(name, options)
        context.in_transaction(lambda conn: create_program(conn, slug, settings, context.sealer))
        made = slug
    else:
        raise click.UsageError("Give a file, or --slug and --name.")
    click.echo(f"Made. Its front door is {context.settings.base_url}/{made}")


def _settings(name: str, options: dict[str, str]) -> ProgramSettings:
    return msgspec.convert(
        {
            "name": name,
            "languages": [code.strip() for code in options["languages"].split(",")],
            "brand": {"colour": options["colour"]},
            "country": options["country"],
            "timezone": options["timezone"],
            "asks": options["asks"],
        },
        ProgramSettings,
    )


@program.command("update")
@click.argument("file", type=FILE)
@click.pass_obj
def program_update(context: Context, file: Path) -> None:
    """Give a programme the settings and pictures of a TOML FILE; a running server shows them within seconds."""
    context.in_transaction(lambda conn: update_from_file(conn, file))
    click.echo("Changed.")


@program.command("list")
@click.pass_obj
def program_list(context: Context) -> None:
    """All programmes, with the version of their settings."""
    for slug, version in sorted(context.in_transaction(versions).items()):
        click.echo(f"{slug:<40} version {version}")


@program.command("show")
@click.argument("slug")
@click.pass_obj
def program_show(context: Context, slug: str) -> None:
    """A programme's settings as JSON."""
    found = context.in_transaction(lambda conn: context.program(conn, slug))
    click.echo(msgspec.json.format(msgspec.json.encode(found.settings), indent=2).decode())


Place = tuple[float, float]
Nearby = tuple[str, str]
PLACE = click.option(
    "--place",
    type=(click.FloatRange(-90, 90), click.FloatRange(-180, 180)),
    metavar="LATITUDE LONGITUDE",
    help="Where phones offer the card, in degrees.",
)
NEARBY = click.option(
    "--nearby",
    type=(str, str),
    multiple=True,
    metavar="LANGUAGE TEXT",
    help="What they say there; once a language.",
)


@program.group("location")
def location() -> None:
    """A programme's shops."""


@location.command("add")
@click.argument("program_slug", metavar="PROGRAM")
@click.argument("slug")
@click.argument("name")
@PLACE
@NEARBY
@click.pass_obj
def location_add(
    context: Context, program_slug: str, slug: str, name: str, place: Place | None, nearby: tuple[Nearby, ...]
) -> None:
    """Add a shop: PROGRAM is its programme, SLUG its name in addresses, NAME what customers read."""

    def work(conn: Connection) -> None:
        found = context.program(conn, program_slug)
        if slug in [shop.slug for shop in shops_of(conn, found.id)]:
            raise click.ClickException(f"{program_slug} has a location {slug!r} already.")
        told = {"slug": slug, "name": name, **_told_of_place(place, nearby)}
        add_location(conn, found.id, msgspec.convert(told, Location))

    context.in_transaction(work)
    click.echo(f"Added. Its poster is {context.settings.base_url}/{program_slug}/poster?location={slug}")


@location.command("change")
@click.argument("program_slug", metavar="PROGRAM")
@click.argument("slug")
@click.option("--name", help="What customers read.")
@PLACE
@NEARBY
@click.option("--rank", type=click.IntRange(0, 10_000), help="Of more than ten, the lowest are on cards.")
@click.option("--on-card/--not-on-card", default=None, help="Whether phones offer the card nearby.")
@click.pass_obj
def location_change(
    context: Context,
    program_slug: str,
    slug: str,
    name: str | None,
    place: Place | None,
    nearby: tuple[Nearby, ...],
    rank: int | None,
    on_card: bool | None,
) -> None:
    """Change the shop SLUG of PROGRAM; the cards on phones follow."""
    told = {"name": name, "rank": rank, "on_card": on_card}
    changes = {key: value for key, value in told.items() if value is not None} | _told_of_place(place, nearby)

    def work(conn: Connection) -> None:
        if change_location(conn, context.program(conn, program_slug).id, slug, **changes) is None:
            raise click.ClickException(f"{program_slug} has no location {slug!r}.")

    context.in_transaction(work)
    click.echo("Changed. Phones hear of it within a minute; `design show` tells how far it is.")


def _told_of_place(place: Place | None, nearby: tuple[Nearby, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {"latitude": place[0], "longitude": place[1]} if place else {}
    return {**told, "nearby_text": dict(nearby)} if nearby else told


@location.command("list")
@click.argument("program_slug", metavar="PROGRAM")
@click.pass_obj
def location_list(context: Context, program_slug: str) -> None:
    """The shops of PROGRAM."""
    found = context.in_transaction(lambda conn: shops_of(conn, context.program(conn, program_slug).id))
    for shop in found:
        where = "" if shop.latitude is None else f"  ({shop.latitude}, {shop.longitude})"
        click.echo(f"{shop.slug:<40} {shop.name}{where}")


@click.command()
@click.option("--program", "slug", required=True)
@click.option("--location", "shop", help="The shop's slug; without it the sign is for the whole programme.")
@click.option("--campaign", default="", help="What its scans are counted under.")
@click.option("--out", default="signs", type=click.Path(path_type=Path, file_okay=False), show_default=True)
@click.pass_obj
def sign(context: Context, slug: str, shop: str | None, campaign: str, out: Path) -> None:
    """Write a sign's QR code as SVG and PNG, and say where its poster is. The same sign keeps its code."""

    def work(conn: Connection) -> str:
        found = context.program(conn, slug)
        return sign_for(conn, found.id, slug, location_slug=shop, campaign=campaign).code

    code = context.in_transaction(work)
    base = context.settings.base_url
    # In capitals the code is a third smaller; the addresses of signs are answered in both.
    address = f"{base}/s/{code}".upper()
    name = "-".join(filter(None, (slug, shop, code)))
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.svg").write_text(svg(address, LEVEL), "utf-8")
    (out / f"{name}.png").write_bytes(png(address, LEVEL, PRINT_PIXELS))
    query = {"location": shop, "utm_campaign": campaign}
    asked = urlencode({key: value for key, value in query.items() if value})
    click.echo(f"{out / name}.svg and .png lead to {address}")
    click.echo(f"The poster to print is {base}/{slug}/poster{'?' * bool(asked)}{asked}")


@click.group()
def key() -> None:
    """The keys that sign a programme's links, and the secrets they are sealed with."""


@key.command("rotate")
@click.option("--program", "slug", required=True)
@click.option(
    "--retire-in",
    "days",
    default=RETIRE_IN_DAYS,
    type=click.IntRange(0),
    show_default=True,
    help="Days until links signed before stop working; 0 ends them now.",
)
@click.pass_obj
def key_rotate(context: Context, slug: str, days: int) -> None:
    """Sign new links with a new key; older ones keep working until the old keys retire."""
    retire_in = timedelta(days=days)

    def work(conn: Connection) -> str:
        return rotate_signing_key(conn, context.program(conn, slug), context.sealer, retire_in)

    kid = context.in_transaction(work)
    click.echo(f"{kid} signs from now on; the keys before it retire in {days} days.")


@key.command("reseal")
@click.pass_obj
def key_reseal(context: Context) -> None:
    """Seal every stored secret with the first of PASITO_SECRET_KEYS, so that the others can be taken away."""
    count = context.in_transaction(
        lambda conn: reseal_signing_keys(conn, context.sealer) + reseal_secrets(conn, context.sealer)
    )
    click.echo(f"{count} keys sealed with the first of PASITO_SECRET_KEYS.")
