"""Commands for the ledger: its proof, its checkpoints, and one entry explained."""

import sys
import time
from collections.abc import Callable
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from web.cli.base import Context
from web.foundation.schema import utc_now
from web.foundation.snapshot import with_snapshot
from web.loyalty import clock
from web.loyalty.checkpoint import checkpoints_of, make_checkpoint, public_keys
from web.loyalty.ledger import Entry, find_entry
from web.loyalty.ledger_proof import VERIFIED, Fault, Summary, rebuild_balances, verify
from web.loyalty.program import Program, versions


@click.group()
def ledger() -> None:
    """The ledger of points: proven, counted anew, signed, explained."""


_of_program = click.option("--program", "slug", help="One programme's; without it, of all.")


@ledger.command("verify")
@_of_program
@click.option(
    "--public-key", "kept", multiple=True, help="A key that was kept elsewhere; only it is believed."
)
@click.option("--root", "roots", multiple=True, help="A checkpoint's root that was kept elsewhere.")
@click.pass_obj
def ledger_verify(context: Context, slug: str | None, kept: tuple[str, ...], roots: tuple[str, ...]) -> None:
    """Go through every entry, lot, balance and checkpoint. Exits with 1 if anything is not as it was written."""

    def work(conn: Connection) -> int:
        faults, missing = 0, set(roots)
        for program in _programs(context, conn, slug):
            summary = Summary()
            keys = kept or tuple(public_keys(context.sealer, program.id))
            for fault in verify(conn, program.id, keys, summary=summary, progress=_progress(program.slug)):
                click.echo(_spell(fault))
                faults += 1
            missing -= {each.root for each in checkpoints_of(conn, program.id)}
            click.echo(
                f"{program.slug}: {summary.entries} entries of {summary.customers} customers,"
                f" {summary.checkpoints} checkpoints looked at."
            )
        for root in sorted(missing):
            click.echo(f"FAULT  no checkpoint has the root {root}")
        return faults + len(missing)

    faults = with_snapshot(context.settings.database_url, work)
    if slug is None:
        context.in_transaction(lambda conn: clock.note_run(conn, VERIFIED, 1, faults, utc_now()))
    click.echo("The ledger is as it was written." if not faults else f"{faults} faults.")
    sys.exit(bool(faults))


@ledger.command("rebuild")
@_of_program
@click.pass_obj
def ledger_rebuild(context: Context, slug: str | None) -> None:
    """Count balances and lots anew from the entries, and correct those that differ."""

    def work(conn: Connection) -> int:
        return sum(
            rebuild_balances(conn, program.id, _progress(program.slug))
            for program in _programs(context, conn, slug)
        )

    click.echo(f"{context.in_transaction(work)} customers' balances corrected.")


@ledger.command("checkpoint")
@_of_program
@click.pass_obj
def ledger_checkpoint(context: Context, slug: str | None) -> None:
    """Sum up and sign what was booked since the last checkpoint, but for the last ten minutes."""

    def work(conn: Connection) -> list[str]:
        lines = []
        for program in _programs(context, conn, slug):
            made = make_checkpoint(conn, program, context.sealer)
            lines.append(f"{program.slug}: checkpoint {made.number} until {made.until:%Y-%m-%d %H:%M:%S} UTC")
            lines.append(f"  root {made.root}")
        return lines

    click.echo("\n".join(context.in_transaction(work)))


@ledger.command("public-key")
@_of_program
@click.pass_obj
def ledger_public_key(context: Context, slug: str | None) -> None:
    """The Ed25519 keys that checkpoints are signed with. Keep them elsewhere, for `verify --public-key`."""
    for program in context.in_transaction(lambda conn: _programs(context, conn, slug)):
        click.echo(f"{program.slug}: {public_keys(context.sealer, program.id)[0]}")


@ledger.command("explain")
@click.argument("entry_id", type=click.UUID)
@_of_program
@click.pass_obj
def ledger_explain(context: Context, entry_id: UUID, slug: str | None) -> None:
    """What an entry did, why, who asked for it, and what stands before and behind it."""

    def work(conn: Connection) -> tuple[Program, Entry] | None:
        for program in _programs(context, conn, slug):
            found = find_entry(conn, program.id, str(entry_id))
            if found is not None:
                return program, found
        return None

    found = context.in_transaction(work)
    if found is None:
        raise click.ClickException("There is no such entry.")
    program, entry = found
    scale = program.settings.scale
    for name, value in (
        ("customer", f"{entry.customer_id}, their number {entry.number}"),
        ("what", f"{entry.kind}: {_amount(entry.amount, scale)} from {entry.debit} to {entry.credit}"),
        ("why", entry.reason),
        ("asked by", " ".join(filter(None, (entry.source, entry.source_ref, entry.actor)))),
        ("key", entry.key),
        ("took effect", f"{entry.effective_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("written", f"{entry.at:%Y-%m-%d %H:%M:%S.%f} UTC"),
        (
            "left",
            f"{_amount(entry.available_after, scale)} to spend,"
            f" {_amount(entry.pending_after, scale)} pending, {_amount(entry.reserved_after, scale)} reserved",
        ),
        ("tier", f"{entry.tier_points} points, {entry.tier_money} money" if entry.tier_points else None),
        ("takes back", entry.reverses_id),
        ("detail", str(entry.detail) if entry.detail else None),
        ("hash", f"{entry.hash} after {entry.previous_hash}"),
    ):
        if value:
            click.echo(f"{name:<12} {value}")


def _programs(context: Context, conn: Connection, slug: str | None) -> list[Program]:
    return [context.program(conn, each) for each in ([slug] if slug else sorted(versions(conn)))]


def _spell(fault: Fault) -> str:
    when = f"{fault.at:%Y-%m-%d %H:%M:%S} UTC" if fault.at else "-"
    about = f"entry {fault.entry_id}" if fault.entry_id else ""
    whose = f"customer {fault.customer_id}" if fault.customer_id else ""
    return "  ".join(filter(None, ("FAULT", when, whose, about, fault.what)))


def _progress(slug: str) -> Callable[[Summary], None]:
    """A line every few seconds on standard error, so that long work shows that it lives."""
    told = [time.monotonic()]

    def tell(summary: Summary) -> None:
        if time.monotonic() - told[0] > 5:
            told[0] = time.monotonic()
            click.echo(f"{slug}: {summary.entries} entries of {summary.customers} customers …", err=True)

    return tell


def _amount(minor: int, scale: int) -> str:
    return f"{minor / 10**scale:.{scale}f}"
