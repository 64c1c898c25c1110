"""What can go wrong between a bot and Telegram, to be ordered by a test.

A fault waits for a call of its method (or of any), lets `skip` of them pass, and then strikes
`times` of them. A fault that strikes *before* means that Telegram has not acted; one that strikes
*after* means that it has, and the bot does not get to know.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.channels.telegram.errors import ApiError

FOREVER = 1_000_000_000


@dataclass
class Fault:
    """One fault; see `Faults` for the kinds."""

    kind: str
    method: str | None = None
    times: int = 1
    skip: int = 0
    error: ApiError | None = None
    body: bytes = b""
    status: int = 200
    seconds: float = 0.0
    acts: bool = False
    chance: Callable[[], bool] = field(default=lambda: True)


class Faults:
    """The faults ordered, and how often each kind struck."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []
        self.struck: dict[str, int] = {}

    def refuse(
        self, code: int, description: str, method: str | None = None, *, times: int = 1,
        skip: int = 0, **parameters: int,
    ) -> None:  # fmt: skip
        """Answer an error instead of acting."""
        error = ApiError(code, description, **parameters)
        self._ordered.append(Fault("refuse", method, times, skip, error))

    def throttle(self, seconds: int, method: str | None = None, *, times: int = 1) -> None:
        """Answer 429 with `retry_after`."""
        self.refuse(
            429, f"Too Many Requests: retry after {seconds}", method, times=times,
            retry_after=seconds,
        )  # fmt: skip

    def cut(self, method: str | None = None, *, times: int = 1, skip: int = 0) -> None:
        """Cut the connection before acting."""
        self._ordered.append(Fault("cut", method, times, skip))

    def lose(self, method: str | None = None, *, times: int = 1, skip: int = 0) -> None:
        """Act, then cut the connection instead of answering."""
        self._ordered.append(Fault("lose", method, times, skip, acts=True))

    def half(self, method: str | None = None, *, times: int = 1) -> None:
        """Act, answer half of it, cut the connection."""
        self._ordered.append(Fault("half", method, times, acts=True))

    def delay(self, seconds: float, method: str | None = None, *, times: int = 1) -> None:
        """Act, and answer so much later."""
        self._ordered.append(Fault("delay", method, times, seconds=seconds, acts=True))

    def garble(
        self, body: bytes, method: str | None = None, *, status: int = 200, acts: bool = False,
        times: int = 1,
    ) -> None:  # fmt: skip
        """Answer these bytes, having acted or not."""
        self._ordered.append(Fault("garble", method, times, body=body, status=status, acts=acts))

    def huge(self, size: int, method: str | None = None, *, times: int = 1) -> None:
        """Answer well-formed JSON of at least so many bytes, without having acted."""
        body = b'{"ok":true,"result":[],"padding":"' + b"x" * size + b'"}'
        self._ordered.append(Fault("huge", method, times, body=body))

    def now_and_then(
        self, rng: random.Random, probability: float, *kinds: str, method: str | None = None
    ) -> None:
        """From here on each call is struck with this probability, by one of `cut` and `lose`."""
        for kind in kinds:
            self._ordered.append(
                Fault(
                    kind, method, FOREVER, acts=kind == "lose",
                    chance=lambda: rng.random() < probability,
                )
            )  # fmt: skip

    def clear(self) -> None:
        """No more faults."""
        self._ordered.clear()

    def take(self, method: str) -> Fault | None:
        """The fault that strikes this call, if one does."""
        for fault in list(self._ordered):
            if fault.method not in (None, method) or not fault.chance():
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self._ordered.remove(fault)
            self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1
            return fault
        return None


def answer(result: Any) -> dict[str, Any]:
    """A success, as the Bot API words it."""
    return {"ok": True, "result": result}
