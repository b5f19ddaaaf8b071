"""Log lines, read from a process of their own: one form for all of them, and nothing that a person typed."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

PERSON = "ana@example.com"


def lines_of(code: str, form: str = "json") -> list[str]:
    program = f"from web.foundation.logs import configure_logs\nconfigure_logs({form!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def line_of(code: str) -> dict[str, Any]:
    [line] = lines_of(code)
    return msgspec.json.decode(line, type=dict[str, Any])


def test_a_line_is_one_json_object_with_time_level_and_ids() -> None:
    line = line_of(
        "import structlog; structlog.get_logger('x').warning('not delivered', delivery='42', tries=3)"
    )
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "not delivered", "level": "warning", "delivery": "42", "tries": 3}


def test_what_is_bound_to_a_request_is_on_its_lines() -> None:
    line = line_of(
        "import structlog; structlog.contextvars.bind_contextvars(request='7'); structlog.get_logger().info('hi')"
    )
    assert line["request"] == "7"


def test_the_standard_library_s_lines_have_the_same_form() -> None:
    line = line_of("import logging; logging.getLogger('limits').warning('not counted: %s', 'TimeoutError')")
    assert line["event"] == "not counted: TimeoutError"
    assert line["level"] == "warning"


FAIL = """
class Fault(Exception): pass
def ask():
    try:
        raise KeyError("ana@example.com")
    except KeyError as error:
        raise Fault("ana@example.com is unknown") from error
try:
    ask()
except Fault as fault:
    {say}
"""
WAYS = {
    "structlog, given": "import structlog; structlog.get_logger().error('failed', exc_info=fault)",
    "structlog, current": "import structlog; structlog.get_logger().exception('failed')",
    "logging, current": "import logging; logging.getLogger('x').exception('failed')",
    "logging, given": "import logging; logging.getLogger('x').error('failed', exc_info=fault)",
}


@pytest.mark.parametrize("way", WAYS)
def test_an_error_is_told_by_its_kinds_and_places_and_never_quoted(way: str) -> None:
    line = line_of(FAIL.format(say=WAYS[way]))
    assert line["error"] == ["Fault", "KeyError"]
    assert any(place.endswith(" ask") for place in line["where"])
    assert PERSON not in str(line)


@pytest.mark.parametrize("way", WAYS)
def test_nor_in_the_form_for_people(way: str) -> None:
    text = "\n".join(lines_of(FAIL.format(say=WAYS[way]), "text"))
    assert "Fault" in text
    assert PERSON not in text


@pytest.mark.parametrize("name", ["uvicorn.access", "httpx", "httpcore"])
def test_lines_with_addresses_and_tokens_in_them_are_not_written(name: str) -> None:
    assert (
        lines_of(f"import logging; logging.getLogger({name!r}).info('GET /brewbar/download?token=abc')") == []
    )
