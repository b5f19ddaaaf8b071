"""What can be done with points. Each verb is part of its caller's transaction, and happens once for each key.

Every one of them locks the customer's balance, writes the entry, moves the lots, lets the tier follow and records
what happened. The same key with the same content gives the same answer again; with other content it is refused.
"""

from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import held_tier, lot
from web.loyalty.aftermath import conclude, pay_debt, what_is_left
from web.loyalty.balance import Balance, lock_balance, save_balance
from web.loyalty.booking import (
    Booked,
    LedgerError,
    NotEnough,
    Order,
    Repeated,
    asked_hash,
    refuse_repeat,
    reversed_so_far,
    write_entry,
)
from web.loyalty.expiry import expiry_of, grace_from, hold_until, next_warning
from web.loyalty.ledger import (
    ADJUSTED,
    AVAILABLE,
    ISSUED,
    LARGEST,
    PENDING,
    REDEEMED,
    RESERVED,
    Entry,
    find_entry,
)
from web.loyalty.program import Program
from web.loyalty.undoing import claw_back, return_spent

# The kinds of entry that bring new points, and can be taken back.
GIVING = ("earn", "hold", "adjust", "opening", "sync")
# What somebody can have earned in all their life, spent or not: still far from where 64 bits end.
MOST_EVER = 1000 * LARGEST


class InMirrorMode(LedgerError):
    """Another system keeps this programme's points; only it may set them."""


class NotReversible(LedgerError):
    """Nothing of this entry is left to be taken back or given back."""


class TooLarge(LedgerError):
    """The amount, or what the balance would become, is beyond what a ledger of points should hold."""


def earn(
    conn: Connection,
    program: Program,
    customer_id: str,
    amount: int,
    order: Order,
    *,
    hold: bool = False,
    counts: bool = True,
    money: int = 0,
) -> Booked:
    """Give points; with `hold` they can be spent when the programme's waiting time is over.

    `counts`: towards the tier. `money`: what was paid for them, for tiers that count money. Minor units.

    Raises: KeyReused, InMirrorMode, TooLarge, ValueError for an amount below 1.
    """
    _refuse_mirrored(program)
    return _give(
        conn, program, customer_id, amount, order, "earn", ISSUED, hold=hold, counts=counts, money=money
    )


def spend(conn: Connection, program: Program, customer_id: str, amount: int, order: Order) -> Booked:
    """Take points for something. Raises: NotEnough, KeyReused, InMirrorMode, ValueError for an amount below 1."""
    _refuse_mirrored(program)
    return _take(conn, program, customer_id, amount, order, "spend", REDEEMED)


def reserve(conn: Connection, program: Program, customer_id: str, amount: int, order: Order) -> Booked:
    """Set points aside until `settle` or `give_back`; nobody else can spend them meanwhile.

    Raises: NotEnough, KeyReused, InMirrorMode, ValueError for an amount below 1.
    """
    _refuse_mirrored(program)
    return _take(conn, program, customer_id, amount, order, "reserve", RESERVED)


def settle(conn: Connection, program: Program, reserve_id: str, order: Order) -> Booked:
    """What was set aside by the entry `reserve_id` is spent. Once, whoever asks.

    Raises: NotReversible, KeyReused.
    """
    reserved, held = _lock_entry(conn, program, reserve_id)
    asked = asked_hash("settle", reserved.customer_id, None, order, reserve_id)
    try:
        refuse_repeat(conn, program.id, order, asked)
        _refuse_twice(conn, reserved, of_kinds=("reserve",))
        entry_id = write_entry(
            conn, held, "settle", RESERVED, REDEEMED, reserved.amount, order, asked, reverses_id=reserved.id
        )
    except Repeated as repeated:
        return repeated.booked
    save_balance(conn, held)
    return what_is_left(held, entry_id, reserved.amount)


def give_back(conn: Connection, program: Program, spent_id: str, order: Order) -> Booked:
    """Return what the entry `spent_id` took, or set aside, to the very lots it came from. In full, and once.

    What was set aside and settled since is returned by the settling entry: the lots are those of the first one.
    What was written off since does not return: see undoing.py.

    Raises: NotReversible, KeyReused.
    """
    spent, held = _lock_entry(conn, program, spent_id)
    asked = asked_hash("give_back", spent.customer_id, None, order, spent_id)
    before = held.available
    try:
        refuse_repeat(conn, program.id, order, asked)
        _refuse_twice(conn, spent, of_kinds=("spend", "reserve", "settle", "adjust", "expire"))
        taken_by = spent.reverses_id if spent.kind == "settle" and spent.reverses_id else spent_id
        if spent.debit != AVAILABLE and spent.kind != "settle":
            raise NotReversible(spent_id)
        entry_id = return_spent(conn, program, held, spent, taken_by, order, asked)
    except Repeated as repeated:
        return repeated.booked
    return conclude(conn, program, held, before, entry_id, spent.amount, order)


def adjust(
    conn: Connection, program: Program, customer_id: str, change: int, order: Order, *, counts: bool = True
) -> Booked:
    """Change a balance by a signed amount, as a person or another system asks. `counts`: a gain, towards the tier.

    Raises: NotEnough, KeyReused, InMirrorMode, TooLarge, ValueError for 0.
    """
    _refuse_mirrored(program)
    if change >= 0:
        return _give(conn, program, customer_id, change, order, "adjust", ADJUSTED, counts=counts)
    return _take(conn, program, customer_id, -change, order, "adjust", ADJUSTED)


def set_balance(conn: Connection, program: Program, customer_id: str, target: int, order: Order) -> Booked:
    """Make the balance what another system says it is: the difference is booked, and where there is none, nothing.

    The first entry of a customer is their opening balance. Nothing of this counts towards the tier.

    Raises: KeyReused, TooLarge, ValueError for a target below 0.
    """
    if target < 0:
        raise ValueError("a balance is never set below 0")
    asked = asked_hash("set", customer_id, target, order)
    held = lock_balance(conn, program.id, customer_id)
    try:
        refuse_repeat(conn, program.id, order, asked)
    except Repeated as repeated:
        return repeated.booked
    kind = "sync" if held.number else "opening"
    change = target - held.available
    if change > 0:
        return _give(conn, program, customer_id, change, order, kind, ADJUSTED, counts=False, asked=asked)
    if change < 0:
        return _take(conn, program, customer_id, -change, order, kind, ADJUSTED, asked=asked)
    return what_is_left(held, None, 0)


def reverse(
    conn: Connection,
    program: Program,
    entry_id: str,
    order: Order,
    *,
    amount: int | None = None,
    money: int | None = None,
) -> Booked:
    """Take back what an entry gave, in full or `amount` of it; never more than it gave, all reversals together.

    `money` is what was given back of what was paid, for tiers that count money; the points' share of it if left out.

    Points still held back are taken from there. What was spent already is taken from the rest of the balance:
    below zero where the programme allows it, else the programme bears it. The tier's count goes back too.

    Raises: NotReversible, KeyReused, ValueError for an amount below 1.
    """
    earned, held = _lock_entry(conn, program, entry_id)
    asked = asked_hash("reverse", earned.customer_id, amount, order, entry_id)
    before = held.available
    try:
        refuse_repeat(conn, program.id, order, asked)
        taken, tier_taken, money_taken = reversed_so_far(conn, program.id, entry_id)
        left = earned.amount - taken
        wanted = left if amount is None else amount
        if wanted < 1 and amount is not None:
            raise ValueError("there is nothing to take back")
        if earned.credit not in (AVAILABLE, PENDING) or earned.kind not in GIVING or not 0 < wanted <= left:
            raise NotReversible(entry_id)
        tier_points = share(earned.tier_points, taken + wanted, earned.amount) - tier_taken
        if money is None:
            money = share(earned.tier_money, taken + wanted, earned.amount) - money_taken
        first_id = claw_back(conn, program, held, earned, wanted, order, asked, -tier_points, -money)
    except Repeated as repeated:
        return repeated.booked
    held.lifetime_earned -= wanted
    held_tier.follow(conn, program, held, -tier_points, -money, order)
    return conclude(conn, program, held, before, first_id, wanted, order)


def _give(
    conn: Connection,
    program: Program,
    customer_id: str,
    amount: int,
    order: Order,
    kind: str,
    debit: str,
    *,
    hold: bool = False,
    counts: bool = True,
    money: int = 0,
    asked: str | None = None,
) -> Booked:
    if amount < 1 or money < 0:
        raise ValueError("an amount is 1 at least, and money is not negative")
    asked = asked or asked_hash(kind, customer_id, amount, order)
    now = utc_now()
    at = order.at or now
    rules, timezone = program.settings.points, program.settings.timezone
    until = hold_until(rules, at) if hold else None
    held = lock_balance(conn, program.id, customer_id)
    before = held.available
    tier_points = amount if counts else 0
    try:
        if _is_too_large(held, amount, money):
            refuse_repeat(conn, program.id, order, asked)
            raise TooLarge(f"{amount} is too large")
        entry_id = write_entry(
            conn,
            held,
            "hold" if until else kind,
            debit,
            PENDING if until else AVAILABLE,
            amount,
            order,
            asked,
            tier_points=tier_points,
            tier_money=money,
        )
    except Repeated as repeated:
        return repeated.booked
    expires_at = None if rules.mirror else expiry_of(rules, timezone, until or at)
    if expires_at is not None and expires_at <= now and not order.is_history:
        # Given late for something long ago: they shall be able to spend it at all.
        expires_at = grace_from(rules, now)
    opened = lot.open_lot(
        conn,
        program.id,
        held.customer_id,
        entry_id,
        amount,
        at=at,
        available_from=until,
        expires_at=expires_at,
        warn_at=next_warning(expires_at, timezone, now),
    )
    if not until:
        pay_debt(conn, before, entry_id, [opened])
    held.lifetime_earned += amount
    held_tier.follow(conn, program, held, tier_points, money, order)
    return conclude(conn, program, held, before, entry_id, amount, order)


def _take(
    conn: Connection,
    program: Program,
    customer_id: str,
    amount: int,
    order: Order,
    kind: str,
    credit: str,
    *,
    asked: str | None = None,
) -> Booked:
    if amount < 1:
        raise ValueError("an amount is 1 at least")
    asked = asked or asked_hash(kind, customer_id, amount, order)
    held = lock_balance(conn, program.id, customer_id)
    before = held.available
    try:
        if amount > before:
            refuse_repeat(conn, program.id, order, asked)
            raise NotEnough(before, amount)
        entry_id = write_entry(conn, held, kind, AVAILABLE, credit, amount, order, asked)
    except Repeated as repeated:
        return repeated.booked
    lot.take(conn, program.id, held.customer_id, entry_id, amount)
    return conclude(conn, program, held, before, entry_id, amount, order)


def _lock_entry(conn: Connection, program: Program, entry_id: str) -> tuple[Entry, Balance]:
    """An entry, and the locked balance of its customer. Raises: NotReversible."""
    entry = find_entry(conn, program.id, entry_id)
    if entry is None:
        raise NotReversible(entry_id)
    return entry, lock_balance(conn, program.id, entry.customer_id)


def _is_too_large(held: Balance, amount: int, money: int) -> bool:
    becomes = held.available + held.pending + held.reserved + amount
    return max(amount, money, becomes) > LARGEST or held.lifetime_earned + amount > MOST_EVER


def _refuse_twice(conn: Connection, entry: Entry, of_kinds: tuple[str, ...]) -> None:
    if entry.kind not in of_kinds or reversed_so_far(conn, entry.program_id, entry.id)[0]:
        raise NotReversible(entry.id)


def _refuse_mirrored(program: Program) -> None:
    if program.settings.points.mirror:
        raise InMirrorMode("another system keeps this programme's points: set the balance instead")


def share(whole: int, part: int, of: int) -> int:
    """`whole` x part / of, rounded half up; whatever the parts, all of them together are the whole."""
    sign = -1 if whole < 0 else 1
    return sign * ((2 * abs(whole) * part + of) // (2 * of))
