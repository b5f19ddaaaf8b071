"""What the ledger should do, told as naively as possible: lists in memory, no keys, no chain, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count


class Refused(Exception):
    """It cannot be done. Says which error the ledger should raise."""


@dataclass
class Heap:
    """The points of one earning."""

    amount: int
    left: int
    earned: datetime
    expires: datetime | None
    held_until: datetime | None = None
    lost: int = 0
    ran_out: int = 0
    number: int = field(default_factory=count().__next__)

    @property
    def turn(self) -> tuple[datetime, datetime, int]:
        """Whose turn it is when points are spent: what runs out soonest, was earned first, was booked first."""
        return self.expires or datetime.max.replace(tzinfo=UTC), self.earned, self.number


def in_turn(heaps: Iterable[Heap]) -> list[Heap]:
    return sorted(heaps, key=lambda heap: heap.turn)


@dataclass
class Deed:
    """Something that was done, to be undone later: where its points came from or went to."""

    kind: str
    who: "Person"
    amount: int
    heap: Heap | None = None
    taken: list[tuple[Heap, int]] = field(default_factory=list)
    counted: int = 0
    undone: int = 0
    uncounted: int = 0


@dataclass
class Person:
    """One customer."""

    available: int = 0
    pending: int = 0
    reserved: int = 0
    earned: int = 0
    tier: int = 0
    heaps: list[Heap] = field(default_factory=list)
    is_now: "Person | None" = None

    @property
    def real(self) -> "Person":
        return self if self.is_now is None else self.is_now.real

    @property
    def free(self) -> list[Heap]:
        """In the order in which they are spent."""
        return in_turn(heap for heap in self.heaps if heap.left and heap.held_until is None)


@dataclass
class Model:
    """A programme with its rules."""

    negative: str
    expiry: str
    days: int
    hold_days: int

    def ends(self, start: datetime) -> datetime | None:
        if self.expiry == "none":
            return None
        return datetime.combine(start.date() + timedelta(days=self.days + 1), time(), UTC)

    def visit(self, who: Person, at: datetime) -> None:
        if self.expiry != "rolling" or who.available <= 0:
            return
        for heap in who.free:
            if heap.expires is not None and (later := self.ends(at)) is not None:
                heap.expires = max(heap.expires, later)

    def give(
        self, who: Person, amount: int, at: datetime, now: datetime, *, kind: str, hold: bool, counts: bool
    ) -> Deed:
        who = who.real
        until = at + timedelta(days=self.hold_days) if hold else at
        held_until = until if hold and until > now else None
        heap = Heap(amount, amount, at, self.ends(until if held_until else at), held_until)
        who.heaps.append(heap)
        who.earned += amount
        who.tier += amount * counts
        if held_until:
            who.pending += amount
        else:
            self.come(who, heap)
        self.visit(who, at)
        return Deed(kind, who, amount, heap, counted=amount * counts)

    def come(self, who: Person, heap: Heap) -> None:
        """What comes in pays debts first."""
        heap.left -= min(heap.left, max(0, -who.available))
        who.available += heap.amount

    def take(self, who: Person, amount: int, at: datetime, *, kind: str) -> Deed:
        who = who.real
        if amount > who.available:
            raise Refused("NotEnough")
        deed = Deed(kind, who, amount, taken=self.draw(who, amount))
        who.available -= amount
        if kind == "reserve":
            who.reserved += amount
        self.visit(who, at)
        return deed

    def draw(self, who: Person, amount: int) -> list[tuple[Heap, int]]:
        taken = []
        for heap in who.free:
            part = min(amount, heap.left)
            if part:
                heap.left -= part
                amount -= part
                taken.append((heap, part))
        assert not amount
        return taken

    def settle(self, deed: Deed) -> Deed:
        if deed.kind != "reserve" or deed.undone:
            raise Refused("NotReversible")
        deed.undone = deed.amount
        deed.who.real.reserved -= deed.amount
        # It is returned by this one from now on, to where the first one took it.
        return Deed("settle", deed.who, deed.amount, taken=deed.taken)

    def give_back(self, deed: Deed, at: datetime) -> Deed:
        if deed.kind not in ("spend", "reserve", "settle", "less", "expire") or deed.undone:
            raise Refused("NotReversible")
        deed.undone, who = deed.amount, deed.who.real
        if deed.kind == "reserve":
            who.reserved -= deed.amount
        for heap, part in sorted(deed.taken, key=lambda taken: taken[0].turn):
            if deed.kind == "expire":
                heap.ran_out -= part
            lost = min(part, heap.lost)
            heap.lost -= lost
            owed = min(part - lost, max(0, -who.available))
            heap.left += part - lost - owed
            heap.ran_out += lost * (deed.kind == "expire")
            who.available += part - lost
        self.visit(who, at)
        return Deed("give_back", who, deed.amount)

    def reverse(self, deed: Deed, amount: int | None, at: datetime) -> Deed:
        left = deed.amount - deed.undone
        wanted = left if amount is None else amount
        if deed.kind not in ("earn", "more", "set_up") or not 0 < wanted <= left:
            raise Refused("NotReversible")
        who, heap = deed.who.real, deed.heap
        assert heap is not None
        deed.undone += wanted
        # Half up, on all that was taken back so far: the parts of a whole are the whole (L12).
        uncounted = (2 * deed.counted * deed.undone + deed.amount) // (2 * deed.amount)
        who.tier -= uncounted - deed.uncounted
        deed.uncounted = uncounted
        who.earned -= wanted
        if heap.held_until is not None:
            heap.left -= wanted
            who.pending -= wanted
        else:
            self.claw_back(who, heap, wanted)
        self.visit(who, at)
        return Deed("reverse", who, wanted)

    def claw_back(self, who: Person, heap: Heap, wanted: int) -> None:
        own = min(wanted, heap.left)
        gone = min(wanted - own, max(0, heap.ran_out - heap.lost))
        rest = wanted - own - gone
        elsewhere = min(rest, max(0, who.available) - own)
        heap.left -= own
        who.available -= own
        if elsewhere:
            self.draw(who, elsewhere)
            who.available -= elsewhere
        unpaid = rest - elsewhere
        if self.negative == "allow":
            who.available -= unpaid
            unpaid = 0
        heap.lost += gone + unpaid

    def release(self, who: Person, now: datetime) -> Deed | None:
        due = in_turn(heap for heap in who.heaps if heap.left and heap.held_until and heap.held_until <= now)
        if not due:
            return None
        amount = sum(heap.left for heap in due)
        owed = max(0, -who.available)
        for heap in due:
            heap.held_until = None
            part = min(owed, heap.left)
            heap.left -= part
            owed -= part
        who.pending -= amount
        who.available += amount
        return Deed("release", who, amount)

    def expire(self, who: Person, now: datetime) -> Deed | None:
        due = [heap for heap in who.free if heap.expires and heap.expires <= now]
        if not due:
            return None
        taken = [(heap, heap.left) for heap in due]
        for heap, part in taken:
            heap.left, heap.ran_out = 0, heap.ran_out + part
            who.available -= part
        return Deed("expire", who, sum(part for _, part in taken), taken=taken)

    def merge(self, gone: Person, into: Person) -> None:
        gone, into = gone.real, into.real
        if gone.reserved:
            raise Refused("NotMergeable")
        came = [heap for heap in gone.free if gone.available > 0]
        owed = max(0, -into.available)
        if gone.available < 0:
            self.draw(into, min(-gone.available, max(0, into.available)))
        into.heaps += gone.heaps
        for heap in came:
            part = min(owed, heap.left)
            heap.left -= part
            owed -= part
        into.available += gone.available
        into.pending += gone.pending
        into.earned += gone.earned
        into.tier += gone.tier
        gone.available = gone.pending = gone.tier = 0
        gone.heaps, gone.is_now = [], into
