"""Logs: one line for each thing, JSON or text, with ids and never with a person's data or a token."""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import structlog


def configure_logs(form: Literal["json", "text"]) -> None:
    """Send structlog's and the standard library's lines to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _show_where,
    ]
    last: Any = (
        structlog.processors.JSONRenderer(serializer=_encode)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=last))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # These write addresses and query strings, where tokens are; our own access line has the route instead.
    # Alembic tells of its set-up each time that a health check asks for the revision.
    for name in ("uvicorn.access", "httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _show_where(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Errors by their kinds and the places they passed, without their texts: those quote what a person typed."""
    error = line.pop("exc_info", None)
    error = error[1] if isinstance(error, tuple) else sys.exception() if error is True else error
    if isinstance(error, BaseException):
        line["error"] = list(_kinds(error))
        frames = traceback.extract_tb(error.__traceback__)
        line["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return line


def _kinds(error: BaseException) -> Iterator[str]:
    while True:
        yield type(error).__qualname__
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        error = cause


def _encode(record: Any, **_: Any) -> str:
    return msgspec.json.encode(record, enc_hook=str).decode()
