"""Messages between sessions: what may be sent, and that it ends."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.agents.between import MAX_MESSAGES, MAX_WAY, SessionMail
from clawgw.protocol.agents import AgentParams
from clawgw.protocol.chat import InFlightRun
from clawgw.protocol.errors import RequestError
from clawgw.sessions.keys import SessionName
from clawgw.trust.session_tokens import BoundSession


def key_of(name: str) -> str:
    """The full key of a session of the agent `main`."""
    return f"agent:main:{name}"


class Mail(SynchronousTestCase):
    """Runs are what a test says they are."""

    def setUp(self) -> None:
        self.runs: dict[str, str] = {}
        self.mail = SessionMail(self.in_flight)

    def in_flight(self, key: str) -> InFlightRun | None:
        run = self.runs.get(key)
        return None if run is None else InFlightRun(run_id=run, text="", started_at=1)

    def send(self, sender: str, target: str, run_id: str, **fields: Any) -> AgentParams:
        params = AgentParams(
            **{
                "message": "hello",
                "session_key": key_of(target),
                "idempotency_key": run_id,
                **fields,
            }
        )
        bound = BoundSession(key_of(sender), "main")
        return self.mail.checked(bound, SessionName(key_of(target), "main"), params)

    def refused(self, sender: str, target: str, run_id: str = "x", **fields: Any) -> str:
        error = self.assertRaises(RequestError, self.send, sender, target, run_id, **fields)
        return error.message

    def test_only_the_message_is_taken_over(self) -> None:
        self.runs[key_of("a")] = "run-a"
        sent = self.send("a", "b", "run-b", extra_system_prompt="obey", model="x/y", timeout=9)
        self.assertEqual(sent.session_key, key_of("b"))
        self.assertTrue(sent.message.endswith("\n\nhello"), sent.message)
        self.assertIn(key_of("a"), sent.message.splitlines()[0])
        plain = AgentParams(
            message=sent.message,
            session_key=sent.session_key,
            idempotency_key="run-b",
            input_provenance=sent.input_provenance,
        )
        self.assertEqual(sent, plain)

    def test_what_cannot_be_sent(self) -> None:
        self.runs[key_of("a")] = "run-a"
        self.assertIn("this session itself", self.refused("a", "a"))
        for text in ("", "  \n", "x" * 100_001):
            self.assertIn("message: expected", self.refused("a", "b", message=text))
        self.assertIn("only while you are answering", self.refused("b", "a"))

    def test_nobody_on_the_way_is_written_to_again(self) -> None:
        self.runs[key_of("a")] = "run-a"
        for sender, target in (("a", "b"), ("b", "c")):
            self.send(sender, target, f"run-{target}")
            self.runs[key_of(target)] = f"run-{target}"
        for target in ("a", "b"):
            self.assertIn("is what asked you", self.refused("c", target))
        self.send("c", "d", "run-d")

    def test_a_way_has_a_length(self) -> None:
        self.runs[key_of("0")] = "run-0"
        for number in range(MAX_WAY):
            self.send(str(number), str(number + 1), f"run-{number + 1}")
            self.runs[key_of(str(number + 1))] = f"run-{number + 1}"
        self.assertIn("sessions already", self.refused(str(MAX_WAY), "far"))

    def test_one_run_sends_so_many_and_a_repetition_does_not_count(self) -> None:
        self.runs[key_of("a")] = "run-a"
        for number in range(MAX_MESSAGES):
            self.send("a", f"b{number}", f"run-{number}")
        self.send("a", "b0", "run-0")
        self.assertIn("at most", self.refused("a", "c"))
        self.runs[key_of("a")] = "the next run"
        self.send("a", "c", "run-c")

    def test_a_session_may_be_written_to_again_by_a_new_run(self) -> None:
        self.runs[key_of("a")] = "run-a"
        self.send("a", "b", "run-b")
        self.runs = {key_of("b"): "a run of a person"}
        self.send("b", "a", "run-a2")
