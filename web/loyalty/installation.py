"""Who holds a card: phones that registered for Apple's updates, and what Google tells of saves and removals.

Both wallets repeat themselves, and in any order; only what changes something is recorded.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Index,
    String,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.delivery import enqueue_merged
from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now
from web.loyalty.customer import customer
from web.loyalty.event import CARD_INSTALLED, CARD_UNINSTALLED, record
from web.loyalty.wallet_pass import Pass, move_versions, update_row, wallet_pass

# Phones that were off, or without a network, hear of an erased customer's card within this time or never.
TOLD_WITHIN = timedelta(days=30)
# A person has a phone, a watch and a tablet, and each restore brings a new name. Whoever has the pass's token could
# otherwise fill the disk, and each change would be pushed to all that they made up.
MOST_PHONES = 40

# One row for each phone and pass of Apple's. A phone names itself by a device id, which a restore from a backup
# changes, and is reached by its push token, which may change at any time.
pass_device = Table(
    "pass_device",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("pass_id", Id, primary_key=True),
    Column("device_id", String(120), primary_key=True),
    Column("push_token", String(200), nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
# A phone asks for all its passes without naming a programme, and Apple names a phone that is gone by its token.
Index("ix_pass_device_device", pass_device.c.device_id)
Index("ix_pass_device_push_token", pass_device.c.push_token)


def register_device(conn: Connection, held: Pass, program_id: str, device_id: str, push_token: str) -> bool:
    """A phone wants to hear of a pass's changes; True if it did not before.

    The pass may have come to it before its last change, from whatever browser, backup or other phone: it hears at
    once, and whoever holds the present version is answered that nothing changed. Beyond so many phones the one that
    was silent longest is forgotten.
    """
    now = utc_now()
    is_new = bool(
        conn.execute(
            insert_or_skip(conn, pass_device).values(
                program_id=program_id,
                pass_id=held.id,
                device_id=device_id,
                push_token=push_token,
                registered_at=now,
                updated_at=now,
            )
        ).rowcount
    )
    renamed = conn.execute(
        update(pass_device)
        .where(pass_device.c.device_id == device_id, pass_device.c.push_token != push_token)
        .values(push_token=push_token, updated_at=now)
        .returning(pass_device.c.program_id, pass_device.c.pass_id)
    ).all()
    # That it has registered again counts as well, against an older word that its token is gone.
    is_this = and_(pass_device.c.program_id == program_id, pass_device.c.pass_id == held.id)
    conn.execute(
        update(pass_device).where(pass_device.c.device_id == device_id, is_this).values(updated_at=now)
    )
    if is_new:
        mark_installed(conn, program_id, held.id)
        _forget_beyond(conn, program_id, held.id, MOST_PHONES)
        enqueue_merged(conn, [update_row(program_id, held.id, "apple")])
    # What was pushed to its former token a moment ago may never have reached it: it hears of that at the new one.
    enqueue_merged(conn, [update_row(row.program_id, row.pass_id, "apple") for row in renamed])
    return is_new


def _forget_beyond(conn: Connection, program_id: str, pass_id: str, most: int) -> None:
    its = (pass_device.c.program_id == program_id, pass_device.c.pass_id == pass_id)
    silent = conn.scalars(
        select(pass_device.c.device_id)
        .where(*its)
        .order_by(pass_device.c.updated_at.desc(), pass_device.c.device_id)
        .offset(most)
    ).all()
    if silent:
        conn.execute(delete(pass_device).where(*its, pass_device.c.device_id.in_(silent)))


def unregister_device(conn: Connection, program_id: str, pass_id: str, device_id: str) -> bool:
    """A phone does not want to hear of a pass any more; with the last one the card is uninstalled."""
    gone = conn.execute(
        delete(pass_device).where(
            pass_device.c.program_id == program_id,
            pass_device.c.pass_id == pass_id,
            pass_device.c.device_id == device_id,
        )
    ).rowcount
    if gone:
        _after_leaving(conn, program_id, pass_id)
    return bool(gone)


def forget_push_token(conn: Connection, push_token: str, since: datetime | None = None) -> int:
    """A phone cannot be reached any more; returns how many registrations went.

    `since` is when Apple found that out: a phone that registered again later is believed.
    """
    where = [pass_device.c.push_token == push_token]
    if since is not None:
        where.append(pass_device.c.updated_at <= since)
    left = conn.execute(
        delete(pass_device).where(*where).returning(pass_device.c.program_id, pass_device.c.pass_id)
    ).all()
    for row in left:
        _after_leaving(conn, row.program_id, row.pass_id)
    return len(left)


def phones_with(conn: Connection, program_id: str, pass_ids: list[str]) -> dict[str, list[str]]:
    """The phones that any of these passes are on, each with the passes that it holds of them."""
    found: dict[str, list[str]] = {}
    for row in conn.execute(
        select(pass_device.c.push_token, pass_device.c.pass_id).where(
            pass_device.c.program_id == program_id, pass_device.c.pass_id.in_(pass_ids)
        )
    ):
        found.setdefault(row.push_token, []).append(row.pass_id)
    return found


def push_tokens_of(conn: Connection, program_id: str, pass_id: str) -> list[str]:
    """The phones that a pass is on, each once."""
    return list(
        conn.scalars(
            select(pass_device.c.push_token)
            .where(pass_device.c.program_id == program_id, pass_device.c.pass_id == pass_id)
            .distinct()
        )
    )


def phones_of(conn: Connection, passes: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """The push tokens of many passes, each named by programme and id. A pass that is on no phone is left out."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = conn.execute(
        select(pass_device.c.program_id, pass_device.c.pass_id, pass_device.c.push_token)
        .where(
            pass_device.c.program_id.in_({program_id for program_id, _ in passes}),
            pass_device.c.pass_id.in_([pass_id for _, pass_id in passes]),
        )
        .distinct()
    )
    for program_id, pass_id, push_token in rows:
        found[program_id, pass_id].append(push_token)
    return found


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A phone got a pass in this version, or has it. `is_nobodys`: its customer was erased."""

    program_id: str
    pass_id: str
    version: int
    is_nobodys: bool = False


_FETCH = (
    update(wallet_pass)
    .where(
        wallet_pass.c.program_id == bindparam("its_program"),
        wallet_pass.c.id == bindparam("its_id"),
        or_(
            wallet_pass.c.fetched_version.is_(None),
            wallet_pass.c.fetched_version < bindparam("version_now"),
        ),
    )
    .values(fetched_version=bindparam("version_now"), fetched_at=bindparam("now"))
)


def mark_fetched(conn: Connection, fetched: Sequence[Fetched]) -> None:
    """Remember what phones fetched; an older version than the one known changes nothing.

    Where the only phone of an erased customer knows that the card is void, nothing is left to tell it.
    """
    now = utc_now()
    # In one order, so that two who write at once do not wait for each other.
    rows = sorted(fetched, key=lambda each: each.pass_id)
    conn.execute(
        _FETCH,
        [
            {"its_program": each.program_id, "its_id": each.pass_id, "version_now": each.version, "now": now}
            for each in rows
        ],
    )
    for each in rows:
        if each.is_nobodys and len(push_tokens_of(conn, each.program_id, each.pass_id)) == 1:
            conn.execute(delete(pass_device).where(pass_device.c.pass_id == each.pass_id))


def blank_void_passes(conn: Connection, program_id: str, customer_id: str) -> None:
    """Have the phones fetch once more what was void already: its holder is being erased, and it names them."""
    is_registered = exists().where(
        pass_device.c.program_id == wallet_pass.c.program_id, pass_device.c.pass_id == wallet_pass.c.id
    )
    moved = move_versions(
        conn,
        program_id,
        wallet_pass.c.customer_id == customer_id,
        wallet_pass.c.voided_at.is_not(None),
        is_registered,
    )
    enqueue_merged(conn, [update_row(program_id, each.id, each.platform) for each in moved])


def forget_phones_of_nobody(conn: Connection, program_id: str, now: datetime) -> int:
    """Forget the phones that hold a card of somebody who was erased some time ago; returns how many there were.

    Each of several phones was told, but which of them asked since is not known: a month is for all of them.
    """
    over = (
        select(wallet_pass.c.program_id, wallet_pass.c.id)
        .where(
            wallet_pass.c.program_id == program_id,
            wallet_pass.c.voided_at <= now - TOLD_WITHIN,
            ~exists().where(
                customer.c.program_id == wallet_pass.c.program_id, customer.c.id == wallet_pass.c.customer_id
            ),
        )
        .subquery()
    )
    return conn.execute(
        delete(pass_device).where(
            tuple_(pass_device.c.program_id, pass_device.c.pass_id).in_(select(over.c.program_id, over.c.id))
        )
    ).rowcount


def mark_installed(conn: Connection, program_id: str, pass_id: str) -> bool:
    """A phone holds the pass; False if that was known, or the pass is void."""
    held = _locked(conn, program_id, pass_id)
    if held is None or held["status"] not in ("created", "uninstalled"):
        return False
    first = not conn.scalar(
        select(func.count()).where(*_of_customer(held), wallet_pass.c.installed_at.is_not(None))
    )
    _set(conn, held, status="installed", installed_at=utc_now(), uninstalled_at=None)
    active = conn.scalar(select(func.count()).where(*_of_customer(held), wallet_pass.c.status == "installed"))
    properties = {
        "passId": pass_id,
        "platform": held["platform"],
        "first": first,
        "installsActive": active or 0,
    }
    record(conn, program_id, CARD_INSTALLED, held["customer_id"], properties)
    return True


def mark_uninstalled(conn: Connection, program_id: str, pass_id: str, reason: str | None = None) -> bool:
    """No phone holds the pass any more; False if that was known. A void pass stays void.

    `reason` is told where the wallet tells it: Apple's does not know a removed pass from updates turned off.
    """
    held = _locked(conn, program_id, pass_id)
    if held is None or held["status"] != "installed":
        return False
    now = utc_now()
    _set(conn, held, status="uninstalled", uninstalled_at=now)
    properties: dict[str, Any] = {
        "passId": pass_id,
        "platform": held["platform"],
        "daysInstalled": (now - held["installed_at"]).days,
    }
    if reason is not None:
        properties["reason"] = reason
    record(conn, program_id, CARD_UNINSTALLED, held["customer_id"], properties)
    return True


def _after_leaving(conn: Connection, program_id: str, pass_id: str) -> None:
    # Locked before it is counted: of two phones that leave at once the second one sees that it is the last.
    _locked(conn, program_id, pass_id)
    if not push_tokens_of(conn, program_id, pass_id):
        mark_uninstalled(conn, program_id, pass_id)


def _locked(conn: Connection, program_id: str, pass_id: str) -> dict[str, Any] | None:
    row = conn.execute(
        select(wallet_pass)
        .where(wallet_pass.c.program_id == program_id, wallet_pass.c.id == pass_id)
        .with_for_update()
    ).one_or_none()
    return None if row is None else dict(row._mapping)


def _of_customer(held: dict[str, Any]) -> tuple[Any, ...]:
    return (
        wallet_pass.c.program_id == held["program_id"],
        wallet_pass.c.customer_id == held["customer_id"],
        wallet_pass.c.kind == held["kind"],
    )


def _set(conn: Connection, held: dict[str, Any], **values: Any) -> None:
    conn.execute(
        update(wallet_pass)
        .where(wallet_pass.c.program_id == held["program_id"], wallet_pass.c.id == held["id"])
        .values(**values)
    )
