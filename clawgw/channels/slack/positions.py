"""How far each conversation has been read, so that a restart knows where to go on.

Kept with the messages themselves, as the account's cursor: `at` for the newest message of all,
`c:<channel>` for the newest of a conversation, `t:<channel>:<thread>` for the newest reply in a
thread. Only so many are kept, those with the newest messages. `gap`, while there is one: everything
after it may have been missed, whatever was read since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MOST_CONVERSATIONS = 500
MOST_THREADS = 100
NEWEST = "at"
GAP = "gap"

Changes = dict[str, str | None]


class Positions:
    """Knows the newest `ts` of everything that was read.

    Args:
        cursor: what was stored; other keys are left alone.
    """

    def __init__(self, cursor: Mapping[str, str]) -> None:
        self._newest = cursor.get(NEWEST)
        self._gap = cursor.get(GAP)
        self._conversations = {key[2:]: ts for key, ts in cursor.items() if key.startswith("c:")}
        self._threads = {key[2:]: ts for key, ts in cursor.items() if key.startswith("t:")}

    @property
    def newest(self) -> str | None:
        """The newest message of all; None: nothing was ever read."""
        return self._newest

    @property
    def gap(self) -> str | None:
        """Where what may have been missed begins."""
        return self._gap

    def open_gap(self) -> Changes:
        """Everything after the newest message may have been missed; an older gap stays."""
        self._gap = self._gap or self._newest
        return {GAP: self._gap}

    def close_gap(self) -> Changes:
        """Nothing is missing any more."""
        self._gap = None
        return {GAP: None}

    def before_gap(self, channel: str, thread: str | None = None) -> str:
        """How far a conversation or thread was certainly read."""
        known = self.of(channel, thread)
        return min((one for one in (known, self._gap) if one), key=_age, default="0.0")

    def conversations(self) -> list[str]:
        """Those known, the most recent first."""
        return sorted(self._conversations, key=lambda one: _age(self._conversations[one]))[::-1]

    def of(self, channel: str, thread: str | None = None) -> str | None:
        """The newest message of a conversation, or reply in a thread."""
        if thread is None:
            return self._conversations.get(channel)
        return self._threads.get(f"{channel}:{thread}")

    def threads(self, channel: str) -> list[str]:
        """The threads known in a conversation."""
        prefix = f"{channel}:"
        return [key.removeprefix(prefix) for key in self._threads if key.startswith(prefix)]

    def forget(self, channel: str) -> Changes:
        """The conversation is gone, or the bot is no longer in it."""
        changes: Changes = {}
        if self._conversations.pop(channel, None) is not None:
            changes[f"c:{channel}"] = None
        for thread in self.threads(channel):
            del self._threads[f"{channel}:{thread}"]
            changes[f"t:{channel}:{thread}"] = None
        return changes

    def read(self, messages: Iterable[tuple[str, str | None, str]]) -> Changes:
        """These were read (channel, thread, `ts`); what of it to store with them."""
        changes: Changes = {}
        for channel, thread, ts in messages:
            if _later(ts, self._newest):
                self._newest = changes[NEWEST] = ts
            if thread is None:
                _put(self._conversations, "c:", channel, ts, MOST_CONVERSATIONS, changes)
            else:
                _put(self._threads, "t:", f"{channel}:{thread}", ts, MOST_THREADS, changes)
        return changes


def earlier(ts: str, seconds: float) -> str:
    """The `ts` so many seconds before."""
    return f"{max(0.0, float(ts) - seconds):.6f}"


def _put(
    known: dict[str, str], prefix: str, key: str, ts: str, most: int, changes: Changes
) -> None:
    if not _later(ts, known.get(key)):
        return
    known[key] = changes[prefix + key] = ts
    if len(known) > most:
        oldest = min(known, key=lambda one: _age(known[one]))
        del known[oldest]
        changes[prefix + oldest] = None


def _later(ts: str, than: str | None) -> bool:
    return than is None or _age(ts) > _age(than)


def _age(ts: str) -> tuple[int, int]:
    """A `ts` as it is compared: exactly, not as a float."""
    seconds, _, rest = ts.partition(".")
    try:
        return int(seconds), int(f"{rest:0<9}")
    except ValueError:
        return 0, 0
