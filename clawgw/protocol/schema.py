"""The protocol as one JSON Schema document, and the schema of one type.

The document in `docs/protocol/` is what authors of clients and code generators read. It is made
from the definitions in this package and from nothing else, in an order that depends on nothing
but them, so that a difference in the file is a difference in the protocol.

A single string that a field may have is a `const`; a union with `null` stays an `anyOf`. Scopes
are not here: they belong to the methods' handlers, which this package does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from clawgw.protocol import PROTOCOL_VERSIONS, errors, frames
from clawgw.protocol.catalog import MethodTypes, event_types, method_types

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENT_ID = "urn:clawgw:protocol"

_REFERENCE = "#/$defs/{name}"
_FRAMES = {"req": "RequestFrame", "res": "ResponseFrame", "event": "EventFrame"}
_FIRST = ("$ref", "title", "description", "type", "required", "properties", "additionalProperties")


def document() -> dict[str, Any]:
    """The whole protocol: frames, every method's params and result, every event."""
    methods, events = method_types(), event_types()
    references, definitions = _components(list(_types(methods, events)))
    return {
        "$schema": DIALECT,
        "$id": DOCUMENT_ID,
        "title": "clawgw Gateway protocol",
        "description": "Frames, methods and events of the Gateway WebSocket, protocol versions "
        + " and ".join(map(str, PROTOCOL_VERSIONS))
        + ".",
        "oneOf": [_reference(name) for name in _FRAMES.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {tag: _reference(name)["$ref"] for tag, name in _FRAMES.items()},
        },
        "methods": {name: _method(methods[name], references) for name in sorted(methods)},
        "events": {name: references[events[name]] for name in sorted(events)},
        "$defs": definitions,
    }


def params_schema(params: type[Any]) -> dict[str, Any]:
    """The schema of one method's parameters on its own, with the definitions it needs."""
    references, definitions = _components([params])
    return {"$schema": DIALECT, **references[params], "$defs": definitions}


def render(schema: dict[str, Any]) -> str:
    """The text of a schema file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _types(methods: dict[str, MethodTypes], events: dict[str, Any]) -> Iterator[Any]:
    yield from (frames.RequestFrame, frames.ResponseFrame, frames.EventFrame)
    yield from (errors.ErrorShape, errors.MissingScopeDetails)
    for types in methods.values():
        yield from (types.params, types.result, *types.others)
    yield from events.values()


def _components(types: list[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    references, found = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    definitions = {name: _tidy(found[name]) for name in sorted(found)}
    return dict(zip(types, map(_tidy, references), strict=True)), definitions


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=name)}


def _method(types: MethodTypes, references: dict[Any, Any]) -> dict[str, Any]:
    results = [references[result] for result in (types.result, *types.others)]
    return {
        "params": references[types.params],
        "result": results[0] if len(results) == 1 else {"anyOf": results},
    }


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with its keywords in reading order and enumerations of one as `const`."""
    keywords = [key for key in _FIRST if key in schema]
    keywords += [key for key in schema if key not in _FIRST]
    tidied: dict[str, Any] = {}
    for keyword in keywords:
        value = schema[keyword]
        if keyword == "description":
            tidied[keyword] = " ".join(value.split())
        elif keyword == "enum" and len(value) == 1:
            tidied["const"] = value[0]
        elif keyword == "properties":
            tidied[keyword] = {name: _tidy(value[name]) for name in value}
        elif keyword in ("items", "additionalProperties") and isinstance(value, dict):
            tidied[keyword] = _tidy(value)
        elif keyword == "anyOf":
            tidied[keyword] = [_tidy(branch) for branch in value]
        elif value != []:
            tidied[keyword] = value
    return tidied
