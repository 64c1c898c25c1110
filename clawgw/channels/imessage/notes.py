"""Notes about sends: what has to be known to find out afterwards whether something was sent.

A note is made before a send, with the newest row the chat had, and completed with the message's
GUID when `imsg` has answered. It is not thrown away then, because the Gateway may be killed before
the answer has reached the outbox: the newest `KEPT` completed ones stay, and all others for as long
as the outbox may ask for them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

KEPT = 64
FORGOTTEN_SECONDS = 7 * 24 * 3600
"""The outbox gives up after three days."""


class Note(NamedTuple):
    """One send.

    Attributes:
        after: the newest row of its chat before it.
        at: when it was begun, in seconds since the epoch.
        guid: what it became; None: not known.
    """

    after: int
    at: int
    guid: str | None = None


_decode = msgspec.json.Decoder(dict[str, Note]).decode


class Notes:
    """Notes by the keys of parts, oldest first."""

    def __init__(self, text: str | None = None) -> None:
        """Take up what `text` gave in an earlier life; damage is forgotten."""
        try:
            self._notes = _decode(text or "{}")
        except msgspec.DecodeError:
            self._notes = {}

    def get(self, key: str) -> Note | None:
        """The note about a part."""
        return self._notes.get(key)

    @property
    def guids(self) -> list[str]:
        """What was sent, oldest first."""
        return [note.guid for note in self._notes.values() if note.guid is not None]

    def begin(self, key: str, after: int, at: int) -> None:
        """A part is about to be sent."""
        self._notes.pop(key, None)
        for old in [key for key, note in self._notes.items() if note.at < at - FORGOTTEN_SECONDS]:
            del self._notes[old]
        self._notes[key] = Note(after, at)

    def complete(self, key: str, guid: str) -> None:
        """It was sent."""
        note = self._notes.pop(key, Note(0, 0))
        self._notes[key] = note._replace(guid=guid)
        done = [key for key, note in self._notes.items() if note.guid is not None]
        for old in done[:-KEPT]:
            del self._notes[old]

    def forget(self, key: str) -> None:
        """It was certainly not sent."""
        self._notes.pop(key, None)

    @property
    def text(self) -> str:
        """All of them, to be stored."""
        return msgspec.json.encode(self._notes).decode()
