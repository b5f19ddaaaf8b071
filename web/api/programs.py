"""Programmes: what a merchant decides, read and changed."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Fault, Problem, invalid
from web.api.reading import explain
from web.api.shapes import A_PROGRAM, Id, Output
from web.loyalty.program import Program, change_program, program
from web.loyalty.program_settings import InvalidProgram, ProgramSettings

TAG = "Programmes"

# The programme's own shape with every field left to choice: what a merge patch of it may hold.
SettingsPatch = msgspec.defstruct(
    "SettingsPatch",
    [(field.name, field.type | None | UnsetType, UNSET) for field in msgspec.structs.fields(ProgramSettings)],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)


class ProgramShown(Output):
    """A programme. `settings` are written as in a programme's file: with underscores."""

    id: Id
    slug: str
    version: int
    settings: ProgramSettings


EXAMPLE = ProgramShown(
    id=A_PROGRAM, slug="brewbar", version=3, settings=ProgramSettings(name="Brewbar", languages=("en", "es"))
)


@operation("GET", "/v1/programs/{program}", scope="read", tag=TAG, answer=EXAMPLE)
async def get_program(call: Call) -> ProgramShown:
    """Get the programme's settings."""
    return _shown(call.program)


@operation(
    "PATCH",
    "/v1/programs/{program}",
    scope="admin",
    tag=TAG,
    example={"flows": {"download_message": False}, "currency": "GBP"},
    answer=EXAMPLE,
    failures=("conflict",),
)
async def change_program_settings(call: Call, data: SettingsPatch) -> ProgramShown:  # type: ignore[valid-type]
    """Change the programme's settings.

    The body is a JSON Merge Patch (RFC 7396) of `settings`: what is not named stays, null takes away so that the
    default stands, lists are replaced as a whole. Every page shows it within seconds.
    """
    patch = msgspec.json.decode(call.body)
    return await call.write(_change, call.program, patch)


def merge(whole: Any, patch: Any) -> Any:
    """RFC 7396, 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(whole) if isinstance(whole, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _change(conn: Connection, changed: Program, patch: dict[str, Any]) -> ProgramShown:
    now = conn.execute(
        select(program.c.settings, program.c.version).where(program.c.id == changed.id).with_for_update()
    ).one()
    try:
        settings = msgspec.convert(merge(now.settings, patch), ProgramSettings)
        change_program(conn, changed.slug, settings)
    except msgspec.ValidationError as error:
        raise invalid(*explain(error)) from None
    except InvalidProgram as error:
        faults = [_fault(problem) for problem in error.problems]
        raise Problem("invalid", " ".join(error.problems), *faults) from None
    return ProgramShown(id=changed.id, slug=changed.slug, version=now.version + 1, settings=settings)


def _fault(problem: str) -> Fault:
    """ "texts.de: is not among languages." says where before it says what."""
    where, _, what = problem.partition(": ")
    return Fault(pointer="/" + where.replace(".", "/"), detail=what)


def _shown(shown: Program) -> ProgramShown:
    return ProgramShown(id=shown.id, slug=shown.slug, version=shown.version, settings=shown.settings)


ROUTES = (get_program, change_program_settings)
