"""Errors as a client sees them: `{code, message, details?, retryable?, retryAfterMs?}`.

Shape and codes are those of the public contract (`ErrorShape`). A handler raises `RequestError`;
the edge turns it into a response. Whatever else a handler raises is a fault of ours: the client
is told `UNAVAILABLE` and nothing about our insides.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from clawgw.protocol.base import Count, Maybe, Name, Open

INVALID_REQUEST = "INVALID_REQUEST"
NOT_PAIRED = "NOT_PAIRED"
NOT_LINKED = "NOT_LINKED"
AGENT_TIMEOUT = "AGENT_TIMEOUT"
UNAVAILABLE = "UNAVAILABLE"
FORBIDDEN = "FORBIDDEN"


class ErrorShape(Open, frozen=True):
    """An error on the wire."""

    code: Name
    message: Name
    details: Maybe[dict[str, Any]] = UNSET
    retryable: Maybe[bool] = UNSET
    retry_after_ms: Maybe[Count] = UNSET


class MissingScopeDetails(Open, frozen=True):
    """`details` of a version 4 `FORBIDDEN`."""

    missing_scope: Name
    required_scopes: list[Name]
    code: str = "MISSING_SCOPE"


class RequestError(Exception):
    """A refusal that the asker is meant to read.

    Args:
        code: one of the codes above.
        message: one sentence that names the field or thing and what was expected.
        details: machine-readable facts for the client.
        retryable: whether the same request may succeed later.
        retry_after_ms: milliseconds to wait before that.
        payload: for methods that answer twice, the state of the run beside the error.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        payload: Any = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.payload = payload
        self.shape = ErrorShape(
            code=code,
            message=message,
            details=UNSET if details is None else details,
            retryable=UNSET if retryable is None else retryable,
            retry_after_ms=UNSET if retry_after_ms is None else retry_after_ms,
        )


def invalid(message: str, **details: Any) -> RequestError:
    """An `INVALID_REQUEST` with a sentence for the asker."""
    return RequestError(INVALID_REQUEST, message, details=details or None)


def unavailable(message: str, *, retryable: bool | None = None, **details: Any) -> RequestError:
    """An `UNAVAILABLE`: the request was fine, something it needs is not."""
    return RequestError(UNAVAILABLE, message, details=details or None, retryable=retryable)


def missing_scope(version: int, missing: str, required: list[str]) -> RequestError:
    """The refusal of a method for which the caller lacks a scope.

    Version 3 says `INVALID_REQUEST`, version 4 `FORBIDDEN` with `MISSING_SCOPE` in the details.
    """
    message = f"missing scope: {missing}"
    if version < 4:
        return RequestError(INVALID_REQUEST, message)
    details = MissingScopeDetails(missing_scope=missing, required_scopes=required)
    return RequestError(FORBIDDEN, message, details=msgspec.to_builtins(details))
