"""People who register, for tests of what follows."""

from uuid import uuid4

from sqlalchemy.engine import Connection

from web.foundation.address import Email, Phone
from web.loyalty.consent import Decision
from web.loyalty.customer import AlreadyKnown, Registered, Registration, register
from web.loyalty.program import Program
from web.loyalty.visit import begin_visit


def new_email() -> Email:
    value = f"Zoe-{uuid4().hex[:12]}@example.org"
    return Email(value, value.lower())


def a_registration(program: Program, visit_id: str, **changes: object) -> Registration:
    """What step 2 hands over, with both consents asked and the first one given."""
    wordings = program.wordings
    given: dict[str, object] = {
        "program_id": program.id,
        "visit_id": visit_id,
        "name": "Zoë",
        "locale": "en",
        "consents": [
            Decision(
                purpose=purpose,
                channel="email",
                granted=purpose == "news",
                wording_version=wordings[purpose].version,
                wording_sha256=wordings[purpose].sha256["en"],
            )
            for purpose in ("news", "card_messages")
            if purpose in wordings
        ],
        "platform": "apple",
    }
    if "phone" not in changes:
        given["email"] = new_email()
    return Registration(**{**given, **changes})  # type: ignore[arg-type]


def register_in_new_visit(conn: Connection, program: Program, **changes: object) -> Registered | AlreadyKnown:
    return register(conn, a_registration(program, begin_visit(conn, program.id)[0], **changes))


def new_customer(conn: Connection, program: Program, **changes: object) -> str:
    return register_in_new_visit(conn, program, **changes).customer_id


def a_phone() -> Phone:
    return Phone(f"+346{uuid4().int % 10**8:08}")
