"""Reading what a client sent, and saying what is wrong with it.

The typed decoder is the validation and decides nearly every request in microseconds. It differs
from JSON Schema in one point: to JSON `1.0` and `1e3` are whole numbers, to the decoder they are
not. So what it refuses gets a second look, in which such numbers become integers. After that the
two agree, which the tests hold them to.

Why a value was refused is found out by `jsonschema` (see `keywords`). An explanation names every
wrong field by its path, repeats no value, and does bounded work whatever was sent; but it costs a
hundred times what decoding costs, so explain in a worker thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from clawgw.protocol.base import MAX_INTEGER
from clawgw.protocol.schema import params_schema

T = TypeVar("T")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that a msgspec decoder raises for bytes that are not what it expects."""

MOST_NAMED = 8
MOST_COUNTED = 100


class MalformedJson(ValueError):
    """The bytes are no JSON, or JSON of a size that cannot be held; the message says which."""


class ParamsRejected(ValueError):
    """JSON, but not of the expected form.

    Attributes:
        value: what was sent, untyped, for `explain`. It is in no message and no repr.
    """

    def __init__(self, value: Any) -> None:
        super().__init__("the params do not have the expected form")
        self.value = value


class ParamsDecoder(Generic[T]):
    """Decodes the parameters of one method.

    Args:
        params: the method's parameter type.
    """

    def __init__(self, params: type[T]) -> None:
        self._params = params
        self._decode = msgspec.json.Decoder(params).decode

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters, made when first asked for."""
        return params_schema(self._params)

    def decode(self, raw: bytes | Raw) -> T:
        """The typed value of JSON bytes.

        Raises:
            ParamsRejected: there is a value, but not of the type.
            MalformedJson: there is no value.
        """
        try:
            return self._decode(raw)
        except msgspec.ValidationError:
            return self._second_look(raw)
        except UNREADABLE as problem:
            raise MalformedJson(unreadable(problem)) from None

    def _second_look(self, raw: bytes | Raw) -> T:
        value = decode_untyped(raw)
        try:
            # By way of JSON: `msgspec.convert` cannot make the `Raw` fields some types have.
            return self._decode(msgspec.json.encode(value))
        except (msgspec.ValidationError, RecursionError, OverflowError):
            raise ParamsRejected(value) from None


def decode_untyped(raw: bytes | Raw) -> Any:
    """The plain value of JSON bytes; a number that is whole is an `int` however it is written.

    Raises:
        MalformedJson: there is no value.
    """
    try:
        return msgspec.json.Decoder(float_hook=_number).decode(raw)
    except UNREADABLE as problem:
        raise MalformedJson(unreadable(problem)) from None


def _number(literal: str) -> int | float:
    value = float(literal)
    if math.isinf(value):
        raise msgspec.ValidationError("Number out of range")
    return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value


def unreadable(problem: Exception) -> str:
    """Why bytes could not be decoded (one of `UNREADABLE`), in words that repeat none of them."""
    if isinstance(problem, RecursionError):
        return "JSON is nested too deeply"
    if isinstance(problem, UnicodeDecodeError):
        return "JSON is not valid UTF-8"
    if isinstance(problem, msgspec.ValidationError):
        return "JSON has a number that is too large"
    if "truncated" in str(problem):
        return "JSON is malformed: it ends too early or has half of a surrogate pair"
    return str(problem)


def explain(method: str, schema: Mapping[str, Any], value: Any, limit: int = MOST_NAMED) -> str:
    """One sentence for the sender of parameters that were rejected.

    Args:
        method: the method's name.
        schema: the schema of its parameters, see `ParamsDecoder.schema`.
        value: what was sent, see `ParamsRejected.value`.
        limit: how many errors to name; the rest is counted.
    """
    return f"invalid {method} params: " + "; ".join(problems(schema, value, limit))


def problems(schema: Mapping[str, Any], value: Any, limit: int = MOST_NAMED) -> list[str]:
    """What is wrong with a refused value, each error with its path; no value is repeated.

    Args:
        schema: a JSON Schema as msgspec makes them.
        value: what was sent.
        limit: how many errors to name; the rest is counted, up to a hundred.
    """
    # Costs 50 ms once, and a Gateway whose clients make no mistakes never needs it.
    from clawgw.protocol.keywords import MOST_ITEMS, Explainer, sentence

    errors = Explainer(schema).iter_errors(value)
    found = [sentence(error) for error in islice(errors, limit)]
    more = sum(1 for _ in islice(errors, MOST_COUNTED + 1))
    if more > MOST_COUNTED:
        found.append(f"and more than {MOST_COUNTED} more")
    elif more:
        found.append(f"and {more} more")
    return found or [f"something is wrong beyond the first {MOST_ITEMS} items of a list"]
