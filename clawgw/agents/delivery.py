"""Where answers go beside the transcript, as runs see it; `channels.answers` does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from clawgw.agents.outcomes import Outcome
from clawgw.protocol.errors import invalid
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


class Delivery:
    """The same for every run, also one whose answer goes nowhere else.

    Attributes:
        answers: set once there are channels; before that nothing is delivered.
    """

    def __init__(self) -> None:
        self.answers: Answers | None = None

    def place(self, name: SessionName, wanted: Wanted) -> bytes:
        """See `Answers.place`.

        Raises:
            RequestError: there is no such place, or no channel at all.
        """
        if self.answers is None:
            raise invalid("deliver: there is no channel to deliver to")
        return self.answers.place(name, wanted)

    def begun(self, run: Run, text: Callable[[], str]) -> None:
        """See `Answers.begun`."""
        if (answers := self._of(run)) is not None:
            answers.begun(run, text)

    async def ending(self, run: Run) -> None:
        """See `Answers.ending`."""
        if (answers := self._of(run)) is not None:
            await answers.ending(run)

    def write(self, connection: Connection, run: Run, text: str, outcome: Outcome) -> None:
        """See `Answers.write`."""
        if (answers := self._of(run)) is not None:
            answers.write(connection, run, text, outcome)

    def over(self, run: Run) -> None:
        """See `Answers.over`."""
        if (answers := self._of(run)) is not None:
            answers.over(run)

    def _of(self, run: Run) -> Answers | None:
        return None if run.delivery is None else self.answers
