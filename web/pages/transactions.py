"""The history: each change of the points, newest first, page by page from a key, never by an offset."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.loyalty.balance import balance
from web.loyalty.earning_record import Unrewarded, earned_nothing, traces_of
from web.loyalty.earning_rules import Trace
from web.loyalty.ledger import AVAILABLE, EFFECT, ledger_entry
from web.loyalty.lot import lot
from web.pages.entry_view import WITH_LOT, explained_view
from web.pages.member import member_of
from web.pages.reasons import because
from web.pages.visitor import AnyRequest

PAGE = 30
# So many pages come by themselves as one scrolls; then a tap asks for more, so that the page's foot is in reach.
BY_ITSELF = 5
# Of purchases that earned nothing the latest ones: somebody looks for the one they just made.
MOST_NOTHING = 5

# What can be shown alone, and which entries that is. What waits is not among the others: it cannot be spent yet.
SHOWN = {
    "all": EFFECT != 0,
    "earned": EFFECT > 0,
    "spent": (ledger_entry.c.debit == AVAILABLE) & ledger_entry.c.kind.not_in(("expire", "reverse", "merge")),
    "expired": ledger_entry.c.kind == "expire",
    "waiting": (ledger_entry.c.kind == "hold") & lot.c.is_pending.is_(True) & (lot.c.remaining > 0),
}
NAMES = {
    "all": N_("All"),
    "earned": N_("Earned"),
    "spent": N_("Spent"),
    "expired": N_("Ran out"),
    "waiting": N_("On their way"),
}


class History(msgspec.Struct, frozen=True):
    """One page of entries and one more, which tells whether there are older ones; `pending` points are on their way.

    `traces` are those of the flows that led to an entry, by its id; `nothing` are purchases that earned nothing.
    """

    rows: list[Any]
    pending: int
    traces: dict[str, list[Trace]]
    nothing: list[Unrewarded]


@get("/{slug:str}/transactions", name="transactions")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    asked = request.query_params
    shown = asked.get("show", "all") if asked.get("show") in SHOWN else "all"
    before = _number(asked.get("before", ""))
    history = await member.site.database.read(
        read_history, member.program.id, member.customer_id, shown, before
    )
    entries = [
        explained_view(member, row, history.traces.get(row.entry_id, ())) for row in history.rows[:PAGE]
    ]
    count = _number(asked.get("n", "")) or 1
    return member.page(
        "transactions/list.html",
        "transactions",
        points=member.visitor.amount(member.standing.points),
        pending=member.visitor.amount(history.pending) if history.pending else None,
        filters=[
            {"key": key, "name": member.site.renderer.text(member.language, name), "current": key == shown}
            for key, name in NAMES.items()
        ],
        shown=shown,
        entries=entries,
        nothing=[{"at": each.at, "because": because(member, [each.trace])} for each in history.nothing],
        # Scrolled on, a day goes on under the heading that it has already.
        begun_day=asked.get("day") if member.visitor.is_partial else None,
        older=entries[-1]["id"] if len(history.rows) > PAGE else None,
        next_page=count + 1,
        by_itself=count < BY_ITSELF,
        is_first=before is None,
        timezone=member.program.settings.timezone,
    )


def read_history(
    conn: Connection, program_id: str, customer_id: str, shown: str, before: int | None
) -> History:
    query = WITH_LOT.where(
        ledger_entry.c.program_id == program_id, ledger_entry.c.customer_id == customer_id, SHOWN[shown]
    )
    if before is not None:
        query = query.where(ledger_entry.c.number < before)
    rows = conn.execute(query.order_by(ledger_entry.c.number.desc()).limit(PAGE + 1)).all()
    pending = conn.scalar(
        select(balance.c.pending).where(
            balance.c.program_id == program_id, balance.c.customer_id == customer_id
        )
    )
    return History(
        rows=list(rows),
        pending=pending or 0,
        traces=traces_of(conn, program_id, customer_id, [row.entry_id for row in rows]),
        nothing=earned_nothing(conn, program_id, customer_id, MOST_NOTHING)
        if shown in ("all", "earned") and before is None
        else [],
    )


def _number(typed: str) -> int | None:
    return int(typed) if typed.isdecimal() and typed.isascii() and len(typed) < 10 else None
