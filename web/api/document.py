"""The OpenAPI document: made from the operations themselves, so that it says what they do.

Shapes come from msgspec, which is what reads and writes them: the document and the code cannot disagree.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from web.api.operation import Operation
from web.api.problems import KINDS, MEDIA_TYPE, Fault, ProblemDocument
from web.api.shapes import A_PROGRAM

REFERENCE = "#/components/schemas/{name}"
EVERYWHERE = ("bad-request", "unauthenticated", "forbidden", "too-many", "failed", "unavailable")

DESCRIPTION = """\
Everything that a merchant's own systems need of a loyalty programme.

A key comes as `api-key: …` or as `Authorization: Bearer …`; `python -m web key api create` makes the first one. \
`{program}` is the programme's UUID or its slug. Every write takes an `Idempotency-Key`: asked again with the same \
key and the same body, it answers the same, byte for byte, and does nothing more, for seven days. Lists come in pages: \
`nextCursor` of one is the `cursor` of the next. A browser on another site calls with a customer's token, from an \
origin that the programme's settings list. Every failure is a problem document that says what to change."""

PARAMETERS = {
    "program": ("The programme's UUID or slug.", "brewbar"),
    "customer": ("The customer's e-mail address, our id, or their id in your own system.", "ana@example.com"),
    "location": ("The location's slug.", "malasana"),
    "key": ("The key's id.", "0199a1b2-6f70-7182-9c9d-0e1f2a3b4c5d"),
    "reward": ("The reward's id.", "0199a1b2-8192-73a4-8e1f-2a3b4c5d6e7f"),
    "redemption": ("The redemption's id.", "0199a1b2-92a3-74b5-8f20-3b4c5d6e7f80"),
    "coupon": ("The coupon's slug or id.", "second-cup"),
    "assignment": (
        "The id that the coupon got when it was assigned.",
        "0199a1b2-a3b4-75c6-9031-4c5d6e7f8091",
    ),
    "code": ("A code as somebody typed or scanned it.", "7K3M9QXA2"),
    "webhook": ("The webhook's id.", "0199a1b2-7081-7293-8d0e-1f2a3b4c5d6e"),
    "flow": ("The earning flow's id, or its type where it is the only one of it.", "CUSTOM_1"),
    "multiplier": ("The multiplier's id.", "0199a1b2-a4b6-75c6-9031-4c5d6e7f8091"),
    "tier": ("The tier's id.", "0199a1b2-b5c7-76d7-9142-5d6e7f8091a2"),
    "order": ("The order's id, as you gave it.", "1001"),
    "referral": ("The referral's id.", "0199a1b2-8192-73a4-8e1f-2a3b4c5d6e7f"),
    "item": ("The pass's id, or your own reference.", "gift-77"),
    "kind": ("`logo`, `icon`, `strip` or `hero`.", "logo"),
    "message": ("The id that the message got when it was taken.", "0199a1b2-5e6f-7071-8b8c-9d0e1f2a3b4c"),
    "pass": ("The pass's id (its serial number), or the customer's id in your own system.", "crm-4711"),
}


def make_document(handlers: Iterable[HTTPRouteHandler], base_url: str, version: str) -> dict[str, Any]:
    """The document of these routes, as plain values."""
    operations = [handler.opt["operation"] for handler in handlers]
    shapes = list(dict.fromkeys(_shapes(operations)))
    schemas, components = msgspec.json.schema_components([*shapes, ProblemDocument], ref_template=REFERENCE)
    by_shape = dict(zip(shapes, schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for index, path in enumerate(operation.paths):
            paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, index, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pasito API", "version": version, "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {kind: _problem(kind, base_url) for kind in KINDS},
            "headers": HEADERS,
            "parameters": {"idempotencyKey": IDEMPOTENCY_KEY},
            "securitySchemes": SECURITY,
        },
    }


SECURITY = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "api-key", "description": "A key of the programme."},
    "bearerKey": {"type": "http", "scheme": "bearer", "description": "The same key, as a bearer token."},
    "customerToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A customer's own token of the kind `auth`, for their own calls.",
    },
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Of your own choice, new for each thing to be done; the same when you try again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"},
    "example": "order-1001-points",
}
HEADERS = {
    "RateLimit-Policy": {
        "description": "The limit that counts here: `q` calls in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"api_key";q=600;w=60',
    },
    "RateLimit": {
        "description": "What is left of it: `r` calls, until it begins anew in `t` seconds.",
        "schema": {"type": "string"},
        "example": '"api_key";r=599;t=60',
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}, "example": 12},
    "WWW-Authenticate": {"schema": {"type": "string"}, "example": 'Bearer realm="pasito"'},
    "Idempotency-Replayed": {
        "description": "`true` where this was done before and nothing was done now.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
_LIMITS = ("RateLimit-Policy", "RateLimit")
_MORE_HEADERS = {
    "unauthenticated": ("WWW-Authenticate",),
    "too-many": ("Retry-After",),
    "unavailable": ("Retry-After",),
}


def _shapes(operations: Iterable[Operation]) -> Iterable[Any]:
    for operation in operations:
        yield from (shape for shape in (operation.answer, operation.shape) if shape is not None)


def _operation(operation: Operation, index: int, by_shape: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name + ("" if index == 0 else f"_{index + 1}"),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(filter(None, [operation.description, _needs(operation)])),
        "security": [{"apiKey": []}, {"bearerKey": []}]
        + ([{"customerToken": []}] if operation.customers else []),
        "x-scope": operation.scope,
        "parameters": [*_path_parameters(operation, index), *_query_parameters(operation)],
        "responses": _responses(operation, by_shape),
    }
    if operation.writes:
        made["parameters"].append({"$ref": "#/components/parameters/idempotencyKey"})
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": by_shape[operation.shape],
                    "example": msgspec.to_builtins(operation.example),
                }
            },
        }
    if operation.csv:
        content = {"schema": {"type": "string"}, "example": operation.example}
        made["requestBody"] = {"required": True, "content": {"text/csv": content}}
    return made


def _needs(operation: Operation) -> str:
    own = " Customers may call it with their own token, for themselves." if operation.customers else ""
    return f"Needs a key with the scope `{operation.scope}`.{own}"


def _path_parameters(operation: Operation, index: int) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARAMETERS[name][0],
            "schema": {"type": "string", "minLength": 1},
            "example": PARAMETERS[name][1],
        }
        for name in operation.path_parameters(index)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    shape = msgspec.json.schema(operation.query)
    shape = shape["$defs"][shape["$ref"].rpartition("/")[2]]
    made = []
    for name, schema in shape["properties"].items():
        required = name in shape["required"]
        # null cannot be written in a query: a parameter is there or it is not.
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        schema = {**schema, **(kinds[0] if kinds else {})}
        if schema.get("default", "") is None:
            schema.pop("default")
        description = schema.pop("description", "")
        made.append(
            {
                "name": name,
                "in": "query",
                "required": required,
                # An empty one counts as none: what a form or a template leaves open is no mistake.
                "allowEmptyValue": not required,
                "schema": schema,
                **({"description": description} if description else {}),
            }
        )
    return made


def _responses(operation: Operation, by_shape: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _LIMITS}
    if operation.writes:
        headers["Idempotency-Replayed"] = {"$ref": "#/components/headers/Idempotency-Replayed"}
    made: dict[str, Any] = {
        str(operation.status): {
            "description": "Done." if operation.writes else "What was asked for.",
            "headers": headers,
            "content": {
                "application/json": {
                    "schema": by_shape[operation.answer],
                    "example": msgspec.to_builtins(operation.answer_example),
                }
            },
        }
    }
    for kind in _kinds(operation):
        made.setdefault(str(KINDS[kind].status), {"$ref": f"#/components/responses/{kind}"})
    return dict(sorted(made.items()))


def _kinds(operation: Operation) -> list[str]:
    kinds = [*EVERYWHERE, *operation.failures, "not-found"]
    if operation.query is not None:
        kinds.append("invalid")
    if operation.body is not None or operation.csv:
        kinds += ["invalid", "too-large", "media-type"]
    if operation.writes:
        kinds += ["key-reused", "gone"]
    return kinds


def _problem(kind: str, base_url: str) -> dict[str, Any]:
    told = KINDS[kind]
    example = ProblemDocument(
        type=f"{base_url}/schema#problem-{kind}",
        title=told.title,
        status=told.status,
        detail=told.meaning,
        instance=f"urn:uuid:{A_PROGRAM}",
        errors=(Fault(pointer="/amount", detail="Expected `int`, got `str`."),) if kind == "invalid" else (),
    )
    names = (*_LIMITS, *_MORE_HEADERS.get(kind, ()))
    return {
        "description": f"{told.title}. {told.meaning}",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": REFERENCE.format(name="ProblemDocument")},
                "example": msgspec.to_builtins(example),
            }
        },
    }
