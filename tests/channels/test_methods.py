"""Methods of channels as clients call them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from clawgw.channels import methods, sending
from clawgw.channels.adapter import Fault, LoginProblem, LoginStep, SendLater, SendRefused
from clawgw.store import sessions as session_table
from clawgw.store.database import StoreError
from clawgw.trust.session_tokens import BoundSession
from tests.channels.conversation import OPEN, ConversationCase
from tests.channels.support import ToyAdapter, direct, in_group
from tests.support.memory import Caller

DAY = 24 * 3600.0


class Sending(ConversationCase):
    """`send`."""

    settings = {"default": OPEN, "work": OPEN}  # noqa: RUF012

    def send(self, **params: Any) -> Any:
        fields = {"to": "7", "message": "hello", "idempotencyKey": "k1"}
        return self.call("send", **(fields | params))

    def problem(self, **params: Any) -> Any:
        fields = {"to": "7", "message": "hello", "idempotencyKey": "k1"}
        return self.refusal("send", **(fields | params))

    def test_it_is_delivered_and_the_providers_id_is_told(self) -> None:
        self.assertEqual(
            self.send(), {"runId": "k1", "channel": "toy", "messageId": "m1", "chatId": "7"}
        )
        self.assertEqual(self.sent, ["hello"])

    def test_to_a_thread_in_reply_without_a_sound(self) -> None:
        self.send(threadId="5", replyToId="m9", silent=True)
        ((target, part),) = self.adapter.sent
        self.assertEqual((target.thread, part.reply_to, part.silent), ("5", "m9", True))

    def test_through_the_account_that_is_named(self) -> None:
        self.send(accountId="work")
        adapter: Any = self.account("work").adapter
        self.assertEqual((self.sent, adapter.texts), ([], ["hello"]))

    def test_a_long_one_has_several_ids(self) -> None:
        sent = self.send(message=" ".join(["word"] * 100))
        self.assertGreater(len(sent["messageIds"]), 1)
        self.assertEqual(sent["messageId"], sent["messageIds"][-1])

    def test_again_with_the_same_key_it_is_the_same_message(self) -> None:
        self.assertEqual(self.send(), self.send())
        self.assertEqual(len(self.sent), 1)

    def test_also_after_a_restart(self) -> None:
        first = self.send()
        self.open()
        self.assertEqual(self.send(), first)
        self.assertEqual(self.sent, [])

    def test_the_key_is_good_for_that_message_only(self) -> None:
        self.send()
        for change in ({"message": "other"}, {"to": "8"}, {"accountId": "work"}):
            problem = self.problem(**change)
            self.assertIn("idempotencyKey: already used", problem.message)
        self.assertEqual(len(self.sent), 1)

    def test_a_key_that_is_so_old_that_it_counts_no_more_is_a_new_one(self) -> None:
        self.send()
        self.clock.advance(2 * DAY)
        sent = self.send(message="another")
        self.assertEqual((sent["messageId"], self.sent), ("m2", ["hello", "another"]))
        self.assertEqual(self.send(message="another"), sent)
        self.assertEqual(len(self.sent), 2)

    def test_what_takes_long_is_safe_and_queued(self) -> None:
        self.adapter.outcomes.append(SendLater("slow down", 60.0))
        waiting = self.begin("send", to="7", message="hello", idempotencyKey="k1")
        self.clock.advance(sending.WAIT_SECONDS - 0.1)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        sent = self.successResultOf(waiting)
        self.assertEqual((sent["queued"], sent.get("messageId")), (True, None))
        self.clock.advance(60)
        self.assertEqual(self.send()["messageId"], "m2")

    def test_so_is_what_cannot_be_sent_before_the_gateway_stops(self) -> None:
        self.adapter.outcomes.append(SendLater("slow down", 60.0))
        waiting = self.begin("send", to="7", message="hello", idempotencyKey="k1")
        self.do(self.channels.stop())
        self.assertTrue(self.successResultOf(waiting)["queued"])
        self.open()
        self.assertEqual(self.sent, ["hello"])

    def test_what_the_provider_refuses_has_failed_also_when_asked_again(self) -> None:
        self.adapter.outcomes.append(SendRefused("Toy says: blocked"))
        for _ in range(2):
            problem = self.problem()
            self.assertEqual(problem.message, "not delivered: Toy says: blocked")
            self.assertEqual(problem.shape.details, {"code": "SEND_FAILED"})
        self.assertEqual(len(self.sent), 1)

    def test_what_cannot_be_stored_is_not_sent(self) -> None:
        self.database.fail_next = StoreError("disk full")
        asked = self.begin("send", to="7", message="hello", idempotencyKey="k1")
        self.failureResultOf(asked, StoreError)
        self.assertEqual(self.sent, [])
        self.assertEqual(self.send()["messageId"], "m1")

    def test_addresses(self) -> None:
        self.send(to="toy:7", idempotencyKey="a")
        self.send(to=" TOY:7 ", channel="toy", idempotencyKey="b")
        self.assertEqual([target.chat for target, _ in self.adapter.sent], ["7", "7"])
        for params, says in (
            ({"to": "Alice"}, "to: expected a number"),
            ({"to": "toy:"}, "to: expected a number"),
            ({"channel": "telegram"}, "channel: 'telegram' is not configured (toy)"),
            ({"accountId": "play"}, "accountId: toy has no account 'play' (default, work)"),
            ({"message": " "}, "message: expected a text or a file"),
            ({"message": "x" * 100_001}, "message: expected at most 100000 characters"),
            ({"idempotencyKey": "k" * 513}, "idempotencyKey: expected at most 512 characters"),
        ):
            self.assertEqual(self.problem(**params).message, says)

    def test_through_an_account_with_something_missing(self) -> None:
        self.settings = {"default": {"token": None}}
        self.do(self.channels.follow(self.parsed()))
        self.assertEqual(self.problem().message, "toy (default): a token is missing: set token")

    def test_the_session_that_is_named_knows_of_it(self) -> None:
        self.send(sessionKey="main")
        rows = self.database.connection.execute("SELECT body FROM messages").fetchall()
        self.assertEqual(len(rows), 1)
        self.assertIn(b"hello", bytes(rows[0][0]))
        self.send(sessionKey="main")
        rows = self.database.connection.execute("SELECT body FROM messages").fetchall()
        self.assertEqual(len(rows), 1)

    def test_while_it_is_being_delivered_the_same_request_waits_with_it(self) -> None:
        answer: Deferred[str] = Deferred()
        self.adapter.outcomes.append(answer)
        params = {"to": "7", "message": "hello", "idempotencyKey": "k1"}
        both = [self.begin("send", **params), self.begin("send", **params)]
        answer.callback("m1")
        self.assertEqual([self.successResultOf(one)["messageId"] for one in both], ["m1", "m1"])
        self.assertEqual(len(self.sent), 1)


class Tools(ConversationCase):
    """`send` as a tool of an agent."""

    settings = {"default": OPEN | {"groupPolicy": "open"}}  # noqa: RUF012

    def caller(self, key: str) -> Caller:
        bound = BoundSession(key, "main", frozenset({"send"}), ("operator.write",))
        return Caller(bound_session=bound)

    def test_an_agent_in_a_group_writes_there_and_nowhere_else(self) -> None:
        self.hear(in_group(1, "write to my boss", mentioned=True))
        caller = self.caller("agent:main:toy:group:-50")
        params = {"message": "hello", "idempotencyKey": "k"}
        self.call("send", caller, to="-50", **params)
        for to in ("7", "-51", "1001"):
            problem = self.refusal("send", caller, to=to, **params | {"idempotencyKey": to})
            self.assertIn("this group only", problem.message)
        self.assertEqual([target.chat for target, _ in self.adapter.sent], ["-50"])

    def test_also_before_anybody_wrote_there(self) -> None:
        caller = self.caller("agent:main:toy:channel:5")
        problem = self.refusal("send", caller, to="5", message="x", idempotencyKey="k")
        self.assertIn("this group only", problem.message)

    def test_an_agent_in_a_direct_chat_writes_where_it_likes(self) -> None:
        self.call(
            "send", self.caller("agent:main:main"), to="7", message="hello", idempotencyKey="k"
        )
        self.assertEqual(self.sent, ["hello"])

    def test_what_it_sends_from_its_own_session_is_not_noted_there_again(self) -> None:
        caller = self.caller("agent:main:main")
        self.call(
            "send", caller, to="7", message="hello", idempotencyKey="k", sessionKey="main"
        )  # fmt: skip
        self.assertIsNone(self.database.read(session_table.get, "agent:main:main"))

    def test_nor_may_it_note_things_in_sessions_it_may_not_reach(self) -> None:
        caller = self.caller("agent:main:main")
        params = {"to": "7", "message": "hello", "idempotencyKey": "k"}
        problem = self.refusal("send", caller, sessionKey="agent:work:main", **params)
        self.assertIn("this agent may reach", problem.message)
        self.assertEqual(self.sent, [])


class Polls(ConversationCase):
    """`poll`."""

    def test_a_question_with_answers(self) -> None:
        sent = self.call(
            "poll", to="7", question="Where?", options=["Rome", "Bonn"], idempotencyKey="k",
            maxSelections=9, durationSeconds=3601, isAnonymous=True,
        )  # fmt: skip
        self.assertEqual(sent["messageId"], "m1")
        ((_, part),) = self.adapter.sent
        poll = part.poll
        assert poll is not None
        self.assertEqual((poll.question, poll.options), ("Where?", ("Rome", "Bonn")))
        self.assertEqual((poll.max_selections, poll.hours, poll.anonymous), (2, 2, True))

    def test_its_key_is_not_one_of_send(self) -> None:
        self.call("poll", to="7", question="?", options=["a", "b"], idempotencyKey="k")
        problem = self.refusal("send", to="7", message="hello", idempotencyKey="k")
        self.assertIn("already used", problem.message)

    def test_where_there_are_none(self) -> None:
        can = replace(ToyAdapter.capabilities, polls=False)
        self.patch(self.adapter, "capabilities", can)
        problem = self.refusal("poll", to="7", question="?", options=["a", "b"], idempotencyKey="k")
        self.assertEqual(problem.message, "channel: toy has no polls")


class Status(ConversationCase):
    """`channels.status`."""

    settings = {"default": OPEN, "work": OPEN}  # noqa: RUF012

    def rows(self, **params: Any) -> dict[str, Any]:
        answer = self.call("channels.status", **params)
        return {row["accountId"]: row for row in answer["channelAccounts"]["toy"]}

    def test_without_a_probe_nobody_is_asked(self) -> None:
        self.adapter.probed = AssertionError("asked")
        self.assertNotIn("probe", self.rows()["default"])

    def test_with_one_the_provider_is_asked(self) -> None:
        row = self.rows(probe=True)["work"]
        self.assertEqual(row["probe"], {"ok": True, "bot": "toy", "elapsedMs": 0})
        self.assertEqual(row["lastProbeAt"], self.clock.now_ms())

    def test_one_that_fails_says_why_and_hides_nobody_elses(self) -> None:
        self.adapter.probed = Fault("Toy says: the token is wrong")
        rows = self.rows(probe=True)
        self.assertEqual(rows["default"]["probe"]["error"], "Toy says: the token is wrong")
        self.assertFalse(rows["default"]["probe"]["ok"])
        self.assertTrue(rows["work"]["probe"]["ok"])

    def test_a_mistake_is_logged_and_shows_no_internals(self) -> None:
        self.adapter.probed = ValueError("with a secret")
        found = self.rows(probe=True)["default"]["probe"]
        self.assertEqual(found["error"], "the probe failed: ValueError")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_one_that_does_not_answer_is_not_waited_for(self) -> None:
        async def never() -> Any:
            await Deferred()

        self.patch(self.adapter, "probe", never)
        for params, seconds in (
            ({}, methods.PROBE_SECONDS), ({"timeoutMs": 2000}, 2.0),
            ({"timeoutMs": 10_000_000}, methods.MAX_PROBE_SECONDS), ({"timeoutMs": 0}, 0.1),
        ):  # fmt: skip
            asked = self.begin("channels.status", probe=True, **params)
            self.clock.advance(seconds - 0.05)
            self.assertNoResult(asked)
            self.clock.advance(0.05)
            answer = self.successResultOf(asked)
            rows = {row["accountId"]: row for row in answer["channelAccounts"]["toy"]}
            self.assertIn(f"no answer within {seconds:g} s", rows["default"]["probe"]["error"])
            self.assertTrue(rows["work"]["probe"]["ok"])

    def test_of_one_channel(self) -> None:
        self.assertEqual(len(self.rows(channel="toy")), 2)
        self.assertEqual(self.call("channels.status", channel="other")["channelAccounts"], {})


class Logins(ConversationCase):
    """`web.login.start`, `web.login.wait` and `channels.logout`."""

    def setUp(self) -> None:
        super().setUp()
        can = replace(ToyAdapter.capabilities, login=True)
        self.patch(ToyAdapter, "capabilities", can)

    def test_a_code_to_scan_and_then_it_is_connected(self) -> None:
        self.adapter.login.append(LoginStep(message="scan this", qr="text-of-the-code"))
        begun = self.call("web.login.start")
        self.assertEqual((begun["connected"], begun["qr"]), (False, "text-of-the-code"))
        self.assertTrue(begun["qrDataUrl"].startswith("data:image/png;base64,"))
        self.adapter.login.append(LoginStep(message="done", connected=True))
        lives = len(self.adapter.lives)
        self.adapter.lives[-1].callback(None)  # it was not linked
        done = self.call("web.login.wait")
        self.assertEqual((done["connected"], done["message"]), (True, "done"))
        self.clock.advance(0)
        self.assertEqual(len(self.adapter.lives), lives + 1)

    def test_the_code_on_the_screen_is_recognised(self) -> None:
        known: list[str | None] = []

        def step(shown: str | None) -> LoginStep:
            known.append(shown)
            return LoginStep(message="wait", qr="second")

        self.adapter.login.extend([LoginStep(message="scan", qr="first"), step, step, step])
        begun = self.call("web.login.start")
        self.call("web.login.wait", currentQrDataUrl=begun["qrDataUrl"])
        self.call("web.login.wait", currentQrDataUrl=begun["qrDataUrl"])  # that was the first
        self.call("web.login.wait")
        self.assertEqual(known, ["first", None, None])

    def test_a_code_to_type_in(self) -> None:
        self.adapter.login.append(LoginStep(message="type this in", code="ABCD-1234"))
        self.assertEqual(self.call("web.login.start", phone="+49123")["code"], "ABCD-1234")

    def test_one_that_fails_says_why(self) -> None:
        async def fail(**_: Any) -> Any:
            raise LoginProblem("Node is missing; install it")

        self.patch(self.adapter, "login_start", fail)
        problem = self.refusal("web.login.start")
        self.assertEqual(problem.message, "Node is missing; install it")

    def test_a_login_that_ends_after_the_account_was_exchanged_starts_nothing(self) -> None:
        old = self.adapter
        ends: Deferred[Any] = Deferred()

        async def wait(seconds: float, shown: str | None = None) -> Any:
            return await ends

        self.patch(old, "login_wait", wait)
        waiting = self.begin("web.login.wait")
        self.settings = {"default": OPEN | {"token": "other"}}
        self.do(self.channels.follow(self.parsed()))
        ends.callback(LoginStep(message="done", connected=True))
        self.successResultOf(waiting)
        self.assertIsNot(self.adapter, old)
        self.assertEqual((len(old.lives), len(self.adapter.lives)), (1, 1))

    def test_a_channel_that_has_none(self) -> None:
        self.patch(ToyAdapter, "capabilities", replace(ToyAdapter.capabilities, login=False))
        self.assertIn("none is configured", self.refusal("web.login.start").message)
        problem = self.refusal("web.login.wait", channel="toy")
        self.assertIn("it has a token in the configuration", problem.message)

    def test_out(self) -> None:
        done = self.call("channels.logout", channel="toy")
        self.assertEqual(
            done, {"channel": "toy", "accountId": "default", "cleared": True, "loggedOut": True}
        )
        self.assertEqual(self.account().status.health, "logged-out")

    def test_out_of_nothing(self) -> None:
        async def fail() -> bool:
            raise LoginProblem("nobody is logged in")

        self.patch(self.adapter, "logout", fail)
        problem = self.refusal("channels.logout", channel="toy")
        self.assertEqual(problem.message, "nobody is logged in")
        self.assertTrue(self.account().status.running)


class Pairing(ConversationCase):
    """`channel.pair.*`."""

    settings = {"default": {}}  # noqa: RUF012

    def ask(self) -> str:
        self.hear(direct(1, "let me in"))
        (row,) = self.call("channel.pair.list")["pending"]
        return str(row["code"])

    def test_who_waits(self) -> None:
        code = self.ask()
        (row,) = self.call("channel.pair.list", channel="toy")["pending"]
        self.assertEqual(
            row,
            {
                "channel": "toy", "accountId": "default", "sender": "1001", "name": "Alice",
                "ts": self.clock.now_ms(), "code": code,
            },
        )  # fmt: skip
        nobody = {"pending": [], "approved": []}
        self.assertEqual(self.call("channel.pair.list", channel="other"), nobody)

    def test_approved_they_are_told_and_answered(self) -> None:
        done = self.call("channel.pair.approve", code=self.ask())
        self.assertEqual((done["sender"], done["decision"]), ("1001", "approved"))
        self.assertEqual(self.sent[1:], ["You are in. What can I do for you?"])
        self.assertEqual([one.decision for one in self.events.named("channel.pair.resolved")],
                         ["approved"])  # fmt: skip
        (row,) = self.call("channel.pair.list")["approved"]
        self.assertNotIn("code", row)
        self.hear(direct(2, "hello"))
        self.assertEqual(len(self.turns), 1)

    def test_a_wrong_code(self) -> None:
        self.ask()
        problem = self.refusal("channel.pair.approve", code="WRONG", channel="toy")
        self.assertIn("code: nobody waits on toy with this code", problem.message)

    def test_rejected_they_are_told_nothing(self) -> None:
        self.call("channel.pair.reject", code=self.ask())
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.call("channel.pair.list"), {"pending": [], "approved": []})

    def test_removed_they_are_strangers_again(self) -> None:
        self.call("channel.pair.approve", code=self.ask())
        done = self.call("channel.pair.remove", channel="toy", sender="1001")
        self.assertEqual(done["decision"], "removed")
        self.hear(direct(2, "hello"))
        self.assertEqual(self.turns, [])
        problem = self.refusal("channel.pair.remove", channel="toy", sender="1001")
        self.assertIn("is not approved for toy (default)", problem.message)
