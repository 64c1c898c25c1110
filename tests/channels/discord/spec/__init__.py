"""Whether a REST request is one that Discord's published description of its API allows.

`operations.json` is an extract of it; `extract.mjs` beside it tells where it comes from. It is
stricter than Discord in one thing: a field the description does not know is an error, so that a
misspelt one does not pass for an absent one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

_SNOWFLAKE = re.compile(r"(0|[1-9][0-9]*)\Z")


@dataclass(frozen=True)
class Match:
    """An operation, and what its path's variables are."""

    operation: str
    variables: dict[str, str]


class Spec:
    """The operations there are."""

    def __init__(self) -> None:
        text = Path(__file__).with_name("operations.json").read_text("utf-8")
        document = json.loads(text)
        self._operations: dict[str, Any] = document["operations"]
        definitions = _strict(document["$defs"])
        self._bodies = {
            name: jsonschema.Draft202012Validator({**operation["body"], "$defs": definitions})
            for name, operation in self._operations.items()
            if operation["body"]
        }
        self._patterns = [(name, _pattern(name)) for name in self._operations]

    def match(self, method: str, path: str) -> Match | None:
        """The operation a request asks for; fixed segments win over variables."""
        found = [
            Match(name, hit.groupdict())
            for name, pattern in self._patterns
            if (hit := pattern.match(f"{method} {path}"))
        ]
        return min(found, key=lambda match: len(match.variables), default=None)

    def methods(self, path: str) -> set[str]:
        """The methods a path takes."""
        return {
            name.partition(" ")[0]
            for name, pattern in self._patterns
            if pattern.match(f"{name.partition(' ')[0]} {path}")
        }

    def body_errors(self, operation: str, body: Any) -> list[tuple[list[str | int], str, str]]:
        """What is wrong with a body: path, the code Discord has for it, what was expected."""
        validator = self._bodies.get(operation)
        if validator is None:
            return [] if body is None else [([], "UNEXPECTED_BODY", "This takes no body.")]
        return [_explain(error) for error in validator.iter_errors(body)]

    def query_errors(self, operation: str, query: dict[str, str]) -> list[str]:
        """What is wrong with a query."""
        known = self._operations[operation]["query"]
        wrong = [f"{name} is not known" for name in query if name not in known]
        return wrong + [
            f"{name} must be {known[name]['type']}"
            for name, value in query.items()
            if name in known and not _fits(known[name]["type"], value)
        ]


def _fits(kind: str, value: str) -> bool:
    if kind == "boolean":
        return value in ("true", "false", "True", "False", "1", "0")
    return bool(_SNOWFLAKE.match(value))


def _pattern(operation: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", operation)
    text = "".join(
        f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )
    return re.compile(text + r"\Z")


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _strict(value) for key, value in schema.items()}
    if out.get("type") == "object" and "properties" in out:
        out.setdefault("additionalProperties", False)
    return out


def _distance(error: Any) -> tuple[bool, int]:
    return error.validator in ("type", "const"), -len(error.absolute_path)


def _explain(error: Any) -> tuple[list[str | int], str, str]:
    while error.context:  # of several possibilities, the one that comes nearest
        error = min(error.context, key=_distance)
    codes = {
        "required": ("BASE_TYPE_REQUIRED", "This field is required"),
        "maxLength": (
            "BASE_TYPE_MAX_LENGTH",
            f"Must be {error.validator_value} or fewer in length.",
        ),
        "enum": ("BASE_TYPE_CHOICES", f"Value must be one of {error.validator_value}."),
        "additionalProperties": ("UNKNOWN_FIELD", error.message),
    }
    code, message = codes.get(error.validator, ("BASE_TYPE_BAD_TYPE", error.message[:200]))
    return list(error.absolute_path), code, message
