"""What became of sends: what is known of them after a crash, a kill or a time-out.

A send is asked for with its part's key as the id of the request. Its answer comes late, or after
the Gateway has been killed and started again, when it is read in the file the child wrote to. A
send that was under way when the child itself was killed is lost: nobody can tell. What an error
means is known in `sending`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from clawgw.channels.signal.sending import leaves_open
from clawgw.jsonrpc import RpcError, error_in

KEPT = 300

_pairs = msgspec.json.Decoder(list[tuple[str, int]]).decode
_names = msgspec.json.Decoder(list[str]).decode


class _Line(msgspec.Struct, frozen=True):
    id: Any = None
    method: str | None = None
    params: dict[str, Any] | None = None
    result: Any = None
    error: Any = None


class Answers:
    """Sends by key; the newest `KEPT` are remembered."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._lost: OrderedDict[str, None] = OrderedDict()
        self._under_way: set[str] = set()

    # While a child runs

    def asked(self, key: str) -> None:
        """A send is being asked for."""
        self._lost.pop(key, None)
        self._under_way.add(key)

    def answered(self, key: str, timestamp: int | None) -> None:
        """It was answered: sent at this millisecond, or not sent."""
        self._under_way.discard(key)
        self._lost.pop(key, None)
        if timestamp is not None:
            self._sent[key] = timestamp
            _trim(self._sent)

    def doubted(self, key: str) -> None:
        """It was answered, but nobody can tell from the answer whether it was sent."""
        self._under_way.discard(key)
        self._lost[key] = None
        _trim(self._lost)

    def settled(self, key: str, timestamp: int | None, problem: RpcError | None) -> None:
        """It was answered: sent, or with an error, or with neither."""
        if timestamp is not None or (problem is not None and not leaves_open(problem)):
            self.answered(key, timestamp)
        else:
            self.doubted(key)

    def ended(self, *, orderly: bool) -> bool:
        """The child has ended; orderly: with every answer given. Returns whether some are lost."""
        lost, self._under_way = self._under_way, set()
        if orderly or not lost:
            return False
        self._lost.update(dict.fromkeys(sorted(lost)))
        _trim(self._lost)
        return True

    # What is known

    @property
    def all_given(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def is_under_way(self, key: str) -> bool:
        """Whether its answer may still come."""
        return key in self._under_way

    def is_lost(self, key: str) -> bool:
        """Whether nobody can tell any more."""
        return key in self._lost

    def timestamp_of(self, key: str) -> int | None:
        """When it was sent, if it is known that it was."""
        return self._sent.get(key)

    # Over a restart

    def read(self, line: bytes) -> dict[str, Any] | None:
        """Learn from a line that a child wrote; returns the params if it is a message received."""
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if read.method == "receive":
            return read.params
        if isinstance(read.id, str):
            problem = None if read.error is None else error_in(read.error)
            self.settled(read.id, timestamp_in(read.result), problem)
        return None

    def recall(self, sent: str | None, lost: str | None) -> None:
        """Take up what `to_remember` gave in an earlier life; damage is forgotten."""
        try:
            self._sent = OrderedDict(_pairs(sent or "[]")) | self._sent
            self._lost = OrderedDict.fromkeys(_names(lost or "[]")) | self._lost
        except (msgspec.DecodeError, ValueError):
            return

    def to_remember(self) -> dict[str, str]:
        """All of this as values of a cursor."""
        return {
            "answers": msgspec.json.encode(list(self._sent.items())).decode(),
            "lost": msgspec.json.encode(list(self._lost)).decode(),
        }


def timestamp_in(result: Any) -> int | None:
    """When a message was sent, out of the answer to `send`."""
    timestamp = result.get("timestamp") if isinstance(result, dict) else None
    return timestamp if type(timestamp) is int else None


def _trim(known: OrderedDict[str, Any]) -> None:
    while len(known) > KEPT:
        known.popitem(last=False)
