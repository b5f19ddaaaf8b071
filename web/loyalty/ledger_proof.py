"""The proof of the ledger: every entry, lot and balance of a programme looked at, and whatever is not so told.

`verify` believes nothing that is stored twice: it counts again from the first entry on. `rebuild_balances` puts what
it counted in the place of the projections, where they differ.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import exists, func, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty.balance import Balance, balance, lock_row
from web.loyalty.checkpoint import Checkpoint, Root, checkpoints_of, ledger_checkpoint, root_of
from web.loyalty.customer import find_contact
from web.loyalty.identity import names_of
from web.loyalty.ledger import AVAILABLE, CUSTOMERS_ACCOUNTS, GENESIS, PENDING, Entry, hash_of, ledger_entry
from web.loyalty.ledger_chain import Booked, Chain, Opened, chains
from web.loyalty.lot import lot, lot_use
from web.loyalty.points import GIVING
from web.loyalty.program import program
from web.loyalty.tier_count import counted_since
from web.loyalty.wallet_pass import card_changed

# Under what name the clock's book keeps when the whole ledger was proven last, and how many faults were found.
VERIFIED = "ledger verify"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it was written. `entry_id` is None where no single entry is at fault."""

    customer_id: str | None
    entry_id: str | None = None
    at: datetime | None = None
    what: str


class Summary(msgspec.Struct, kw_only=True):
    """How much was looked at."""

    customers: int = 0
    entries: int = 0
    checkpoints: int = 0


class Running(msgspec.Struct, kw_only=True):
    """A customer's accounts, counted from their entries alone."""

    available: int = 0
    pending: int = 0
    reserved: int = 0
    lifetime_earned: int = 0
    number: int = 0
    head_hash: str = GENESIS

    def add(self, row: dict[str, Any]) -> None:
        for account, signed in ((row["debit"], -row["amount"]), (row["credit"], row["amount"])):
            if account in CUSTOMERS_ACCOUNTS:
                setattr(self, account, getattr(self, account) + signed)
        gives = row["kind"] in GIVING and row["credit"] in (AVAILABLE, PENDING)
        self.lifetime_earned += row["amount"] * gives - row["amount"] * (row["kind"] == "reverse")
        self.number, self.head_hash = row["number"], row["hash"]


def verify(
    conn: Connection,
    program_id: str,
    known_keys: Collection[str],
    *,
    summary: Summary | None = None,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Iterator[Fault]:
    """Go through a programme's whole ledger, in constant memory, and tell each fault as it is found.

    `known_keys`: the public keys, one of which must have signed the last checkpoint. Call it in a transaction that
    sees one moment (`with_snapshot`), or what is booked meanwhile looks like faults.
    """
    summary = summary or Summary()
    made = checkpoints_of(conn, program_id)
    ends = [each.until for each in made]
    roots = [Root(before) for before in (None, *made[:-1])] if made else []
    counts = [0] * len(made)
    for chain in chains(conn, program_id):
        yield from _verify_chain(chain, ends, roots, counts, summary)
        summary.customers += 1
        progress(summary)
    yield from _verify_strays(conn, program_id)
    for place, checkpoint in enumerate(made):
        before = made[place - 1] if place else None
        yield from _verify_checkpoint(checkpoint, before, roots[place], counts[place])
    summary.checkpoints = len(made)
    if made and made[-1].public_key not in known_keys:
        # It vouches for those before, so that they outlive the keys that signed them.
        yield Fault(
            customer_id=None, at=made[-1].at, what="the last checkpoint is signed with an unknown key"
        )


def _verify_chain(
    chain: Chain, ends: list[datetime], roots: list[Root], counts: list[int], summary: Summary
) -> Iterator[Fault]:
    running, window, readable = Running(), None, True
    for booked in chain.entries:
        summary.entries += 1
        if not isinstance(booked, Booked):
            readable = False
            entry_id, at, what = booked
            yield Fault(customer_id=chain.customer_id, entry_id=entry_id, at=at, what=what)
            continue
        row = booked.row
        place = bisect_left(ends, row["at"]) if ends else 0
        if window is not None and place != window:
            roots[window].add(chain.customer_id, running.number, running.head_hash)
        window = place if place < len(ends) else None
        if window is not None:
            counts[window] += 1
        try:
            faults = list(_faults_of(booked, running))
            running.add(row)
        except (TypeError, KeyError):
            faults = ["holds something that it cannot hold"]
        for what in faults:
            yield Fault(customer_id=chain.customer_id, entry_id=row["id"], at=row["at"], what=what)
    if window is not None:
        roots[window].add(chain.customer_id, running.number, running.head_hash)
    if readable:
        for what in _faults_of_lots(chain, running):
            yield Fault(customer_id=chain.customer_id, what=what)


def _faults_of(booked: Booked, before: Running) -> Iterator[str]:
    """What is wrong with an entry, given what stood before it."""
    row, after = booked.row, msgspec.structs.replace(before)
    if hash_of(row) != row["hash"]:
        yield "its content is not what was hashed"
    if row["number"] != before.number + 1:
        yield f"number {row['number']} follows number {before.number}"
    if row["previous_hash"] != before.head_hash:
        yield "it is not linked to the entry before it"
    after.add(row)
    for account in CUSTOMERS_ACCOUNTS:
        if row[f"{account}_after"] != getattr(after, account):
            yield f"{account} is {getattr(after, account)} after it, and {row[f'{account}_after']} is written"
    if booked.reversed > row["amount"]:
        yield f"{booked.reversed} were taken back of {row['amount']}"
    gives = row["kind"] in GIVING and row["credit"] in (AVAILABLE, PENDING)
    if (booked.opened is not None) != gives or (gives and booked.opened != row["amount"]):
        yield f"it gave {row['amount'] * gives}, and {booked.opened or 0} lie in its lot"
    if booked.used != (expected := _uses(row, before.available, after.available)):
        yield f"it takes {expected} from lots, and {booked.used} were taken"


def _uses(row: dict[str, Any], before: int, after: int) -> int:
    """What an entry takes from lots that were there: lots hold all that can be spent, and nothing of a debt."""
    if row["debit"] == PENDING and row["kind"] == "reverse":
        return int(row["amount"])
    if AVAILABLE not in (row["debit"], row["credit"]) or "into" in row["detail"]:
        return 0
    brings = row["credit"] == AVAILABLE and (row["kind"] in (*GIVING, "release", "merge"))
    return int(row["amount"] * brings - (max(0, after) - max(0, before)))


def _faults_of_lots(chain: Chain, running: Running) -> Iterator[str]:
    free = held = 0
    for its in chain.lots:
        free += its.remaining * (not its.is_pending)
        held += its.remaining * its.is_pending
        yield from _faults_of_lot(its)
    if free != max(0, running.available):
        yield f"its lots hold {free}, and {max(0, running.available)} can be spent"
    if held != running.pending:
        yield f"its lots hold {held} back, and {running.pending} are pending"
    if chain.balance is None:
        yield "there is no balance"
        return
    for name in Running.__struct_fields__:
        counted = getattr(running, name)
        if name == "lifetime_earned":
            counted += chain.lifetime_of_merged
        if chain.balance[name] != counted:
            yield f"the balance says {name} {chain.balance[name]}, and the entries {counted}"


def _faults_of_lot(its: Opened) -> Iterator[str]:
    if its.remaining != its.amount - its.used:
        yield f"lot {its.id} holds {its.remaining}, and {its.amount - its.used} should be left"
    if its.entry_amount is None:
        yield f"lot {its.id} is of no entry"


def _verify_strays(conn: Connection, program_id: str) -> Iterator[Fault]:
    """What belongs to nothing: uses of lots without their entry, reversals of what is not there."""
    its = ledger_entry.alias("its")
    there = exists().where(its.c.program_id == lot_use.c.program_id, its.c.id == lot_use.c.entry_id)
    for entry_id in conn.scalars(
        select(lot_use.c.entry_id).where(lot_use.c.program_id == program_id, ~there).distinct()
    ):
        yield Fault(customer_id=None, entry_id=entry_id, what="lots were used for an entry that is not there")
    known = exists().where(program.c.id == ledger_checkpoint.c.program_id)
    for at in conn.scalars(select(ledger_checkpoint.c.at).where(~known)):
        yield Fault(customer_id=None, at=at, what="a checkpoint is of no programme")
    there = exists().where(
        its.c.program_id == ledger_entry.c.program_id, its.c.id == ledger_entry.c.reverses_id
    )
    for row in conn.execute(
        select(ledger_entry.c.customer_id, ledger_entry.c.id).where(
            ledger_entry.c.program_id == program_id, ledger_entry.c.reverses_id.is_not(None), ~there
        )
    ):
        yield Fault(
            customer_id=row.customer_id, entry_id=row.id, what="it takes back an entry that is not there"
        )


def _verify_checkpoint(
    checkpoint: Checkpoint, before: Checkpoint | None, root: Root, entries: int
) -> Iterator[Fault]:
    name = f"checkpoint {checkpoint.number}"
    faults = []
    if checkpoint.number != (before.number + 1 if before else 1):
        faults.append(f"{name} follows no checkpoint {checkpoint.number - 1}")
    if checkpoint.previous_root != root_of(before):
        faults.append(f"{name} is not linked to the one before it")
    if not checkpoint.is_signed():
        faults.append(f"the signature of {name} is not its key's")
    if checkpoint.root != root.hex():
        faults.append(f"{name} was made over other entries")
    if (checkpoint.customers, checkpoint.entries) != (root.customers, entries):
        faults.append(
            f"{name} was made over {checkpoint.entries} entries of {checkpoint.customers} customers,"
            f" and there are {entries} of {root.customers}"
        )
    for what in faults:
        yield Fault(customer_id=None, at=checkpoint.at, what=what)


def rebuild_balances(
    conn: Connection, program_id: str, progress: Callable[[Summary], None] = lambda _: None
) -> int:
    """Count every balance and lot anew from the entries, and correct those that differ; returns how many customers.

    What counts towards a tier in this cycle is counted anew, too, with the purchases that earned no points; the tier
    itself follows with the customer's next booking. Customers one after the other, each locked before it is counted;
    nothing is changed where all is right.
    """
    summary, changed = Summary(), 0
    last = _next_customer(conn, program_id, None)
    while last is not None:
        changed += _rebuild(conn, program_id, last)
        summary.customers += 1
        progress(summary)
        last = _next_customer(conn, program_id, last)
    return changed


def _counted_for_tier(conn: Connection, held: Balance) -> dict[str, int]:
    """What the tier of a customer counts in this cycle. Nothing of whose tier nobody kept, or who was erased."""
    if held.merged_into is not None:
        return {"tier_points": 0, "tier_money": 0}
    if held.cycle_started_at is None or not find_contact(conn, held.program_id, held.customer_id):
        return {}
    names = names_of(conn, held.program_id, held.customer_id)
    counted = counted_since(conn, held.program_id, names, held.cycle_started_at)
    return {"tier_points": counted.points, "tier_money": counted.money}


def _next_customer(conn: Connection, program_id: str, after: str | None) -> str | None:
    """The next one of whom there is an entry or a balance: who only bought without points has no entry."""
    found = []
    for table in (ledger_entry, balance):
        its = table.c.customer_id
        later = [table.c.program_id == program_id, *([its > after] if after else [])]
        found.append(conn.scalar(select(its).where(*later).order_by(its).limit(1)))
    return min((each for each in found if each is not None), default=None)


def _rebuild(conn: Connection, program_id: str, customer_id: str) -> bool:
    held, running = lock_row(conn, program_id, customer_id), Running()
    its = ledger_entry.c
    for row in conn.execute(
        select(*(its[name] for name in Entry.__struct_fields__))
        .where(its.program_id == program_id, its.customer_id == customer_id)
        .order_by(its.number)
    ).mappings():
        running.add(dict(row))
    merged = conn.scalar(
        select(func.sum(balance.c.lifetime_earned)).where(
            balance.c.program_id == program_id, balance.c.merged_into == customer_id
        )
    )
    running.lifetime_earned += int(merged or 0)
    counted = msgspec.structs.asdict(running) | _counted_for_tier(conn, held)
    was_wrong = any(getattr(held, name) != value for name, value in counted.items())
    if was_wrong:
        conn.execute(
            update(balance)
            .where(balance.c.program_id == program_id, balance.c.customer_id == customer_id)
            .values(**counted, version=balance.c.version + 1, updated_at=max(utc_now(), held.updated_at))
        )
        card_changed(conn, program_id, customer_id)
    used = (
        select(func.coalesce(func.sum(lot_use.c.amount), 0))
        .where(lot_use.c.program_id == lot.c.program_id, lot_use.c.lot_id == lot.c.id)
        .scalar_subquery()
    )
    lots = conn.execute(
        update(lot)
        .where(
            lot.c.program_id == program_id,
            lot.c.customer_id == customer_id,
            lot.c.remaining != lot.c.amount - used,
        )
        .values(remaining=lot.c.amount - used)
    )
    return was_wrong or bool(lots.rowcount)
