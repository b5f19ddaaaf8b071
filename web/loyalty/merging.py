"""Two customers who turned out to be one person: everything of the one becomes the other's, and its old id leads there.

Points move by entries in both chains, through the account `transfer`, together with their lots and dates (L17). What
is append-only stays where it was written. Of what a customer may have only one, the survivor's counts: an address, a
membership, a card in each wallet; the other card is voided, and its phone is told.
"""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, UniqueConstraint, and_, exists, func, select, true, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.util import ClauseAdapter

from web.foundation.languages import N_
from web.foundation.schema import metadata, utc_now
from web.loyalty import held_tier, lot
from web.loyalty.aftermath import conclude, pay_debt, what_is_left
from web.loyalty.balance import Balance, lock_balance, lock_row, save_balance
from web.loyalty.booking import Booked, LedgerError, Order, asked_hash, write_entry
from web.loyalty.customer import customer
from web.loyalty.earning_record import hand_over_carried
from web.loyalty.identity import resolve
from web.loyalty.ledger import AVAILABLE, PENDING, TRANSFER
from web.loyalty.link import revoke_links
from web.loyalty.program import Program
from web.loyalty.referral_merging import hand_over_referrals
from web.loyalty.referral_reward import catch_up
from web.loyalty.session import end_sessions
from web.loyalty.undoing import without_key
from web.loyalty.visit import visit
from web.loyalty.wallet_pass import card_changed, void_passes, wallet_pass

# What is never changed after it was written, and what is moved in a way of its own.
STAYS = frozenset(
    (
        "ledger_entry",
        "lot_use",
        "tier_change",
        "consent_event",
        "balance",
        "lot",
        "wallet_pass",
        "visit",
        "referral",
    )
)
# What one customer lends the other where that one has none. An address goes with the proof of it.
_LENT = (("email", "email_key", "email_verified_at"), ("phone", "phone_verified_at"), ("external_id",))
_TOLD = (("name",), ("birthday",))


MERGED = N_("From your other card")
_OUT, _IN = (AVAILABLE, TRANSFER), (TRANSFER, AVAILABLE)


class NotMergeable(LedgerError):
    """These two cannot become one; the message says why. Nothing was changed."""


def merge(conn: Connection, program: Program, from_id: str, into_id: str, order: Order) -> Booked:
    """Make one customer of two: `from_id` becomes a name for `into_id`. Both may be old names themselves.

    Their points, pending ones, debts, and what they gathered for the tier add up. Asked again it changes nothing.

    Raises: NotMergeable while something of the first is reserved, for one and the same customer, or an unknown one.
    """
    ids = (resolve(conn, program.id, from_id), resolve(conn, program.id, into_id))
    gone, held = _lock_both(conn, program.id, *ids)
    if gone is held:
        if from_id == into_id:
            raise NotMergeable("nobody can be merged into themselves")
        return msgspec.structs.replace(what_is_left(held, None, 0), is_repeat=True)
    if gone.reserved:
        raise NotMergeable("something is reserved for the first of them; settle it or give it back before")
    before, amount = held.available, gone.available
    entry_id = _move_points(conn, program, gone, held, order)
    _move_tier(conn, program, gone, held, order)
    _move_addresses(conn, program.id, gone.customer_id, held.customer_id)
    _move_passes(conn, program.id, gone.customer_id, held.customer_id)
    hand_over_carried(conn, program.id, gone.customer_id, held.customer_id)
    hand_over_referrals(conn, program.id, gone.customer_id, held.customer_id)
    _move_rows(conn, program.id, gone.customer_id, held.customer_id)
    if entry_id is None:
        save_balance(conn, held)
        booked = what_is_left(held, None, 0)
    else:
        booked = conclude(conn, program, held, before, entry_id, abs(amount), order)
    # An entry of its own, after those of the merge.
    catch_up(conn, program, held.customer_id)
    return booked


def _lock_both(conn: Connection, program_id: str, from_id: str, into_id: str) -> tuple[Balance, Balance]:
    """Both balances, locked in an order that two merges of the same two agree on; the same one twice for one."""
    known = conn.scalar(
        select(func.count()).where(customer.c.program_id == program_id, customer.c.id.in_((from_id, into_id)))
    )
    if known != len({from_id, into_id}):
        raise NotMergeable("there is no such customer")
    for one in sorted((from_id, into_id)):
        lock_row(conn, program_id, one)
    # Another merge may have come first: what the rows say now is so until we commit.
    held = lock_balance(conn, program_id, into_id)
    gone = lock_balance(conn, program_id, from_id)
    return (held if gone.customer_id == held.customer_id else gone), held


def _move_points(
    conn: Connection, program: Program, gone: Balance, held: Balance, order: Order
) -> str | None:
    """Two entries for what can be spent or is owed, two for what is pending; the lots go along as they are."""
    asked = asked_hash("merge", gone.customer_id, None, order, held.customer_id)
    there, here = {"into": held.customer_id}, {"from": gone.customer_id}
    owes, amount, pending = gone.available < 0, abs(gone.available), gone.pending
    entry_id, before, silent = None, held.available, without_key(order)
    if amount:
        leaves, comes = (_IN, _OUT) if owes else (_OUT, _IN)
        write_entry(conn, gone, "merge", *leaves, amount, _with(silent, there), asked)
        entry_id = write_entry(conn, held, "merge", *comes, amount, _with(silent, here), asked)
        if owes and before > 0:
            lot.take(conn, program.id, held.customer_id, entry_id, min(amount, before))
    if pending:
        write_entry(conn, gone, "merge", PENDING, TRANSFER, pending, _with(silent, there), asked)
        second = write_entry(conn, held, "merge", TRANSFER, PENDING, pending, _with(silent, here), asked)
        entry_id = entry_id or second
    lot.hand_over(conn, program.id, gone.customer_id, held.customer_id)
    if entry_id and amount and not owes:
        pay_debt(conn, before, entry_id, lot.open_lots(conn, program.id, held.customer_id))
    return entry_id


def _with(order: Order, detail: dict[str, Any]) -> Order:
    return msgspec.structs.replace(order, detail=detail)


def _move_tier(conn: Connection, program: Program, gone: Balance, held: Balance, order: Order) -> None:
    """What both gathered in this cycle counts for the one; what the other held goes with them."""
    held_tier.take_over(conn, program, held, gone, order)
    held.lifetime_earned += gone.lifetime_earned
    gone.merged_into = held.customer_id
    gone.tier_points = gone.tier_money = gone.tier_carry = 0
    gone.tier_due_at = None
    save_balance(conn, gone)


def _move_addresses(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """The survivor takes over what they have not got themselves, and the rest becomes free."""
    rows = {
        row["id"]: row
        for row in conn.execute(
            select(customer).where(customer.c.program_id == program_id, customer.c.id.in_((from_id, into_id)))
        ).mappings()
    }
    gone, survivor = rows[from_id], rows[into_id]
    taken = {name: gone[name] for group in (*_LENT, *_TOLD) if survivor[group[0]] is None for name in group}
    _change(
        conn,
        program_id,
        from_id,
        merged_into=into_id,
        updated_at=utc_now(),
        **{name: None for group in _LENT for name in group},
    )
    if taken:
        _change(conn, program_id, into_id, **taken, updated_at=utc_now())


def _change(conn: Connection, program_id: str, customer_id: str, **values: object) -> None:
    conn.execute(
        update(customer)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
        .values(**values)
    )


def _move_passes(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """A card in a wallet where the survivor has none becomes theirs; any other one is void from now on."""
    other, its = wallet_pass.alias("other"), wallet_pass.c
    doubled = exists().where(
        other.c.program_id == its.program_id,
        other.c.customer_id == into_id,
        other.c.platform == its.platform,
        other.c.kind == its.kind,
        other.c.voided_at.is_(None),
    )
    mine = (its.program_id == program_id) & (its.customer_id == from_id)
    void_passes(conn, program_id, mine, its.kind == "loyalty", doubled)
    conn.execute(update(wallet_pass).where(mine).values(customer_id=into_id))
    card_changed(conn, program_id, into_id)


def _move_rows(conn: Connection, program_id: str, from_id: str, into_id: str) -> None:
    """Every other row that names the one names the other, but where a rule of its table allows only one."""
    # Whoever holds the inbox that is given up shall not look into the survivor's pages by it.
    end_sessions(conn, program_id, from_id)
    revoke_links(conn, program_id, from_id)
    conn.execute(
        update(visit)
        .where(visit.c.program_id == program_id, visit.c.customer_id == from_id)
        .values(granted_until=None)
    )
    for table in metadata.sorted_tables:
        if "customer_id" in table.c and "program_id" in table.c and table.name not in STAYS:
            clashes = [
                _clashes(table, names, where, into_id)
                for names, where in _unique_rules(table)
                if "customer_id" in names
            ]
            conn.execute(
                update(table)
                .where(
                    table.c.program_id == program_id,
                    table.c.customer_id == from_id,
                    *(~each for each in clashes),
                )
                .values(customer_id=into_id)
            )


def _unique_rules(table: Table) -> list[tuple[list[str], ColumnElement[bool]]]:
    """The columns of each rule by which a table allows only one, and the rows that it is for."""
    rules: list[tuple[list[str], ColumnElement[bool]]] = [
        ([column.name for column in table.primary_key], true())
    ]
    rules += [
        ([column.name for column in rule.columns], true())
        for rule in table.constraints
        if isinstance(rule, UniqueConstraint)
    ]
    for index in table.indexes:
        if index.unique:
            where = index.dialect_options["sqlite"]["where"]
            names = [column.name for column in index.columns]
            rules.append((names, true() if where is None else where))
    return rules


def _clashes(table: Table, names: list[str], where: ColumnElement[bool], into_id: str) -> ColumnElement[bool]:
    """Whether the survivor has the one row that a rule allows."""
    other = table.alias("other")
    same = [other.c[name] == table.c[name] for name in names if name != "customer_id"]
    theirs = ClauseAdapter(other).traverse(where)
    return and_(where, exists().where(other.c.customer_id == into_id, *same, theirs))
