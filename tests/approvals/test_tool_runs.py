"""What an agent's tool asks of a node that wants to be told of an approval."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.defer import Deferred, succeed

from clawgw.approvals.book import NOBODY, Resolver
from clawgw.approvals.tool_runs import REFUSED, ToolRuns
from clawgw.methods import Spliced
from clawgw.protocol.errors import unavailable
from clawgw.protocol.nodes import NodeInvokeParams
from clawgw.trust.session_tokens import BoundSession
from tests.approvals.desk import TIMEOUT_MS, DeskTestCase, request
from tests.support.memory import Caller

MAIN = "agent:main:main"


class ToolRunTests(DeskTestCase):
    """One session, one node that runs nothing without a person's yes."""

    def setUp(self) -> None:
        super().setUp()
        self.over: Deferred[Any] | None = Deferred()
        self.ran: list[dict[str, Any]] = []
        self.runs = ToolRuns(
            self.invoke, self.desk, self.book, TIMEOUT_MS, lambda _: True, lambda _: self.over
        )

    async def invoke(self, _: Any, params: NodeInvokeParams) -> Spliced:
        """The node."""
        run = msgspec.json.decode(params.params)
        if not run.get("approved"):
            raise unavailable(f"SYSTEM_RUN_DENIED: {REFUSED}")
        self.ran.append(run)
        return Spliced((b"{}",))

    def ask(self, **more: Any) -> Deferred[Any]:
        run = {"command": ["make", "test"], "cwd": "/srv", **more}
        params = NodeInvokeParams(
            node_id="n-1", command="system.run", idempotency_key="k",
            params=Raw(msgspec.json.encode(run)),
        )  # fmt: skip
        return self.start(self.runs.invoke(Caller(), BoundSession(MAIN, "main"), params))

    def test_who_decides_sees_the_whole_of_it(self) -> None:
        waiting = self.ask(env={"GIT_DIR": "secret", "A": "1"})
        (approval,) = self.book.pending()
        request = approval.request
        self.assertEqual((request.command, request.cwd), ("make test", "/srv"))
        self.assertEqual(request.env_keys, ["A", "GIT_DIR"])
        self.do(self.book.resolve(approval.id, "allow-once", Resolver("Ann")))
        self.successResultOf(waiting)
        self.assertEqual(self.ran[0]["env"], {"GIT_DIR": "secret", "A": "1"})

    def test_a_question_of_a_run_that_is_over_is_withdrawn(self) -> None:
        """A yes that comes later is none, and nothing runs."""
        waiting = self.ask()
        (approval,) = self.book.pending()
        assert self.over is not None
        self.over.callback(None)
        self.assertIn("run that asked for this is over", self.refusal(waiting))
        self.assertEqual(self.book.pending(), [])
        late = self.book.resolve(approval.id, "allow-once", Resolver("Ann"))
        self.assertIn("the run that asked is over", self.refusal(late))
        self.assertEqual(self.ran, [])

    def test_what_the_node_itself_asks_is_withdrawn_too(self) -> None:
        """And nothing else: neither another session's question, nor one that no node put."""
        node: Deferred[Any] = Deferred()
        self.patch(self.runs, "_invoke", lambda *_: node)
        waiting = self.ask()
        for number, changes in enumerate(
            ({"session_key": MAIN, "node_id": "n-1"}, {"node_id": "n-1"}, {"session_key": MAIN})
        ):
            asked = request(**{"session_key": "agent:main:other", **changes})
            self.do(self.book.ask(asked, TIMEOUT_MS, NOBODY, f"q-{number}"))
        assert self.over is not None
        self.over.callback(None)
        self.assertEqual([one.id for one in self.book.pending()], ["q-1", "q-2"])
        node.errback(unavailable("SYSTEM_RUN_DENIED: user denied"))
        self.assertIn("user denied", self.refusal(waiting))

    def test_what_a_node_asks_later_is_not_the_runs(self) -> None:
        self.patch(self.runs, "_invoke", lambda *_: succeed(Spliced((b"{}",))))
        self.successResultOf(self.ask())
        asked = request(session_key=MAIN, node_id="n-1")
        self.do(self.book.ask(asked, TIMEOUT_MS, NOBODY, "q"))
        assert self.over is not None
        self.over.callback(None)
        self.assertEqual(len(self.book.pending()), 1)

    def test_outside_a_run_it_waits_for_its_time(self) -> None:
        self.over = None
        waiting = self.ask()
        self.clock.advance(TIMEOUT_MS / 1000 + 1)
        self.assertIn("nobody answered in time", self.refusal(waiting))
        self.assertEqual(self.ran, [])
