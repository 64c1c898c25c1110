"""What a tool is: a name and a description for models, arguments that are data, and what it does.

Arguments are `msgspec` structs: the JSON Schema a model reads is made from them, and what it sends
is checked by them. A tool answers with texts and pictures. Whatever goes wrong is a `Failure` with
one sentence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from clawgw.mcp.gateway import Failure, Gateway

MAX_TEXT = 60_000
"""Characters of one answer; more does not help a model."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of arguments. Models invent fields now and then; what is not known is not looked at."""


class NoArguments(Arguments, frozen=True):
    """A tool that takes none."""


class Picture(msgspec.Struct, frozen=True):
    """An image; `data` is base64."""

    data: str
    mime_type: str


Piece = str | Picture


@dataclass(frozen=True)
class Context:
    """What a tool works with: the Gateway, and the full key of the session it works for."""

    gateway: Gateway
    session: str


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        run: gets the context and the arguments.
        reads: it changes nothing.
        destroys: it may do away with something.
    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Context, Any], Awaitable[list[Piece]]]
    reads: bool = False
    destroys: bool = False

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        _, parts = msgspec.json.schema_components([self.arguments])
        schema = {**parts[self.arguments.__name__]}
        schema.pop("title", None)
        schema.pop("description", None)
        return schema

    def parse(self, given: dict[str, Any] | None) -> Any:
        """The arguments a model sent.

        Raises:
            Failure: they do not fit; the sentence says where.
        """
        try:
            return msgspec.convert(given or {}, self.arguments)
        except msgspec.ValidationError as problem:
            text = str(problem).replace("`", "").replace("$.", "")
            raise Failure(f"The arguments do not fit: {text}.") from None


def as_text(value: Any) -> str:
    """A value as JSON a model reads, cut where it is too long."""
    return shortened(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """A text of at most so many characters, and a note if there was more."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n… ({len(text) - limit} more characters are left out)"
