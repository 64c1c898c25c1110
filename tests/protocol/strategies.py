"""Hypothesis strategies for JSON: values a schema takes, near misses, and anything at all.

The near misses are where a decoder and a schema fall out: whole numbers written as floats, a
number one beyond a bound, booleans where numbers are meant, `null`, strings whose length depends
on what one counts, a field too many or with another name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
JsonStrategy = st.SearchStrategy[Any]

LARGEST = 2**53 - 1
LENGTHS = (0, 1, 2, 19, 20, 63, 64, 65, 96, 97, 100, 101, 120, 121, 128, 129, 256, 257, 512, 513)
LETTERS = ("a", "é", "e\u0301", "\N{CRAB}", "\0", "ß", "\u2028")
ODD = (
    *(None, True, False, 0, 1, -1, 20, 120, 121, 1000, 1001, 500000, 500001, LARGEST, LARGEST + 1),
    *(0.0, -0.0, 1.0, 3.0, 1.5, -1.0, 1e3, 1e16, float(LARGEST), 2.0**53, 1e300, 5e-324, -1e300),
    *(2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, -(10**30), 10**400),
    *("", "a", "1", "true", "null", "auto", "full", "a" * 64, "f" * 64, "f" * 64 + "\n"),
    *([], [None], [""], ["a"], [1], [{}], [["a"]], {}, {"": None}, {"a": {}}, {"a": ["b"]}),
)

floats = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.sampled_from(ODD).map(copy.deepcopy) | st.text(max_size=5) | st.integers() | floats
anything: JsonStrategy = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
long_texts = st.builds(
    lambda letter, length: letter * length, st.sampled_from(LETTERS), st.sampled_from(LENGTHS)
)


def valid(schema: Schema, definitions: dict[str, Schema]) -> JsonStrategy:
    """Values that a schema takes."""
    if "$ref" in schema:
        return valid(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return st.one_of([valid(branch, definitions) for branch in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _KINDS[schema.get("type", "any")](schema, definitions)


def _any(_: Schema, __: dict[str, Schema]) -> JsonStrategy:
    return anything


def _null(_: Schema, __: dict[str, Schema]) -> JsonStrategy:
    return st.none()


def _boolean(_: Schema, __: dict[str, Schema]) -> JsonStrategy:
    return st.booleans()


def _integer(schema: Schema, _: dict[str, Schema]) -> JsonStrategy:
    integers = st.integers(schema.get("minimum", -LARGEST), schema.get("maximum", LARGEST))
    return integers | integers.map(float).filter(lambda number: number <= schema["maximum"])


def _number(schema: Schema, _: dict[str, Schema]) -> JsonStrategy:
    return st.floats(schema["minimum"], schema["maximum"]) | st.integers(
        schema["minimum"], schema["maximum"]
    )


def _string(schema: Schema, _: dict[str, Schema]) -> JsonStrategy:
    if "pattern" in schema:
        # What is white space differs between ASCII and Unicode: the validator's view counts.
        matches = re.compile(schema["pattern"]).search
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(
            lambda text: matches(text) and len(text) <= schema.get("maxLength", len(text))
        )
    least, most = schema.get("minLength", 0), schema.get("maxLength", 600)
    return st.text(min_size=least, max_size=min(most, 20)) | long_texts.filter(
        lambda text: least <= len(text) <= most
    )


def _array(schema: Schema, definitions: dict[str, Schema]) -> JsonStrategy:
    items = valid(schema.get("items", {}), definitions)
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)


def _object(schema: Schema, definitions: dict[str, Schema]) -> JsonStrategy:
    properties, names = schema.get("properties"), schema.get("required", [])
    others = schema.get("additionalProperties")
    if properties is None:
        values = valid(others if isinstance(others, dict) else {}, definitions)
        return st.dictionaries(st.text(max_size=4), values, max_size=3)
    strategies = {name: valid(properties[name], definitions) for name in properties}
    return st.fixed_dictionaries(
        {name: strategies[name] for name in names},
        optional={name: strategies[name] for name in properties if name not in names},
    )


_KINDS = {
    "any": _any,
    "null": _null,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}


@st.composite
def near_misses(draw: st.DrawFn, values: JsonStrategy) -> Any:
    """A value of `values` with one to three things changed, on any level."""
    value = copy.deepcopy(draw(values))
    for _ in range(draw(st.integers(1, 3))):
        value = _changed(draw, value)
    return value


def _changed(draw: st.DrawFn, value: Any) -> Any:
    places = list(_places(value))
    if not places or draw(st.integers(0, 9)) == 0:
        return draw(anything)
    container, key = draw(st.sampled_from(places))
    change = draw(st.sampled_from(("drop", "replace", "replace", "rename", "add", "lengthen")))
    if change == "drop":
        del container[key]
    elif change == "replace":
        container[key] = draw(leaves)
    elif change == "lengthen":
        container[key] = draw(long_texts)
    elif isinstance(container, list):
        container.append(draw(leaves))
    else:
        name = draw(st.sampled_from((f"{key}x", str(key).upper(), "", "type", "key", "message")))
        container[name] = container.pop(key) if change == "rename" else draw(leaves)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys or indices."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(inner)
