"""Swift models of the protocol, made from its JSON Schema and from nothing else.

Every definition with properties becomes a `Codable` struct, every list of strings to choose from
an enum beside it, and the frames one enum that decodes by `type`. What a definition leaves open
(any JSON value, a union of unlike types) is a `JSONValue`. Unknown fields are ignored, as
`Codable` does.

A field that may be absent is an optional. One that may also be `null` is, in what a client sends,
a double optional: `nil` leaves the field out and `.some(nil)` writes `null`, which is how
`sessions.patch` takes a setting away. In what a client receives both read as `nil`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        as associatedtype break case catch class continue default defer deinit do else enum
        extension fallthrough false fileprivate for func guard if import in init inout internal
        is let nil operator private protocol public repeat rethrows return self static struct
        subscript super switch throw throws true try typealias var where while
        """,
    )
)
_PLAIN = {"string": "String", "integer": "Int", "number": "Double", "boolean": "Bool"}

_HEADER = """\
// Generated from protocol.schema.json by `python -m clawgw.protocol swift`. Do not edit.

import Foundation

/// Any JSON value.
public enum JSONValue: Codable, Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
"""


class _Field(NamedTuple):
    """A property of a struct, in Swift's words."""

    wire: str
    name: str
    type: str
    default: str | None
    choices: tuple[str, ...]


def generate(document: Schema) -> str:
    """The Swift file for a protocol document (see `schema.document`)."""
    parts = [_HEADER]
    parts.append(_names("GatewayMethod", "Every method.", document["methods"]))
    parts.append(_names("GatewayEvent", "Every event.", document["events"]))
    parts.append(_frame(document["discriminator"]))
    parts += [_model(name, schema) for name, schema in document["$defs"].items()]
    return "\n".join(parts)


def _names(name: str, comment: str, values: Schema) -> str:
    cases = _cases(tuple(sorted(values)))
    return "\n".join(
        [f"/// {comment}", f"public enum {name}: String, Codable, CaseIterable, Sendable {{"]
        + [f"    {case}" for case in cases]
        + ["}", ""]
    )


def _frame(discriminator: Schema) -> str:
    tag = discriminator["propertyName"]
    frames = {key: _target(reference) for key, reference in discriminator["mapping"].items()}
    lines = [
        "/// One message on the wire.",
        "public enum GatewayFrame: Codable, Equatable, Sendable {",
        *(f"    case {_identifier(key)}({name})" for key, name in frames.items()),
        "",
        f"    private enum Tag: String, CodingKey {{ case {_identifier(tag)} }}",
        "",
        "    public init(from decoder: Decoder) throws {",
        "        let container = try decoder.container(keyedBy: Tag.self)",
        f"        switch try container.decode(String.self, forKey: .{_identifier(tag)}) {{",
        *(
            f'        case "{key}": self = .{_identifier(key)}(try {name}(from: decoder))'
            for key, name in frames.items()
        ),
        "        default:",
        "            throw DecodingError.dataCorruptedError(",
        f"                forKey: .{_identifier(tag)}, in: container,",
        '                debugDescription: "not a frame of this protocol")',
        "        }",
        "    }",
        "",
        "    public func encode(to encoder: Encoder) throws {",
        "        switch self {",
        *(
            f"        case .{_identifier(key)}(let frame): try frame.encode(to: encoder)"
            for key in frames
        ),
        "        }",
        "    }",
        "}",
        "",
    ]
    return "\n".join(lines)


def _model(name: str, schema: Schema) -> str:
    fields = [_field(name, schema, wire) for wire in schema.get("properties", {})]
    lines = [f"/// {schema.get('description', name)}"]
    lines.append(f"public struct {name}: Codable, Equatable, Sendable {{")
    lines += [f"    public let {field.name}: {field.type}" for field in fields]
    lines += _initializer(fields) if fields else ["    public init() {}"]
    lines += _coding_keys(fields)
    lines += ["}", ""]
    for field in fields:
        lines += _choices(name, field)
    return "\n".join(lines)


def _field(owner: str, schema: Schema, wire: str) -> _Field:
    described = schema["properties"][wire]
    inner, nullable = _without_null(described)
    required = wire in schema.get("required", ())
    type_ = _type(owner, wire, inner)
    default = _default(type_, described) if required else "nil"
    if not required:
        sent = schema.get("additionalProperties") is False
        type_ += "??" if nullable and sent else "?"
    elif nullable:
        type_ += "?"
    return _Field(wire, _identifier(wire), type_, default, _string_choices(inner))


def _default(type_: str, schema: Schema) -> str | None:
    """A required field that can have one value only need not be given."""
    if "const" not in schema:
        return None
    const = schema["const"]
    return f".{_identifier(const)}" if isinstance(const, str) else str(const)


def _without_null(schema: Schema) -> tuple[Schema, bool]:
    branches = schema.get("anyOf")
    if branches is None:
        return schema, False
    others = [branch for branch in branches if branch.get("type") != "null"]
    nullable = len(others) < len(branches)
    return (others[0] if len(others) == 1 else {"anyOf": others}), nullable


def _type(owner: str, wire: str, schema: Schema) -> str:
    if "$ref" in schema:
        return _target(schema["$ref"])
    if _string_choices(schema):
        return _choices_name(owner, wire)
    if isinstance(schema.get("const"), int):
        return "Int"
    kind = schema.get("type")
    if kind == "array":
        return f"[{_item(schema.get('items', {}))}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"[String: {_item(values if isinstance(values, dict) else {})}]"
    return _PLAIN.get(str(kind), "JSONValue")


def _item(schema: Schema) -> str:
    inner, nullable = _without_null(schema)
    if _string_choices(inner):
        return "String"
    return _type("", "", inner) + ("?" if nullable else "")


def _string_choices(schema: Schema) -> tuple[str, ...]:
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return tuple(choices) if all(isinstance(choice, str) for choice in choices) else ()


def _choices(owner: str, field: _Field) -> Iterator[str]:
    if field.choices:
        yield f"/// What `{owner}.{field.wire}` may be."
        yield f"public enum {_choices_name(owner, field.wire)}: String, Codable, Sendable {{"
        yield from (f"    {case}" for case in _cases(field.choices))
        yield "}"
        yield ""


def _choices_name(owner: str, wire: str) -> str:
    return owner + wire[0].upper() + wire[1:]


def _cases(values: tuple[str, ...]) -> Iterator[str]:
    for value in values:
        name = _identifier(value)
        yield f"case {name}" if name == value else f'case {name} = "{value}"'


def _initializer(fields: list[_Field]) -> Iterator[str]:
    yield ""
    yield "    public init("
    last = len(fields) - 1
    for index, field in enumerate(fields):
        default = "" if field.default is None else f" = {field.default}"
        yield f"        {field.name}: {field.type}{default}{',' if index < last else ''}"
    yield "    ) {"
    yield from (f"        self.{field.name} = {field.name}" for field in fields)
    yield "    }"


def _coding_keys(fields: list[_Field]) -> Iterator[str]:
    """Only where a property cannot have the name it has on the wire."""
    if any(field.name.strip("`") != field.wire for field in fields):
        yield ""
        yield "    private enum CodingKeys: String, CodingKey {"
        for field in fields:
            yield f'        case {field.name} = "{field.wire}"'
        yield "    }"


def _identifier(text: str) -> str:
    """`text` as a Swift name: `chat.send` is chatSend, `read-only` is readOnly."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", text) if word]
    name = words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])
    if name[0].isdigit():
        name = "_" + name
    return f"`{name}`" if name in _KEYWORDS else name


def _target(reference: str) -> str:
    return reference.rpartition("/")[2]
