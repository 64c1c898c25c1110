"""What a command gets to see of an invocation, and how it says no.

A command is a coroutine: it is given a ``Call`` and returns what can be written as JSON, or raises
``CommandError``, whose code and sentence the caller reads. It is cancelled when its time is up,
when the Gateway takes the invocation back, and when the connection is lost; whatever it has started
is to end with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

__all__ = ["Call", "CommandError", "Gateway", "Handler", "Params", "invalid", "unavailable"]

T = TypeVar("T")


class CommandError(Exception):
    """A command did not do what it was asked; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> CommandError:
    """The parameters cannot be used."""
    return CommandError("INVALID_REQUEST", message)


def unavailable(message: str) -> CommandError:
    """It cannot be done now, or not here."""
    return CommandError("UNAVAILABLE", message)


class Params(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the parameters of a command. Unknown fields are ignored: callers may be newer."""


@dataclass(frozen=True)
class Call:
    """One invocation of a command.

    ``params`` is the JSON text as it came, ``seconds`` what is left until the Gateway gives up
    (None: it did not say).
    """

    command: str
    params: bytes = field(default=b"{}", repr=False)
    seconds: float | None = None

    def read(self, kind: type[T]) -> T:
        """The parameters as a ``kind``.

        :raises CommandError: naming the field that is wrong and what was expected.
        """
        try:
            return msgspec.json.decode(self.params, type=kind)
        except (msgspec.DecodeError, RecursionError) as problem:
            raise invalid(f"{self.command}: {problem}") from None


class Gateway(Protocol):
    """What a command may ask of the Gateway it works for."""

    def request(
        self, method: str, params: Any = None, *, timeout: float = 30.0
    ) -> Awaitable[Any]: ...

    @property
    def protocol(self) -> int:
        """The protocol version of the connection."""

    @property
    def canvas_url(self) -> str | None:
        """Where the Gateway's canvas host is, if it has one for us."""


Handler = Callable[[Call], Coroutine[Any, Any, Any]]
