"""One operation of the API: its place, its shapes and its examples, said once for the router and the document."""

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, get_type_hints

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from web.api import cors
from web.api.call import AnyRequest, Call, Replayed, encode, parts_of
from web.api.caller import caller_of
from web.api.problems import HEADERS, Problem
from web.api.reading import UNWANTED, read_json, read_query
from web.loyalty.api_key import Scope

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Coroutine[Any, Any, Any]]

# 250 resources with every field filled come to half of it.
LARGEST_BODY = 1024 * 1024
_PARAMETER = re.compile(r"\{(\w+)\}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of one operation. The first of `paths` is the one that is documented as current.

    `query`, `body` and `answer` are the types that its handler names; `shape` is what a body should be, where the
    handler reads it more leniently; `csv`: it is a file of lines, not JSON. `failures` are the kinds of problems beyond
    those that every operation has; `secret` says that the answer must not be kept readable.
    """

    name: str
    method: Method
    paths: tuple[str, ...]
    scope: Scope
    tag: str
    status: int
    customers: bool
    query: Any
    body: Any
    shape: Any
    answer: Any
    example: Any
    answer_example: Any
    failures: tuple[str, ...]
    secret: bool
    csv: bool
    summary: str
    description: str

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def path_parameters(self, index: int) -> list[str]:
        """The parameters in one of its addresses."""
        return _PARAMETER.findall(self.paths[index])


def operation(
    method: Method,
    *paths: str,
    scope: Scope,
    tag: str,
    answer: Any,
    example: Any = None,
    shape: Any = None,
    status: int = 200,
    customers: bool = False,
    failures: tuple[str, ...] = (),
    secret: bool = False,
    csv: bool = False,
) -> Callable[[Handler], HTTPRouteHandler]:
    """Make `handler(call)` an operation, a route for the router.

    The handler's parameters `data` and `query`, where it has them, are the types of its body and its query, and it
    returns the type of its answer. The first line of its docstring is its summary. `example` is a body, `answer` an
    answer, both as values of these types. `shape` is the type of a body that the handler reads by itself, item by
    item. With `customers` a customer's own token may call it, too; the handler then
    looks at `call.customer_id`. `secret`: the answer holds one, and is kept for repetitions sealed only. `csv`: the
    body is a text/csv file, which the handler finds in `call.body`; `example` is its text.
    """

    def make(handler: Handler) -> HTTPRouteHandler:
        types = get_type_hints(handler, include_extras=True)
        summary, _, description = (handler.__doc__ or "").strip().partition("\n")
        made = Operation(
            name=_camel(handler.__name__),
            method=method,
            paths=paths,
            scope=scope,
            tag=tag,
            status=status,
            customers=customers,
            query=types.get("query"),
            body=types.get("data"),
            shape=shape or types.get("data"),
            answer=types["return"],
            example=example,
            answer_example=answer,
            failures=failures,
            secret=secret,
            csv=csv,
            summary=summary.rstrip("."),
            description=" ".join(description.split()),
        )

        async def answer_call(request: AnyRequest) -> Response[bytes]:
            return await _answer(made, handler, request)

        return HTTPRouteHandler(
            [_PARAMETER.sub(r"{\1:str}", path) for path in paths],
            http_method=method,
            name=f"api_{handler.__name__}",
            opt={"operation": made},
            status_code=status,
            request_max_body_size=LARGEST_BODY,
        )(answer_call)

    return make


def options_of(operations: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """What each address says of its methods; the router's own answer knows the first operation of each only."""
    by_path: dict[str, list[Operation]] = {}
    for handler in operations:
        for path in handler.paths:
            by_path.setdefault(path, []).append(handler.opt["operation"])
    return [_options(path, there) for path, there in by_path.items()]


def _options(path: str, there: list[Operation]) -> HTTPRouteHandler:
    allowed = ", ".join(sorted({"OPTIONS", *(each.method for each in there)}))
    for_customers: set[str] = {each.method for each in there if each.customers}

    async def tell_methods(request: AnyRequest) -> Response[None]:
        told = cors.preflight(request, parts_of(request), for_customers)
        return Response(None, status_code=204, headers={"allow": allowed, **told})

    return HTTPRouteHandler(path, http_method="OPTIONS", status_code=204)(tell_methods)


async def _answer(asked: Operation, handler: Handler, request: AnyRequest) -> Response[bytes]:
    path = {name: str(value) for name, value in request.path_params.items()}
    if any(UNWANTED.search(value) for value in path.values()):
        raise Problem("not-found")
    program, key, customer_id = await caller_of(
        request, path.get("program"), asked.scope, customers=asked.customers
    )
    call = Call(
        request=request,
        parts=parts_of(request),
        program=program,
        key=key,
        customer_id=customer_id,
        route=f"{asked.method} {request.scope['path_template']}",
        status=asked.status,
        path=path,
        secret=asked.secret,
    )
    given: dict[str, Any] = {}
    if asked.query is not None:
        given["query"] = read_query(list(request.query_params.multi_items()), asked.query)
    if asked.body is not None:
        call.body = await _body(request)
        given["data"] = read_json(call.body, asked.body)
    elif asked.csv:
        call.body = await _file(request)
    headers: dict[str, str] = dict(request.scope.get(HEADERS, {}))  # type: ignore[call-overload]
    try:
        result = await handler(call, **given)
    except Replayed:
        headers["idempotency-replayed"] = "true"
        result = None
    if asked.scope == "admin" and asked.writes:
        # Other processes see within seconds what was changed of a programme; this one sees it at once.
        await call.parts.programs.refresh()
    body = call.answer.body if call.answer else encode(result)
    return Response(
        body,
        status_code=call.answer.status if call.answer else asked.status,
        media_type="application/json",
        headers=headers,
    )


async def _body(request: AnyRequest) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem("media-type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("media-type")
    return await request.body()


async def _file(request: AnyRequest) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "text/csv" or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("media-type", "Send `Content-Type: text/csv`, uncompressed.")
    return await request.body()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
