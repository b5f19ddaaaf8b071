"""Reading what callers send: strictly, once, and with a pointer to whatever does not fit."""

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from web.api.problems import Fault, Problem, invalid, invalid_parameter

T = TypeVar("T")

DEEPEST = 16
# Control characters but tab and line ends, and marks that turn the direction of what follows: no name has them,
# PostgreSQL keeps no NUL, and a log or a page that shows the others says what nobody wrote (Trojan Source).
UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)


def read_json(body: bytes, kind: type[T]) -> T:
    """The body as `kind`. Raises: Problem, 400 for what is no JSON and 422 for what does not fit."""
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise Problem("bad-request", "The body is not in UTF-8.") from None
    except RecursionError:
        raise Problem("bad-request", f"The body is nested more than {DEEPEST} deep.") from None
    except json.JSONDecodeError as error:
        raise Problem(
            "bad-request", f"The body is no JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    _look_through(document, "", 0)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        pointer, detail = explain(error)
        raise invalid(pointer, detail) from None
    except msgspec.DecodeError:
        raise Problem("bad-request", "The body is no JSON.") from None


def read_query(pairs: list[tuple[str, str]], kind: type[T]) -> T:
    """Query parameters as `kind`; an empty one is none. Raises: Problem."""
    given: dict[str, str] = {}
    seen = set()
    for name, value in pairs:
        if name in seen:
            raise invalid_parameter(name, "Give this parameter once.")
        seen.add(name)
        if UNWANTED.search(name + value):
            raise invalid_parameter(name, "Control characters are not taken.")
        if value:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        pointer, detail = explain(error)
        raise invalid_parameter(pointer.removeprefix("/"), detail) from None


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """The JSON Pointer and the sentence of a validation error."""
    matched = _MESSAGE.match(str(error))
    what, path = (matched["what"], matched["path"] or "$") if matched else (str(error), "$")
    pointer = "".join(
        f"/{_escape(step['name'] or step['index'])}"
        for step in _STEP.finditer(path)
        if step["name"] or step["index"]
    )
    if unknown := _UNKNOWN.match(what):
        return f"{pointer}/{_escape(unknown['name'])}", "There is no such field here."
    if missing := _MISSING.match(what):
        return f"{pointer}/{_escape(missing['name'])}", "This field is required."
    return pointer, f"{what}."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("bad-request", f"The field {twice[:80]!a} is there twice in one object.")
    return made


def _no_number(name: str) -> NoReturn:
    raise Problem("bad-request", f"{name} is no JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > 40:
        raise Problem("bad-request", "A number has more than 40 digits.")
    return int(digits)


def _look_through(value: Any, pointer: str, depth: int) -> None:
    if depth > DEEPEST:
        raise Problem("bad-request", f"The body is nested more than {DEEPEST} deep.")
    if isinstance(value, str):
        # A pattern's $ lets one line end pass.
        if UNWANTED.search(value) or value.endswith("\n"):
            raise invalid(pointer, "Control characters are not taken, nor a line end at the end.")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if UNWANTED.search(name):
                fault = Fault(pointer=pointer, detail="A field's name holds control characters.")
                raise Problem("invalid", fault.detail, fault)
            _look_through(inner, f"{pointer}/{_escape(name)}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _look_through(inner, f"{pointer}/{index}", depth + 1)


def _escape(step: str) -> str:
    """RFC 6901, 3."""
    return step.replace("~", "~0").replace("/", "~1")
