"""An error of the Bot API: `{"ok": false, "error_code", "description", "parameters"?}`."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """What a call is answered with.

    Args:
        code: also the HTTP status.
        parameters: `retry_after` (seconds), `migrate_to_chat_id`.
    """

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        """The answer."""
        told: dict[str, Any] = {
            "ok": False, "error_code": self.code, "description": self.description
        }  # fmt: skip
        return {**told, "parameters": self.parameters} if self.parameters else told


def bad(description: str) -> ApiError:
    """A 400."""
    return ApiError(400, f"Bad Request: {description}")


def forbidden(description: str) -> ApiError:
    """A 403."""
    return ApiError(403, f"Forbidden: {description}")
