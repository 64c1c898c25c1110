"""JSON Schema's keywords, saying what is wrong without saying what was sent.

`jsonschema` walks the schema; its own keywords put a `repr` of the value into each message, which
would show secrets and cost seconds for a large value. These repeat nothing but field names, cut
to size, and look at a bounded number of items. They are for explaining a value that was refused,
never for accepting one. Only the keywords that msgspec generates are here.

The wording is that of the checker most clients of this protocol already know (`must have required
property 'x'`). This module imports `jsonschema`, which takes 50 ms: import it when it is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, create

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors]

MOST_ITEMS = 100
MOST_ERRORS = 128
MOST_CHOICES = 12
MOST_LETTERS = 64


def sentence(error: ValidationError) -> str:
    """An error of `Explainer`, with the place as a JSON pointer."""
    path = "".join("/" + _pointer(part) for part in error.absolute_path)
    return f"at {path}: {error.message}" if path else error.message


def _pointer(part: str | int) -> str:
    return _shown(str(part)).replace("~", "~0").replace("/", "~1")


def _shown(name: str) -> str:
    """A name somebody else chose, fit to stand in a sentence."""
    cut = name if len(name) <= MOST_LETTERS else name[:MOST_LETTERS] + "…"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def _limit(
    kind: str, exceeds: Callable[[Any, Any], bool], message: Callable[[Any], str]
) -> Keyword:
    """A keyword that compares values of one JSON type with a bound."""

    def keyword(validator: Any, bound: Any, value: Any, _: Any) -> Errors:
        if validator.is_type(value, kind) and exceeds(value, bound):
            yield ValidationError(message(bound))

    return keyword


def _at_least(noun: str) -> Callable[[int], str]:
    return lambda bound: f"must NOT have fewer than {_amount(bound, noun)}"


def _at_most(noun: str) -> Callable[[int], str]:
    return lambda bound: f"must NOT have more than {_amount(bound, noun)}"


def _amount(number: int, noun: str) -> str:
    singular = {"properties": "property"}.get(noun, noun.removesuffix("s"))
    return f"{number} {singular if number == 1 else noun}"


def _type(validator: Any, kind: str, value: Any, _: Any) -> Errors:
    if not validator.is_type(value, kind):
        yield ValidationError(f"must be {kind}")


def _enum(_: Any, choices: list[Any], value: Any, __: Any) -> Errors:
    if not any(_same(value, choice) for choice in choices):
        yield ValidationError("must be " + _alternatives(map(_quoted, choices)))


def _const(validator: Any, choice: Any, value: Any, schema: Any) -> Errors:
    return _enum(validator, [choice], value, schema)


def _same(value: Any, choice: Any) -> bool:
    return isinstance(value, bool) == isinstance(choice, bool) and bool(value == choice)


def _quoted(choice: Any) -> str:
    return json.dumps(choice, ensure_ascii=False)


def _alternatives(phrases: Iterator[str]) -> str:
    first = list(islice(phrases, MOST_CHOICES))
    more = sum(1 for _ in phrases)
    if more:
        return f"one of {', '.join(first)} and {more} more"
    return " or ".join(filter(None, [", ".join(first[:-1]), first[-1]]))


def _required(validator: Any, names: list[str], value: Any, _: Any) -> Errors:
    if validator.is_type(value, "object"):
        for name in names:
            if name not in value:
                yield ValidationError(f"must have required property '{name}'")


def _properties(validator: Any, properties: Mapping[str, Any], value: Any, _: Any) -> Errors:
    if validator.is_type(value, "object"):
        for name, schema in properties.items():
            if name in value:
                yield from validator.descend(value[name], schema, path=name, schema_path=name)


def _additional(validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]) -> Errors:
    if not validator.is_type(value, "object"):
        return
    known = schema.get("properties", {})
    others = (name for name in value if name not in known)
    if allowed is False:
        for name in others:
            yield ValidationError(f"must NOT have unexpected property '{_shown(name)}'")
    elif allowed is not True:
        for name in islice(others, MOST_ITEMS):
            yield from validator.descend(value[name], allowed, path=name)


def _items(validator: Any, schema: Any, value: Any, _: Any) -> Errors:
    if validator.is_type(value, "array"):
        for index, item in enumerate(islice(value, MOST_ITEMS)):
            yield from validator.descend(item, schema, path=index)


def _any_of(validator: Any, branches: list[Mapping[str, Any]], value: Any, _: Any) -> Errors:
    """What is wrong in the branch that was meant; if that is not clear, what there is to choose."""
    outcomes = [list(islice(validator.descend(value, branch), MOST_ERRORS)) for branch in branches]
    if not all(outcomes):
        return
    meant = [errors for errors in outcomes if not any(map(_is_other_kind, errors))]
    if len(meant) == 1:
        yield from meant[0]
    else:
        phrases = (phrase for branch in branches for phrase in _phrases(branch))
        yield ValidationError("must be " + _alternatives(phrases))


def _is_other_kind(error: ValidationError) -> bool:
    return error.validator in ("type", "enum", "const") and not error.relative_path


def _phrases(branch: Mapping[str, Any]) -> Iterator[str]:
    if "const" in branch:
        yield _quoted(branch["const"])
    elif "enum" in branch:
        yield from map(_quoted, branch["enum"])
    else:
        yield branch.get("type", "object")


_KEYWORDS: dict[str, Keyword] = {
    "$ref": Draft202012Validator.VALIDATORS["$ref"],
    "type": _type,
    "const": _const,
    "enum": _enum,
    "anyOf": _any_of,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "minLength": _limit("string", lambda v, n: len(v) < n, _at_least("characters")),
    "maxLength": _limit("string", lambda v, n: len(v) > n, _at_most("characters")),
    "pattern": _limit(
        "string", lambda v, p: not re.search(p, v), lambda p: f"must match the pattern {p}"
    ),
    "minimum": _limit("number", lambda v, n: v < n, lambda n: f"must be >= {n}"),
    "maximum": _limit("number", lambda v, n: v > n, lambda n: f"must be <= {n}"),
    "exclusiveMinimum": _limit("number", lambda v, n: v <= n, lambda n: f"must be > {n}"),
    "exclusiveMaximum": _limit("number", lambda v, n: v >= n, lambda n: f"must be < {n}"),
    "minItems": _limit("array", lambda v, n: len(v) < n, _at_least("items")),
    "maxItems": _limit("array", lambda v, n: len(v) > n, _at_most("items")),
    "minProperties": _limit("object", lambda v, n: len(v) < n, _at_least("properties")),
    "maxProperties": _limit("object", lambda v, n: len(v) > n, _at_most("properties")),
}

Explainer = create(
    meta_schema=Draft202012Validator.META_SCHEMA,
    validators=_KEYWORDS,
    type_checker=Draft202012Validator.TYPE_CHECKER,
)
"""A `jsonschema` validator class: `Explainer(schema).iter_errors(value)`, then `sentence`."""
