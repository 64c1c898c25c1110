"""Conversations on disk, and how much of one is sent to a model.

A conversation is one file, ``agent-sessions/<session id>.json``, readable by its owner only. It
is replaced as a whole after each turn: written beside, flushed to the disk, renamed over. A crash
leaves either the old file or the new one.

The file keeps the conversation, within a bound; a model gets as many of the latest turns as its
context window has room for, when that is known. A turn is never cut in two, because a tool's
result without its call is an error to every provider.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TurnError

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage

_FORMAT = 1
_MOST_MESSAGES = 2000
_BYTES_PER_TOKEN = 3.0
_TOKENS_PER_FILE = 1500.0
_SHARE_FOR_HISTORY = 0.7  # the rest is for tools, instructions and the answer
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True)
class StoredSession:
    """What is kept of a session."""

    cwd: str
    messages: list[ModelMessage]


class SessionStore:
    """Conversations in a directory. All methods block."""

    def __init__(self, state_dir: str | None) -> None:
        """:param state_dir: without one, nothing is kept."""
        self._directory = Path(state_dir) / "agent-sessions" if state_dir else None

    @property
    def durable(self) -> bool:
        return self._directory is not None

    def save(self, session_id: str, session: StoredSession) -> None:
        """Store a conversation; it is on the disk when this returns.

        :raises OSError: it could not be written.
        """
        if self._directory is None:
            return
        document = {
            "format": _FORMAT,
            "cwd": session.cwd,
            "messages": _adapter().dump_python(session.messages, mode="json"),
        }
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(self._directory / f"{session_id}.json", json.dumps(document).encode())

    def load(self, session_id: str) -> StoredSession | None:
        """A stored conversation, or nothing when there is none with this id.

        :raises TurnError: there is one, but it cannot be read.
        """
        if self._directory is None or not _SESSION_ID.fullmatch(session_id):
            return None
        path = self._directory / f"{session_id}.json"
        try:
            document = json.loads(path.read_bytes())
            if document["format"] != _FORMAT:
                raise ValueError
            return StoredSession(
                str(document["cwd"]), _adapter().validate_python(document["messages"])
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise TurnError(
                "state", f"The stored conversation {path} cannot be read: move the file away."
            ) from None


def new_session_id() -> str:
    return secrets.token_hex(16)


def bounded(messages: list[ModelMessage]) -> list[ModelMessage]:
    """The latest turns, at most a couple of thousand messages."""
    if len(messages) <= _MOST_MESSAGES:
        return messages
    starts = [start for start in _turn_starts(messages) if start >= len(messages) - _MOST_MESSAGES]
    return messages[starts[0] :] if starts else messages[_turn_starts(messages)[-1] :]


def fitting(messages: list[ModelMessage], prompt: object, window: int | None) -> list[ModelMessage]:
    """The latest turns, as many as a context window has room for beside a new prompt.

    :param window: in tokens; without one, everything.
    """
    if window is None:
        return messages
    room = window * _SHARE_FOR_HISTORY - _estimate_content(prompt)
    kept = len(messages)
    for start in reversed(_turn_starts(messages)):
        room -= sum(map(estimate, messages[start:kept]))
        if room < 0:
            break
        kept = start
    return messages[kept:]


def estimate(message: ModelMessage) -> float:
    """Roughly how many tokens a message takes."""
    return sum(_estimate_content(getattr(part, "content", None)) for part in message.parts) + sum(
        _estimate_content(getattr(part, "args", None)) for part in message.parts
    )


def _estimate_content(content: Any) -> float:
    if content is None:
        return 0.0
    if isinstance(content, str):
        return len(content.encode()) / _BYTES_PER_TOKEN
    if hasattr(content, "media_type"):
        return _TOKENS_PER_FILE
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return sum(map(_estimate_content, content))
    return len(str(content)) / _BYTES_PER_TOKEN


def _turn_starts(messages: Sequence[ModelMessage]) -> list[int]:
    """Where turns begin: at every request that carries something the person said."""
    return [
        index
        for index, message in enumerate(messages)
        if any(part.part_kind == "user-prompt" for part in message.parts)
    ]


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _adapter() -> Any:
    # late: pydantic-ai is loaded after `initialize` was answered
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    return ModelMessagesTypeAdapter
