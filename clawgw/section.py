"""What all parts of the configuration are made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1)]


class ConfigError(ValueError):
    """The configuration cannot be used; the message says what to change, and where."""


class Section(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of all parts of the configuration: closed, immutable."""
