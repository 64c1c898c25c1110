"""The decoder and JSON Schema agree on every value Hypothesis can think of.

The examples are the same in every run, so that a failure is a failure for everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from clawgw.protocol import frames
from clawgw.protocol.catalog import method_types
from clawgw.protocol.schema import params_schema
from clawgw.protocol.validate import ParamsDecoder, ParamsRejected, problems
from tests.protocol import strategies


def every(strategy: strategies.JsonStrategy, examples: int, check: Callable[[Any], None]) -> None:
    """Run `check` with so many values."""
    quietly = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    quietly(given(strategy)(check))()


class Oracle:
    """Both opinions on values of one type.

    Args:
        type_: a parameter type, or the request frame.
        decode: what the Gateway decodes it with; raises one of `refusals`.
    """

    def __init__(
        self, type_: type[Any], decode: Callable[[bytes], Any], refusal: type[Exception]
    ) -> None:
        self.name = type_.__name__
        self.schema = params_schema(type_)
        self.values = strategies.valid({"$ref": self.schema["$ref"]}, self.schema["$defs"])
        self._allows = Draft202012Validator(self.schema).is_valid
        self._decode = decode
        self._refusal = refusal

    def check(self, value: Any) -> bool:
        """Whether both take the value; fails if only one does."""
        allowed = self._allows(value)
        try:
            self._decode(json.dumps(value, ensure_ascii=False).encode())
        except self._refusal:
            taken = False
        else:
            taken = True
        if taken != allowed:
            raise AssertionError(f"{self.name}: decoder {taken}, JSON Schema {allowed}: {value!r}")
        self._check_explanation(value, allowed)
        return allowed

    def check_valid(self, value: Any) -> None:
        """Both take the value."""
        if not self.check(value):
            raise AssertionError(f"{self.name}: both refuse {value!r}")

    def _check_explanation(self, value: Any, allowed: bool) -> None:
        found = problems(self.schema, value)
        unexplained = found[0].startswith("something is wrong beyond")
        if unexplained != allowed:
            raise AssertionError(f"{self.name}: {found} for {value!r}")


def oracles() -> list[Oracle]:
    """One for each parameter type and one for the request frame."""
    types = {types.params.__name__: types.params for types in method_types().values()}
    found = [
        Oracle(types[name], ParamsDecoder(types[name]).decode, ParamsRejected)
        for name in sorted(types)
    ]
    frame = Oracle(frames.RequestFrame, frames.decode_request, msgspec.ValidationError)
    return [*found, frame]


class OracleTests(SynchronousTestCase):
    """Three kinds of values for every type."""

    def test_what_the_schema_gives_is_taken(self) -> None:
        for oracle in oracles():
            every(oracle.values, 60, oracle.check_valid)

    def test_near_misses(self) -> None:
        for oracle in oracles():
            seen: set[bool] = set()
            every(strategies.near_misses(oracle.values), 160, self.noting(oracle, seen))
            self.assertEqual(seen, {True, False}, oracle.name)

    def test_any_json(self) -> None:
        for oracle in oracles():
            every(strategies.anything, 60, self.noting(oracle, set()))

    @staticmethod
    def noting(oracle: Oracle, seen: set[bool]) -> Callable[[Any], None]:
        """A check that remembers which verdicts there were."""

        def check(value: Any) -> None:
            seen.add(oracle.check(value))

        return check
