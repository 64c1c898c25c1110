"""What tests of approvals need: a desk and a book over a real file, in memory otherwise."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from clawgw.approvals.book import ApprovalBook
from clawgw.approvals.desk import ApprovalDesk
from clawgw.approvals.file import PolicyStore
from clawgw.approvals.methods import ApprovalMethods
from clawgw.protocol.approvals import ExecRequest
from tests.support.memory import MemoryDatabase, MsClock, RecordedEvents

TIMEOUT_MS = 120_000


class DeskTestCase(SynchronousTestCase):
    """A desk, a book, a policy file, and a clock that stands still until it is told."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.database = MemoryDatabase()
        self.events = RecordedEvents()
        self.path = Path(self.mktemp())
        self.reviewers = True
        self.open()

    def open(self) -> None:
        """As a Gateway's start does."""
        self.store = PolicyStore(self.path, execute, Path("/home/anna"))
        self.desk = ApprovalDesk(self.store, "main", "/usr/bin:/bin", self.clock.now_ms)
        self.book = self.desk.book = ApprovalBook(
            self.clock, self.database, self.events, self.desk.remember, self.clock.now_ms
        )
        self.methods = ApprovalMethods(self.store, self.desk, TIMEOUT_MS, lambda _: self.reviewers)

    def start(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Begin something that may have to wait."""
        return Deferred.fromCoroutine(work)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Something that has its result at once."""
        return self.successResultOf(self.start(work))

    def refusal(self, work: Any) -> str:
        """The words with which something is refused."""
        deferred = work if isinstance(work, Deferred) else self.start(work)
        return str(self.failureResultOf(deferred).value)

    def policy(self, text: str) -> None:
        """Write the policy by hand."""
        self.path.write_text(text)


def request(command: str = "rm -rf build", **changes: Any) -> ExecRequest:
    """A question as in the recorded flows."""
    fields: dict[str, Any] = {
        "cwd": "/srv", "host": "gateway", "agent_id": "main", "session_key": "agent:main:main",
    }  # fmt: skip
    return ExecRequest(command=command, **(fields | changes))
