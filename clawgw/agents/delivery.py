"""Where answers go beside the transcript, as runs see it; `channels.answers` does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from clawgw.agents.outcomes import Outcome
from clawgw.sessions.keys import SessionName
from clawgw.store.database import Connection
from clawgw.store.runs import Run


class Wanted(NamedTuple):
    """Where a client wants an answer delivered; None: where the session's people last wrote."""

    channel: str | None = None
    account: str | None = None
    to: str | None = None
    thread: str | None = None


class Answers(Protocol):
    """Where answers go beside the transcript: runs that came through a channel."""

    def place(self, name: SessionName, wanted: Wanted) -> bytes:
        """The `delivery` of a run whose answer is to go to a channel.

        Raises:
            RequestError: there is no such place.
        """

    def begun(self, run: Run, text: Callable[[], str]) -> None:
        """A run is being answered; `text` tells the answer so far."""

    async def ending(self, run: Run) -> None:
        """The agent has ended; soon the answer is written. Never raises."""

    def write(self, connection: Connection, run: Run, text: str, outcome: Outcome) -> None:
        """Inside the write that ends a run: queue its answer."""

    def over(self, run: Run) -> None:
        """That is on the disk."""
