"""Requests that hold many items: each succeeds or fails by itself, and the answer says which."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from web.api.problems import Fault, Problem
from web.api.reading import explain
from web.api.shapes import Output

R = TypeVar("R")

MOST_ITEMS = 250
Given = Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MOST_ITEMS)]


class ItemError(Output, omit_defaults=True):
    """Why an item failed; `type` is the kind of problem, `pointer` where in the body it is."""

    type: str
    detail: str
    pointer: str | None = None


def each(
    conn: Connection, given: list[Any], kind: Any, do: Callable[[Connection, int, Any], R], base: str = ""
) -> list[R | Problem]:
    """Do every item in a savepoint of its own, in order: what it returned, or the problem that it had.

    `base` is the pointer of the list in the body.
    """
    return [_one(conn, item, kind, do, index, f"{base}/{index}") for index, item in enumerate(given)]


def _one(
    conn: Connection,
    item: Any,
    kind: Any,
    do: Callable[[Connection, int, Any], R],
    index: int,
    pointer: str,
) -> R | Problem:
    try:
        read = msgspec.convert(item, kind)
        with conn.begin_nested():
            return do(conn, index, read)
    except msgspec.ValidationError as error:
        where, detail = explain(error)
        return Problem("invalid", detail, Fault(pointer=pointer + where, detail=detail))
    except IntegrityError:
        return Problem(
            "conflict",
            "Somebody else wrote the same at this moment.",
            Fault(pointer=pointer, detail="Try again."),
        )
    except Problem as problem:
        faults = problem.faults or (Fault(pointer="", detail=problem.detail),)
        return Problem(
            problem.kind,
            problem.detail,
            *(Fault(pointer=pointer + (fault.pointer or ""), detail=fault.detail) for fault in faults),
        )


def error_of(problem: Problem) -> ItemError:
    return ItemError(type=problem.kind, detail=problem.detail, pointer=problem.faults[0].pointer)


def refuse_if_all_failed(outcomes: list[Any], kind: str, detail: str) -> None:
    """Raises: Problem, with a fault for each item, where not a single one worked."""
    failed = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    if len(failed) == len(outcomes):
        raise Problem(kind, detail, *(fault for problem in failed for fault in problem.faults))
