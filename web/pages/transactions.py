"""The history: each change of the points, newest first, page by page from a key, never by an offset."""

from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.loyalty.ledger import EFFECT, ledger_entry
from web.pages.member import member_of
from web.pages.profile import entry_view
from web.pages.visitor import AnyRequest

PAGE = 30


@get("/{slug:str}/transactions", name="transactions")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    before = request.query_params.get("before", "")
    rows = await member.site.database.read(
        entries_before,
        member.program.id,
        member.customer_id,
        int(before) if before.isdecimal() and len(before) < 10 else None,
    )
    shown = [entry_view(member, row) for row in rows[:PAGE]]
    return member.page(
        "transactions/list.html",
        "transactions",
        entries=shown,
        older=shown[-1]["id"] if len(rows) > PAGE else None,
        is_first=not before,
        timezone=member.program.settings.timezone,
    )


def entries_before(conn: Connection, program_id: str, customer_id: str, before: int | None) -> list[Any]:
    """One page of entries and one more, which tells whether there are older ones."""
    query = select(
        ledger_entry.c.number.label("id"),
        ledger_entry.c.effective_at.label("at"),
        ledger_entry.c.reason,
        EFFECT.label("amount"),
        ledger_entry.c.available_after.label("balance_after"),
    ).where(ledger_entry.c.program_id == program_id, ledger_entry.c.customer_id == customer_id, EFFECT != 0)
    if before is not None:
        query = query.where(ledger_entry.c.number < before)
    return list(conn.execute(query.order_by(ledger_entry.c.number.desc()).limit(PAGE + 1)).all())
