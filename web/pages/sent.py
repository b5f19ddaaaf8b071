"""What a request sent, read with as little as it takes: Litestar's own headers cost more to set up than a kept page."""

from typing import Any

from litestar import Request


def header(request: Request[Any, Any, Any], name: bytes) -> str:
    """A header's value by its name in lower case; "" where there is none."""
    for given, value in request.scope["headers"]:
        if given == name:
            return value.decode("latin-1")
    return ""


def cookie(request: Request[Any, Any, Any], name: str) -> str | None:
    """A cookie's value by its name; of several the last one's."""
    for pair in reversed(header(request, b"cookie").split(";")):
        given, _, value = pair.partition("=")
        if given.strip() == name:
            # Quoted it holds what a cookie may not; ours do not.
            return request.cookies.get(name) if '"' in value else value.strip()
    return None


def query(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The address's parameters in their order, those that are given twice as well."""
    return list(request.query_params.items()) if request.scope["query_string"] else []


def parameter(request: Request[Any, Any, Any], name: str) -> str:
    """One of the address's parameters; "" where there is none, the first of several."""
    return next((value for given, value in query(request) if given == name), "")
