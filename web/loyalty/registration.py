"""The end of a visit's form: its person becomes a customer, or the owner of a known address gets a message."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from sqlalchemy.engine import Connection

from web.foundation.address import Email, Phone
from web.loyalty.card_request import Asked, request_pass
from web.loyalty.consent import Decision
from web.loyalty.customer import AlreadyKnown, Registered, Registration, register_many
from web.loyalty.program import Program
from web.loyalty.referral_start import Invite, start_referral
from web.loyalty.visit import Visit, find_visits
from web.loyalty.wallet_pass import Platform

# The step of a visit's draft that holds the address, `email` or `phone`.
CONTACT = "contact"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What completes the visit that `visit_token` names. `asked` is called only if a mail must say who asked."""

    program: Program
    visit_token: str
    name: str | None
    locale: str
    birthday: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    consents: list[Decision] = field(default_factory=list)
    platform: Platform | None = None
    asked: Callable[[], Asked]
    base_url: str
    invite: Invite | None = None


class NothingBegun(msgspec.Struct, frozen=True):
    """The visit is over, or gave no address."""


Outcome = Registered | AlreadyKnown | NothingBegun


def complete_visits(conn: Connection, completions: list[Completion]) -> list[Outcome]:
    """Register the person of each visit, once, however often the form arrives.

    Where the address has a card already, its owner is sent the link (ruling 5).
    """
    visits = find_visits(conn, [(each.program.id, each.visit_token) for each in completions])
    known: list[Outcome | None] = [_already(visit) for visit in visits]
    outcomes = iter(
        register_many(
            conn,
            [
                _registration(each, visit)
                for each, visit, outcome in zip(completions, visits, known, strict=True)
                if visit is not None and outcome is None
            ],
        )
    )
    ended = [outcome or next(outcomes) for outcome in known]
    for each, outcome in zip(completions, ended, strict=True):
        if isinstance(outcome, AlreadyKnown):
            request_pass(
                conn, each.program, outcome.customer_id, "registered_again", each.asked(), each.base_url
            )
        elif isinstance(outcome, Registered) and each.invite is not None:
            start_referral(conn, each.program, outcome.customer_id, each.invite)
    return ended


def _already(visit: Visit | None) -> Outcome | None:
    """How a visit ended before; None for one that is about to."""
    if visit is None:
        return NothingBegun()
    if customer_id := visit.granted_customer():
        return Registered(customer_id)
    return None if CONTACT in visit.draft else NothingBegun()


def _registration(each: Completion, visit: Visit) -> Registration:
    address = visit.draft[CONTACT]
    return Registration(
        program_id=each.program.id,
        visit_id=visit.id,
        email=msgspec.convert(address.get("email"), Email | None),
        phone=msgspec.convert(address.get("phone"), Phone | None),
        name=each.name,
        locale=each.locale,
        birthday=each.birthday,
        extra=each.extra,
        consents=each.consents,
        platform=each.platform,
        first_touch_id=visit.first_touch_id,
        last_touch_id=visit.last_touch_id,
        referral_code=each.invite.code if each.invite else None,
    )
