"""The same key never acts twice, and what was accepted comes to an end, whatever dies meanwhile."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
import uuid
from typing import Any

from tests.faults.support import RESTARTED, GatewayCase
from tests.support.wire import Refused

THE_END = ("final", "error", "aborted")


class RetriesCase(GatewayCase):
    """A Gateway with the scripted agent, and a client of it."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.connect()

    def restart(self, *, kill: bool = True) -> None:
        """End the Gateway and start it again; `client` is a new one."""
        if kill:
            self.gateway.kill()
        else:
            self.assertEqual(self.gateway.stop(), 0)
        self.gateway.start()
        self.client = self.connect()

    def params(self, message: str, key: str | None = None) -> dict[str, Any]:
        return {
            "sessionKey": "main",
            "message": message,
            "idempotencyKey": key or str(uuid.uuid4()),
        }

    def said(self, role: str | None = None) -> list[str]:
        """The texts of the main session."""
        page = self.client.request("chat.history", {"sessionKey": "main", "limit": 1000})
        return [
            message["content"][0]["text"] if message["content"] else message["errorMessage"]
            for message in page["messages"]
            if role in (None, message["role"])
        ]

    def end_of(self, run_id: str) -> dict[str, Any]:
        event = self.client.event(
            "chat", lambda chat: chat["runId"] == run_id and chat["state"] in THE_END
        )
        payload: dict[str, Any] = event["payload"]
        return payload

    def assert_key_refused(self, method: str, params: dict[str, Any]) -> None:
        refused = self.assertRaises(Refused, self.client.request, method, params)
        self.assertEqual(refused.code, "INVALID_REQUEST")
        self.assertIn("idempotencyKey", refused.error["message"])


class SameKey(RetriesCase):
    """Asked again, answered again, done once."""

    def test_while_it_is_going_on(self) -> None:
        params = {**self.params("SLOW"), "sessionKey": "agent:main:main"}
        first, second = self.connect(), self.connect(3)
        asked = [(client, client.post("agent", params)) for client in (first, first, second)]
        accepted = [client.result(request) for client, request in asked]
        self.assertEqual({one["runId"] for one in accepted}, {params["idempotencyKey"]})
        self.client.request("chat.abort", {"sessionKey": "main"})
        finals = [client.result(request) for client, request in asked]
        self.assertEqual({one["summary"] for one in finals}, {"aborted"})
        self.assertEqual(self.said("user"), ["SLOW"])

    def test_after_it_is_over_and_after_a_restart(self) -> None:
        params = self.params("hello")
        answers = [self.client.request("chat.send", params)]
        self.end_of(params["idempotencyKey"])
        answers.append(self.client.request("chat.send", params))
        self.restart()
        answers.append(self.client.request("chat.send", params))
        self.assertEqual(answers, [answers[0]] * 3)
        self.assertEqual(self.said(), ["hello", "echo: hello"])

    def test_both_answers_of_agent_come_again_after_a_restart(self) -> None:
        params = self.params("hello")
        request = self.client.post("agent", params)
        before = [self.client.result(request), self.client.result(request)]
        self.restart()
        request = self.client.post("agent", params)
        after = [self.client.result(request), self.client.result(request)]
        self.assertEqual(after, before)
        self.assertEqual(self.said(), ["hello", "echo: hello"])

    def test_with_other_parameters_is_a_mistake(self) -> None:
        params = self.params("hello")
        self.client.request("chat.send", params)
        self.assert_key_refused("chat.send", {**params, "message": "something else"})
        self.assert_key_refused("chat.send", {**params, "sessionKey": "elsewhere"})
        self.assert_key_refused("agent", params)
        self.end_of(params["idempotencyKey"])
        self.restart()
        self.assert_key_refused("chat.send", {**params, "message": "something else"})
        self.assertEqual(self.said("user"), ["hello"])

    def test_with_members_in_another_order_is_the_same(self) -> None:
        params = self.params("hello")
        first = self.client.request("chat.send", params)
        again = self.client.request("chat.send", dict(reversed(params.items())))
        self.assertEqual(first, again)
        self.end_of(params["idempotencyKey"])
        self.assertEqual(self.said("user"), ["hello"])

    def test_sent_a_hundred_times_at_once(self) -> None:
        params = self.params("hello")
        clients = [self.connect() for _ in range(5)]
        asked = [(client, client.post("chat.send", params)) for client in clients * 20]
        answers = [client.result(request) for client, request in asked]
        self.assertEqual(answers, [answers[0]] * 100)
        self.end_of(params["idempotencyKey"])
        self.assertEqual(self.said(), ["hello", "echo: hello"])


class Deaths(RetriesCase):
    """Of the agent, and of the Gateway in the middle of a turn."""

    def test_an_agent_that_dies_is_an_error_and_the_next_turn_has_a_new_one(self) -> None:
        dying = self.client.request("chat.send", self.params("DIE"))["runId"]
        end = self.end_of(dying)
        self.assertEqual(end["state"], "error")
        self.assertIn("exit code 7", end["errorMessage"])
        living = self.client.request("chat.send", self.params("hello"))["runId"]
        self.assertEqual(self.end_of(living)["state"], "final")

    def test_an_agent_that_is_killed_is_an_error_and_what_waits_goes_on(self) -> None:
        slow = self.client.request("chat.send", self.params("SLOW"))["runId"]
        self.client.event("chat", lambda chat: chat["runId"] == slow)
        waiting = self.client.request("chat.send", self.params("hello"))["runId"]
        started = re.findall(r"agent main: started, pid (\d+)", self.gateway.log)
        os.kill(int(started[-1]), signal.SIGKILL)
        end = self.end_of(slow)
        self.assertEqual(end["state"], "error")
        self.assertIn("signal 9", end["errorMessage"])
        self.assertEqual(self.end_of(waiting)["state"], "final")

    def test_a_turn_the_gateway_died_in_ends_with_an_error_and_what_waited_goes_on(self) -> None:
        slow = self.params("SLOW")
        self.client.request("chat.send", slow)
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        waiting = [self.params(f"waiting {number}") for number in range(3)]
        for params in waiting:
            self.client.request("chat.send", params)
        self.restart()
        ended = self.client.request("agent.wait", {"runId": slow["idempotencyKey"]})
        self.assertEqual((ended["status"], ended["error"]), ("error", RESTARTED))
        for params in waiting:
            waited = self.client.request("agent.wait", {"runId": params["idempotencyKey"]})
            self.assertEqual(waited["status"], "ok")
        answers = [text for text in self.said("assistant") if text != RESTARTED]
        self.assertEqual(answers, [f"echo: waiting {number}" for number in range(3)])
        self.assertEqual(self.said("assistant").count(RESTARTED), 1)

    def test_a_client_that_asked_before_can_wait_after(self) -> None:
        params = self.params("SLOW")
        self.client.result(self.client.post("agent", params))
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        self.restart()
        request = self.client.post("agent", params)
        self.assertEqual(self.client.result(request)["status"], "accepted")
        refused = self.assertRaises(Refused, self.client.result, request)
        self.assertEqual(refused.error["message"], RESTARTED)
        self.assertEqual(refused.frame["payload"]["status"], "error")
        self.assertEqual(self.said("user"), ["SLOW"])


class FullDisk(RetriesCase):
    """A limit on the size of files stands for a disk that is full."""

    def leave_room(self, size: int) -> None:
        """Files may grow by so much more than the largest there is."""
        files = self.gateway.state_dir.rglob("*")
        self.limit(size + max(file.stat().st_size for file in files if file.is_file()))

    def limit(self, size: int) -> None:
        resource.prlimit(self.gateway.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(self) -> tuple[list[str], dict[str, Any]]:
        """Send until one is refused; what was acknowledged, and what was not."""
        acknowledged = []
        for number in range(1000):
            params = {**self.params(f"{number} " + "x" * 20_000), "sessionKey": f"s{number}"}
            try:
                self.client.request("chat.send", params)
            except Refused as refused:
                self.assertEqual(refused.code, "UNAVAILABLE")
                self.assertNotIn("sqlite", refused.error["message"].lower())
                return acknowledged, params
            acknowledged.append(params["sessionKey"])
        raise self.failureException("the disk is never full")

    def test_refuses_clearly_and_goes_on_when_there_is_room(self) -> None:
        self.leave_room(300_000)
        acknowledged, refused = self.fill()
        self.assertTrue(self.client.request("health")["ok"])
        self.assertIn("could not write", self.gateway.log)
        self.limit(resource.RLIM_INFINITY)
        self.client.request("chat.send", refused)
        self.assertEqual(self.end_of(refused["idempotencyKey"])["state"], "final")
        self.check_kept([*acknowledged, refused["sessionKey"]])
        self.restart()
        self.check_kept([*acknowledged, refused["sessionKey"]])

    def test_loses_nothing_acknowledged_when_the_gateway_dies_of_it(self) -> None:
        self.leave_room(300_000)
        acknowledged, refused = self.fill()
        self.restart()
        self.check_kept(acknowledged)
        missing = self.client.request("chat.history", {"sessionKey": refused["sessionKey"]})
        self.assertEqual(missing["messages"], [])

    def test_a_turn_is_over_when_that_can_be_written(self) -> None:
        params = self.params("SLOW")
        request = self.client.post("agent", params)
        self.client.result(request)
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        self.limit(1)
        self.client.post("chat.abort", {"sessionKey": "main"})
        wait = {"runId": params["idempotencyKey"], "timeoutMs": 500}
        self.assertEqual(self.client.request("agent.wait", wait)["status"], "timeout")
        self.limit(resource.RLIM_INFINITY)
        self.assertEqual(self.client.result(request)["summary"], "aborted")
        after = self.client.request("chat.send", self.params("hello"))["runId"]
        self.assertEqual(self.end_of(after)["state"], "final")
        self.assertEqual(self.said("user"), ["SLOW", "hello"])

    def check_kept(self, sessions: list[str]) -> None:
        """Every one of these sessions has its message, once, and its run has ended."""
        self.assertGreater(len(sessions), 1)
        for session in sessions:
            deadline = time.monotonic() + 90
            while True:
                page = self.client.request("chat.history", {"sessionKey": session})
                roles = [message["role"] for message in page["messages"]]
                if roles == ["user", "assistant"] or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            self.assertEqual(roles, ["user", "assistant"], session)


class Shutdown(RetriesCase):
    """SIGTERM: everybody is told, nothing is lost."""

    def test_tells_everybody_and_goes_on_later(self) -> None:
        slow, waiting = self.params("SLOW"), self.params("waiting")
        self.client.request("chat.send", slow)
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        self.client.request("chat.send", waiting)
        old = self.client
        started = time.monotonic()
        self.assertEqual(self.gateway.stop(), 0)
        self.assertLess(time.monotonic() - started, 45)
        told = old.event("shutdown")["payload"]
        self.assertTrue(told["reason"])
        end = old.ending()
        self.assertEqual(getattr(end, "code", None), 1012)
        self.gateway.start()
        self.client = self.connect()
        waited = self.client.request("agent.wait", {"runId": waiting["idempotencyKey"]})
        self.assertEqual(waited["status"], "ok")
        ended = self.client.request("agent.wait", {"runId": slow["idempotencyKey"]})
        self.assertEqual(ended["status"], "error")
        self.assertEqual(self.said("user"), ["SLOW", "waiting"])
        self.assertIn("echo: waiting", self.said("assistant"))
        self.assertNotIn("Traceback", self.gateway.log)

    def test_a_turn_that_is_nearly_done_is_finished(self) -> None:
        # a fraction of a second, and also on a slow machine less than a turn is given at the end
        words = " ".join(["word"] * 100)
        params = self.params(words)
        self.client.request("chat.send", params)
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        self.restart(kill=False)
        waited = self.client.request("agent.wait", {"runId": params["idempotencyKey"]})
        self.assertEqual(waited["status"], "ok")
        self.assertEqual(self.said("assistant"), [f"echo: {words}"])

    def test_new_work_is_refused_meanwhile_and_can_be_sent_again(self) -> None:
        self.client.request("chat.send", self.params("SLOW"))
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        assert self.gateway.process is not None
        self.gateway.process.send_signal(signal.SIGTERM)
        self.client.event("shutdown")
        late = self.params("late")
        refused = self.assertRaises(Refused, self.client.request, "chat.send", late)
        self.assertEqual((refused.code, refused.error["retryable"]), ("UNAVAILABLE", True))
        self.assertEqual(self.gateway.process.wait(60), 0)
        self.gateway.start()
        self.client = self.connect()
        self.client.request("chat.send", late)
        self.assertEqual(self.end_of(late["idempotencyKey"])["state"], "final")

    def test_a_second_signal_changes_nothing(self) -> None:
        self.client.request("chat.send", self.params("SLOW"))
        self.client.event("chat", lambda chat: chat["state"] == "delta")
        assert self.gateway.process is not None
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            self.gateway.process.send_signal(number)
            self.client.event("shutdown")
        self.assertEqual(self.gateway.process.wait(60), 0)
        self.assertNotIn("Traceback", self.gateway.log)
