"""`GET /openapi.json`: the API in OpenAPI 3.1, made from the table of routes, the structs that check bodies, the tree of
errors and the table of statuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from minitoolai import __version__
from minitoolai.api.messages.errors import anthropic_types
from minitoolai.api.openapi.operations import OPERATIONS, Operation, Parameter
from minitoolai.api.openapi.replies import REQUEST_ID, STRING, USD, Schema, constant, nullable, record
from minitoolai.core.errors import ApiError
from minitoolai.edge.application import Routes
from minitoolai.edge.exchange import Exchange
from minitoolai.edge.statuses import STATUSES, status_of

_DESCRIPTION = """One key and one prepaid balance in front of every model. Paths are answered with and without one trailing
slash. Amounts are in USD, as text where they are exact."""
_SECONDS: Schema = {"type": "string", "pattern": "^[0-9]+$"}
#: Headers of replies, by name; those of `x-ratelimit` stand for six.
_HEADERS: Mapping[str, tuple[Schema, str]] = {
    "x-request-id": (REQUEST_ID, "The call's id."),
    "retry-after": (_SECONDS, "Seconds to wait."),
    "x-minitoolai-cost": (USD, "What a whole reply was charged."),
    "x-minitoolai-balance": (USD, "The balance after that, where it is known."),
    "x-minitoolai-ignored": (STRING, "Names of fields that were dropped."),
    "x-minitoolai-replayed": (constant("true"), "The reply is an earlier call's."),
    "x-minitoolai-next": (STRING, "Where the next page begins, of CSV."),
    **{
        f"x-ratelimit-{what}-{unit}": (STRING, f"The key's minute: {what} of its {unit}.")
        for what in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    },
}

#: Structs whose tag may be left out: where one stands alone it is known without it, and an item without a type, or of
#: the type null, is a message.
_UNTAGGED = ("MessageItem", "OutputFormat", "AllowedTool", "TextBlock")
_NULL: Schema = {"type": "null"}
#: Statuses of requests that are refused before their path is known.
_BEFORE_ROUTES = frozenset({408, 431})

_encode = msgspec.json.Encoder().encode


def add_openapi(routes: Routes) -> None:
    """Add the route."""
    made: list[bytes] = []

    async def openapi(exchange: Exchange) -> None:
        if not made:
            made.append(_encode(document(routes)))
        await exchange.reply(200, made[0])

    routes.add("GET", "/openapi.json", openapi)


def document(routes: Routes) -> dict[str, Any]:
    """Return the document of these routes."""
    bodies = list(dict.fromkeys(body for operation in OPERATIONS.values() for body in operation.body))
    found, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    named = dict(zip(bodies, found, strict=True))
    for name in _UNTAGGED:
        schemas[name]["required"].remove("type")
    schemas["MessageItem"]["properties"]["type"]["enum"].append(None)
    paths: dict[str, dict[str, Any]] = {}
    for name in route_names(routes):
        method, _, path = name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _shown(name, OPERATIONS[name], named)
    shown = {
        "openapi": "3.1.0",
        "info": {"title": "MiniToolAI", "version": __version__, "description": " ".join(_DESCRIPTION.split())},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {name: {"schema": schema, "description": text} for name, (schema, text) in _HEADERS.items()},
            "responses": _errors(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key: `sk-…`."},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
            },
        },
    }
    return _without_modules(shown)


def route_names(routes: Routes) -> list[str]:
    """Return every route as "METHOD /path", in order."""
    exact = [f"{method} {path}" for path, methods in routes.exact.items() for method in methods]
    prefixed = [f"{method} {path}{{id}}" for path, methods in routes.prefixes.items() for method in methods]
    return sorted(exact + prefixed, key=lambda name: (name.partition(" ")[2], name))


def _shown(name: str, operation: Operation, bodies: Mapping[type[Any], Schema]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in sorted(operation.errors):
        shape = "" if status in _BEFORE_ROUTES else operation.shape
        responses[str(status)] = {"$ref": f"#/components/responses/{shape}Error{status}"}
    if operation.reply:
        headers = [header for header in _HEADERS if header == "x-request-id" or header.startswith(operation.headers or "\0")]
        reply = {
            "description": operation.summary,
            "headers": _named_headers(headers),
            "content": {media: {"schema": schema} if schema else {} for media, schema in operation.reply.items()},
        }
        responses = {"200": reply, **responses, **dict.fromkeys(map(str, operation.also), reply)}
    for status in operation.bare:
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "headers": _named_headers(["x-request-id"])}
    shown: dict[str, Any] = {
        "operationId": "".join(c if c.isalnum() else "_" for c in name.lower().replace("{id}", "id")).strip("_"),
        "summary": operation.summary,
        "responses": responses,
        "security": [{"bearer": []}, {"header": []}] if operation.keyed else [],
    }
    if operation.parameters:
        shown["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        found = [bodies[body] for body in operation.body]
        content: dict[str, Any] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
        if operation.example is not None:
            content["example"] = operation.example
        shown["requestBody"] = {"required": True, "content": {operation.media: content}}
    return shown


def _named_headers(names: Sequence[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": parameter.schema,
    }


def _errors() -> dict[str, Any]:
    """Return a response for each status of the table in each shape; what is no HTTP is 400 before its path is known."""
    shown = {}
    for status, kinds in _by_status().items():
        openais = _openai_error(kinds)
        shown[f"Error{status}"] = _error(status, openais)
        for name, shape in SHAPES.items():
            schema = shape(kinds)
            shown[f"{name}Error{status}"] = _error(status, {"anyOf": [schema, openais]} if status == 400 else schema)
    return shown


def _error_object(kinds: Sequence[type[ApiError]]) -> Schema:
    return record(
        {
            "message": STRING,
            "type": constant(*sorted({kind.type for kind in kinds})),
            "param": nullable(STRING),
            "code": constant(*sorted({kind.code for kind in kinds})),
        }
    )


def _openai_error(kinds: Sequence[type[ApiError]]) -> Schema:
    return record({"error": _error_object(kinds)})


def _anthropic_error(kinds: Sequence[type[ApiError]]) -> Schema:
    error = record({"type": constant(*sorted(anthropic_types(kind.code for kind in kinds))), "message": STRING})
    return record({"type": constant("error"), "error": error, "request_id": REQUEST_ID})


def _new_job_error(kinds: Sequence[type[ApiError]]) -> Schema:
    told = {"status": constant("error"), "jobid": _NULL, "signature": _NULL, "message": STRING}
    return record({**told, "error": _error_object(kinds)})


def _job_error(where: str) -> Callable[[Sequence[type[ApiError]]], Schema]:
    told = {"status": constant("error"), where: _NULL, "message": STRING}
    return lambda kinds: record(told, {"error": _error_object(kinds)})


#: Shapes of errors beside OpenAI's, by the name that stands in `Operation.shape`.
SHAPES: Mapping[str, Callable[[Sequence[type[ApiError]]], Schema]] = {
    "Anthropic": _anthropic_error, "NewJob": _new_job_error, "Job": _job_error("image_url"),
    "SpeechJob": _job_error("audio_url"),
}  # fmt: skip


def _error(status: int, schema: Schema) -> dict[str, Any]:
    headers = ["x-request-id", *(["retry-after"] if status in (429, 503) else [])]
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _named_headers(headers),
        "content": {"application/json": {"schema": schema}},
    }


def _by_status() -> dict[int, list[type[ApiError]]]:
    """Return the errors that callers can be told, by status."""
    found: dict[int, list[type[ApiError]]] = {status: [] for status in sorted(set(STATUSES.values()))}
    for kind in _below(ApiError):
        found[status_of(kind.__new__(kind))].append(kind)
    return found


def _below(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _without_modules(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the names of schemas that two modules share told apart by the module's own name only."""
    text = msgspec.json.encode(shown).decode()
    for name in shown["components"]["schemas"]:
        if "." in name:
            text = text.replace(name, "_".join(name.rsplit(".", 2)[-2:]))
    decoded: dict[str, Any] = msgspec.json.decode(text)
    return decoded
