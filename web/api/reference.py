"""The document as people read it: what the page at `/schema` shows, worked out of it once."""

import json
import re
from typing import Any

Document = dict[str, Any]
# Deeper fields are shown by the example.
DEEPEST = 3
_CODE = re.compile(r"`([^`]+)`")


def make_reference(document: Document) -> dict[str, Any]:
    """The groups of operations, the kinds of problems and the ways to say who calls, ready to be shown."""
    server = document["servers"][0]["url"]
    operations = [
        _operation(document, server, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "_" not in operation["operationId"]
    ]
    return {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "introduction": [words(text) for text in document["info"]["description"].split("\n\n")],
        "server": server,
        "groups": [
            {"name": tag["name"], "operations": [each for each in operations if each["tag"] == tag["name"]]}
            for tag in document["tags"]
        ],
        "security": [
            {"name": _header(scheme), "text": words(scheme["description"])}
            for scheme in document["components"]["securitySchemes"].values()
        ],
        "problems": [
            {
                "kind": kind,
                "status": (example := _media(response)["example"])["status"],
                "title": example["title"],
                "text": words(example["detail"]),
            }
            for kind, response in document["components"]["responses"].items()
        ],
    }


def words(text: str) -> list[tuple[bool, str]]:
    """A text in pieces, each with whether it is code, as backticks have it."""
    return [(index % 2 == 1, piece) for index, piece in enumerate(_CODE.split(text)) if piece]


def fields_of(
    document: Document, schema: dict[str, Any], prefix: str = "", depth: int = 0
) -> list[dict[str, Any]]:
    """The fields of a shape, those of inner shapes by their dotted names: name, type, whether it must be there."""
    schema = _resolve(document, schema)
    if schema.get("type") == "array":
        return fields_of(document, schema["items"], prefix, depth)
    variants = [_resolve(document, each) for each in schema.get("anyOf", schema.get("oneOf", []))]
    if variants and not schema.get("properties"):
        shapes = [each for each in variants if each.get("type") in ("object", "array")]
        found = [field for each in shapes for field in fields_of(document, each, prefix, depth)]
        return list({field["name"]: field for field in reversed(found)}.values())[::-1]
    found = []
    for name, inner in schema.get("properties", {}).items():
        found.append(
            {
                "name": prefix + name,
                "type": type_of(document, inner),
                "required": name in schema.get("required", ()),
                "text": words(_first(document, inner, "description")),
            }
        )
        if depth < DEEPEST:
            found += fields_of(document, inner, f"{prefix}{name}.", depth + 1)
    return found


def type_of(document: Document, schema: dict[str, Any]) -> str:
    """A shape in a few words: "string, 1 to 80 characters"."""
    schema = _resolve(document, schema)
    if variants := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(type_of(document, each) for each in variants))
    if "enum" in schema:
        return " or ".join(f"“{value}”" if isinstance(value, str) else str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(document, schema.get('items', {}))}"
    name = str(schema.get("format") or schema.get("type", "anything"))
    return ", ".join(filter(None, [name, _bounds(schema)]))


def _bounds(schema: dict[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f"more than {schema['exclusiveMinimum']:,}"
    for least, most, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            return f"{low:,} to {high:,}{unit}"
        if high is not None:
            return f"at most {high:,}{unit}"
    return ""


def _operation(
    document: Document, server: str, path: str, method: str, operation: dict[str, Any]
) -> dict[str, Any]:
    parameters = [_resolve(document, each) for each in operation["parameters"]]
    body = _media(operation["requestBody"]) if "requestBody" in operation else None
    media_type = next(iter(operation["requestBody"]["content"])) if body else ""
    status, answer = next(
        (status, each) for status, each in operation["responses"].items() if status.startswith("2")
    )
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "tag": operation["tags"][0],
        "summary": operation["summary"],
        "text": words(operation["description"]),
        "parameters": [
            {
                "name": each["name"],
                "where": each["in"],
                "type": type_of(document, each["schema"]),
                "required": each.get("required", False),
                "text": words(each.get("description", "")),
            }
            for each in parameters
        ],
        "fields": fields_of(document, body["schema"]) if body else [],
        "curl": _curl(server, path, method.upper(), parameters, body, media_type),
        "status": status,
        "answer": json.dumps(_media(answer)["example"], indent=2, ensure_ascii=False),
        # What is answered is always there: only of what is asked does it matter.
        "answer_fields": [
            {**field, "required": False} for field in fields_of(document, _media(answer)["schema"])
        ],
        "also_at": [
            other
            for other, methods in document["paths"].items()
            for each in methods.values()
            if each["operationId"].startswith(f"{operation['operationId']}_")
        ],
        "failures": [
            each["$ref"].rpartition("/")[2] for each in operation["responses"].values() if "$ref" in each
        ],
    }


def _curl(
    server: str,
    path: str,
    method: str,
    parameters: list[dict[str, Any]],
    body: dict[str, Any] | None,
    media_type: str,
) -> str:
    for each in parameters:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", each["example"])
    asked = "&".join(
        f"{each['name']}={each['example']}"
        for each in parameters
        if each["in"] == "query" and "example" in each
    )
    lines = [f"curl -X {method} '{server}{path}{'?' * bool(asked)}{asked}'", "  -H 'api-key: …'"]
    if method != "GET":
        lines.append("  -H 'Idempotency-Key: …'")
    if body is not None:
        is_json = media_type == "application/json"
        text = json.dumps(body["example"], ensure_ascii=False) if is_json else body["example"]
        quoted = text.replace("'", "'\\''")
        lines += [
            f"  -H 'Content-Type: {media_type}'",
            f"  {'-d' if is_json else '--data-binary'} '{quoted}'",
        ]
    return " \\\n".join(lines)


def _header(scheme: dict[str, Any]) -> str:
    if scheme["type"] == "apiKey":
        return f"{scheme['name']}: pasito_…"
    return f"Authorization: Bearer {'eyJ…' if 'bearerFormat' in scheme else 'pasito_…'}"


def _media(holder: dict[str, Any]) -> dict[str, Any]:
    media: dict[str, Any] = next(iter(holder["content"].values()))
    return media


def _resolve(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    if reference := schema.get("$ref"):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def _first(document: Document, schema: dict[str, Any], name: str) -> str:
    """What a field says of itself, or one of its variants does; an inner shape speaks for itself."""
    for each in (schema, *schema.get("anyOf", [])):
        if name in each:
            return str(each[name])
    return ""
