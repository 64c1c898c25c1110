"""What every wire type is made of.

Two kinds of objects cross the wire. What a client sends us is closed: an unknown field is a
mistake somebody wants to hear of, so `Params` refuses it, as the public contract does. What we
send, and what a client may enrich freely, is open (`Open`).

An optional field is absent or has a value; `null` is a value only where a type says `None`. That
is what `Maybe[...]` and `UNSET` express: an unset field is not written.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "MAX_INTEGER",
    "UNSET",
    "AnyParams",
    "Count",
    "Label",
    "Maybe",
    "Name",
    "NoParams",
    "Number",
    "Open",
    "Params",
    "Positive",
    "UnsetType",
    "given",
]

T = TypeVar("T")

Maybe: TypeAlias = T | UnsetType
"""A field that may be absent."""

Name = Annotated[str, Meta(min_length=1)]
"""A string that says something: at least one character."""

Label = Annotated[str, Meta(min_length=1, max_length=512)]
"""What a person called something."""

MAX_INTEGER = 2**53 - 1
"""The largest whole number every JSON reader keeps exactly (RFC 8259, section 6)."""

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
"""A whole number from zero: counts, sequence numbers, milliseconds since the epoch."""

Positive = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
"""A whole number from one."""

Number = Annotated[float, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""Any number of a size that means something."""


class Params(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of what a client sends: closed, immutable."""


class Open(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what may carry more fields than we name."""


class NoParams(Params, frozen=True):
    """A method that takes nothing: the empty object."""


class AnyParams(Open, frozen=True):
    """A method for which the contract defines no parameters: any object will do."""


def given(value: T | UnsetType, default: T) -> T:
    """The value of an optional field, or `default` where the sender left it out."""
    return default if isinstance(value, UnsetType) else value
