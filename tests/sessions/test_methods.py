"""`chat.*` and `sessions.*` as clients call them, with a real store and real runs."""

from __future__ import annotations

import inspect
import json
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool

from clawgw.methods import MethodTable
from clawgw.protocol.errors import RequestError
from clawgw.protocol.frames import encode
from clawgw.sessions.messages import assistant_message, new_message, one_line, user_message
from clawgw.sessions.methods import ChatMethods, SessionMethods
from clawgw.store import messages as message_table
from tests.agents.harness import RunsTestCase, text_of
from tests.protocol import recorded
from tests.support.memory import Caller

MAIN = "agent:main:main"


class MethodsTestCase(RunsTestCase):
    """Calls methods the way the router does: JSON in, JSON out."""

    def setUp(self) -> None:
        """Register the methods; `later` is how far the clock has been put forward."""
        self.later = 0
        super().setUp()
        self.table = MethodTable()
        ChatMethods(
            self.database, self.book, self.runs, self.recorder, self.in_thread, self.now_ms
        ).register(self.table)
        SessionMethods(
            self.database,
            self.book,
            self.runs,
            lambda agent_id, session_id: self.acp[agent_id].forget_session(session_id),
            self.now_ms,
        ).register(self.table)

    def in_thread(self, work: Any, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.pool, work, *args)

    def now_ms(self) -> int:
        return super().now_ms() + self.later

    async def raw(self, name: str, version: int = 4, **params: Any) -> bytes:
        """The bytes of an answer."""
        method = self.table.find(name)
        decoded = method.decoder.decode(json.dumps(params).encode())
        result = method.handler(Caller(version=version), decoded)
        if inspect.isawaitable(result):
            result = await result
        return result if isinstance(result, bytes) else encode(result)

    async def call(self, name: str, version: int = 4, **params: Any) -> Any:
        """An answer."""
        return json.loads(await self.raw(name, version, **params))

    async def refusal(self, name: str, **params: Any) -> RequestError:
        """Why a call was refused."""
        try:
            answer = await self.call(name, **params)
        except RequestError as problem:
            return problem
        raise AssertionError(f"it was not refused: {answer}")

    async def say(self, *texts: str, key: str = "main") -> None:
        """Put messages into a transcript: by a person, by an agent, and so on."""
        name = self.book.keys.parse(key)

        def change(connection: Any) -> bool:
            existed = self.book.get(name.key) is not None
            self.book.ensure(connection, name.key, name.agent_id, self.now_ms())
            for number, text in enumerate(texts):
                body = (
                    assistant_message(text, self.now_ms())
                    if number % 2
                    else user_message(text, self.now_ms(), "run")
                )
                message_table.append(connection, name.key, new_message(body), one_line(text))
            return existed

        if not await self.database.write(change):
            self.book.created(name.agent_id)
        self.book.changed(name.key, name.agent_id, "message")

    def changes(self) -> list[tuple[str, str]]:
        """Keys and reasons of the `sessions.changed` events so far."""
        return [(one["sessionKey"], one["reason"]) for one in self.recorder.of("sessions.changed")]

    def missing(self, version: int, flow: str, method: str, ours: Any) -> list[str]:
        """Fields of the recorded answer that ours has not."""
        asked = {
            line.frame["id"]
            for line in recorded.flow(version, flow)
            if line.frame.get("method") == method
        }
        answers = [
            line.frame["payload"]
            for line in recorded.flow(version, flow)
            if line.frame["type"] == "res" and line.frame["id"] in asked
        ]
        self.assertTrue(answers)
        return recorded.missing_fields(ours, answers[0])


class HistoryTests(MethodsTestCase):
    """`chat.history`."""

    async def test_version_3(self) -> None:
        await self.say("hello", "hi")
        history = await self.call("chat.history", 3, sessionKey="main", limit=20)
        self.assertEqual(self.missing(3, "chat.history", "chat.history", history), [])
        self.assertEqual(set(history), {"sessionKey", "sessionId", "messages", "thinkingLevel"})
        self.assertEqual((history["sessionKey"], history["thinkingLevel"]), ("main", "off"))
        self.assertEqual([text_of(one) for one in history["messages"]], ["hello", "hi"])
        self.assertNotIn("__openclaw", history["messages"][0])

    async def test_version_4(self) -> None:
        await self.say("hello", "hi")
        history = await self.call("chat.history", sessionKey="main")
        self.assertEqual([one["__openclaw"]["seq"] for one in history["messages"]], [1, 2])
        self.assertEqual((history["hasMore"], history["totalMessages"]), (False, 2))
        self.assertEqual(history["pendingInputs"], {"items": [], "total": 0})
        self.assertEqual(history["sessionInfo"]["key"], MAIN)
        self.assertNotIn("inFlightRun", history)

    async def test_no_session_yet(self) -> None:
        old = await self.call("chat.history", 3, sessionKey="main")
        self.assertEqual(old, {"sessionKey": "main", "messages": [], "thinkingLevel": "off"})
        new = await self.call("chat.history", sessionKey="main")
        self.assertEqual((new["messages"], new["hasMore"], new["totalMessages"]), ([], False, 0))
        self.assertIsNone(self.book.get(MAIN), "asking makes no session")

    async def test_pages(self) -> None:
        await self.say(*(f"message {number}" for number in range(10)))

        async def page(**how: int) -> tuple[list[str], bool]:
            history = await self.call("chat.history", sessionKey="main", **how)
            self.assertEqual(history["totalMessages"], 10)
            return [text_of(one)[-1] for one in history["messages"]], history["hasMore"]

        self.assertEqual(await page(limit=3), (["7", "8", "9"], True))
        self.assertEqual(await page(limit=3, offset=3), (["4", "5", "6"], True))
        self.assertEqual(await page(limit=3, offset=8), (["0", "1"], False))
        self.assertEqual(await page(limit=10), ([*"0123456789"], False))
        self.assertEqual(await page(limit=3, offset=50), ([], False))

    async def test_what_came_since(self) -> None:
        await self.say("one", "two")
        cursor = (await self.call("chat.history", sessionKey="main"))["deltaCursor"]
        nothing = await self.call("chat.history", sessionKey="main", cursor=cursor)
        self.assertEqual((nothing["kind"], nothing["messages"]), ("delta", []))
        await self.say("three")
        delta = await self.call("chat.history", sessionKey="main", cursor=cursor)
        self.assertEqual([text_of(one) for one in delta["messages"]], ["three"])
        self.assertEqual(delta["sessionInfo"]["key"], MAIN)
        again = await self.call("chat.history", sessionKey="main", cursor=delta["deltaCursor"])
        self.assertEqual(again["messages"], [])

    async def test_a_cursor_that_no_longer_holds(self) -> None:
        await self.say("one")
        cursor = (await self.call("chat.history", sessionKey="main"))["deltaCursor"]
        await self.call("sessions.reset", key="main")
        for stale in (cursor, "nonsense", "", "eyJ4IjoxfQ"):
            answer = await self.call("chat.history", sessionKey="main", cursor=stale)
            self.assertEqual(answer, {"kind": "reset"})
        other = await self.call("chat.history", sessionKey="nobody", cursor=cursor)
        self.assertEqual(other, {"kind": "reset"})

    async def test_version_3_knows_no_cursor(self) -> None:
        await self.say("one")
        history = await self.call("chat.history", 3, sessionKey="main", cursor="x")
        self.assertEqual(len(history["messages"]), 1)

    async def test_long_messages_cut(self) -> None:
        await self.say("x" * 1000)
        history = await self.call("chat.history", sessionKey="main", maxChars=100)
        text = text_of(history["messages"][0])
        self.assertTrue(text.startswith("x" * 100))
        self.assertIn("truncated", text)
        self.assertLess(len(text), 130)

    async def test_an_answer_a_client_can_take(self) -> None:
        """However large a transcript is, the newest messages come, and fit."""
        await self.say(*("x" * 900_000 for _ in range(12)))
        raw = await self.raw("chat.history", sessionKey="main")
        history = json.loads(raw)
        self.assertLess(len(raw), 7 * 1024 * 1024)
        self.assertEqual(history["messages"][-1]["__openclaw"]["seq"], 12)
        self.assertTrue(history["hasMore"])

    async def test_a_run_that_is_going_on(self) -> None:
        await self.send("SLOW", "run-1")
        await self.until(lambda: self.recorder.chat("delta"))
        history = await self.call("chat.history", sessionKey="main")
        flight = history["inFlightRun"]
        self.assertEqual(flight["runId"], "run-1")
        self.assertTrue(flight["text"].startswith("word0"))
        self.assertTrue(history["sessionInfo"]["hasActiveRun"])
        old = await self.call("chat.history", 3, sessionKey="main")
        self.assertNotIn("inFlightRun", old)
        await self.call("chat.abort", sessionKey="main")
        history = await self.call("chat.history", sessionKey="main")
        self.assertNotIn("inFlightRun", history)


class ChatTests(MethodsTestCase):
    """`chat.send`, `chat.abort`, `chat.inject`."""

    async def test_send(self) -> None:
        answer = await self.call(
            "chat.send", sessionKey="main", message="hello", idempotencyKey="run-1"
        )
        self.assertEqual(answer, {"runId": "run-1", "status": "started"})
        self.assertEqual(text_of(self.transcript()[0]), "hello", "accepted means stored")
        await self.runs.wait("run-1", 20_000)
        self.assertEqual(text_of(self.transcript()[1]), "echo: hello")

    async def test_send_with_a_file(self) -> None:
        attachment = {"mimeType": "image/png", "fileName": "crab.png", "content": "eA=="}
        await self.call(
            "chat.send",
            sessionKey="main",
            message="",
            idempotencyKey="run-1",
            attachments=[attachment],
        )
        await self.runs.wait("run-1", 20_000)
        self.assertEqual(text_of(self.transcript()[1]), "echo: <image>")

    async def test_what_is_not_sent(self) -> None:
        ask = {"sessionKey": "main", "idempotencyKey": "run-1"}
        empty = await self.refusal("chat.send", message="  \n", **ask)
        self.assertIn("message", empty.message)
        attachment = {"content": "***"}
        file = await self.refusal("chat.send", message="x", attachments=[attachment], **ask)
        self.assertIn("attachments/0", file.message)
        await self.say("hello")
        stale = await self.refusal("chat.send", message="x", sessionId="another", **ask)
        self.assertIn("sessionId", stale.message)
        agent = await self.refusal("chat.send", message="x", agentId="nobody", **ask)
        self.assertEqual(agent.shape.details, {"code": "UNKNOWN_AGENT_ID"})
        self.assertEqual(len(self.transcript()), 1)

    async def test_abort(self) -> None:
        nothing = await self.call("chat.abort", sessionKey="main", runId="run-1")
        self.assertEqual(nothing, {"ok": True, "aborted": False, "runIds": []})
        await self.send("SLOW", "run-1")
        await self.send("hello", "run-2")
        await self.until(lambda: self.recorder.chat("delta"))
        answer = await self.call("chat.abort", sessionKey="main", runId="run-1")
        self.assertEqual(answer, {"ok": True, "aborted": True, "runIds": ["run-1"]})
        self.assertEqual(self.missing(4, "chat.abort", "chat.abort", answer), [])
        other = await self.runs.wait("run-2", 20_000)
        assert other is not None
        self.assertEqual(other.state, "ok", "only the one that was named")

    async def test_abort_all_of_a_session(self) -> None:
        await self.send("SLOW", "run-1")
        await self.send("hello", "run-2")
        await self.send("SLOW", "run-3", key="other")
        await self.until(lambda: self.recorder.chat("delta"))
        answer = await self.call("chat.abort", sessionKey="main")
        self.assertEqual(sorted(answer["runIds"]), ["run-1", "run-2"])
        self.assertEqual(self.runs.counts(), (1, 0))
        await self.call("chat.abort", sessionKey="other")

    async def test_inject(self) -> None:
        await self.say("hello")
        for version in (3, 4):
            answer = await self.call(
                "chat.inject", version, sessionKey="main", message="A note.", label="note"
            )
            self.assertEqual(self.missing(version, "chat.inject", "chat.inject", answer), [])
        last = self.transcript()[-1]
        self.assertEqual(last["__openclaw"]["id"], answer["messageId"])
        self.assertEqual(text_of(last), "[note]\n\nA note.")
        self.assertEqual((last["role"], last["stopReason"]), ("assistant", "injected"))
        _, event = self.recorder.chat("final")
        self.assertEqual(event["runId"], f"inject-{answer['messageId']}")
        self.assertEqual((event["sessionKey"], event["agentId"]), (MAIN, "main"))
        self.assertEqual(text_of(event["message"]), "[note]\n\nA note.")
        old = [payload for name, payload in self.recorder.old if name == "chat"][-1]
        self.assertEqual(old["sessionKey"], "main")
        self.assertNotIn("agentId", old)

    async def test_inject_without_a_label_or_a_session(self) -> None:
        nowhere = await self.refusal("chat.inject", sessionKey="main", message="x")
        self.assertIn("sessionKey", nowhere.message)
        self.assertIsNone(self.book.get(MAIN))
        await self.say("hello")
        await self.call("chat.inject", sessionKey="main", message="A note.", label=" ")
        self.assertEqual(text_of(self.transcript()[-1]), "A note.")


class ListTests(MethodsTestCase):
    """`sessions.list`."""

    agents = {**RunsTestCase.agents, "crab": ["no such program"]}  # noqa: RUF012

    async def keys(self, **params: Any) -> list[str]:
        return [row["key"] for row in (await self.call("sessions.list", **params))["sessions"]]

    async def make(self, *keys: str) -> None:
        """Sessions, the first the oldest, a second apart."""
        for key in keys:
            self.later += 1000
            await self.say("hello", key=key)

    async def test_version_3(self) -> None:
        await self.make("main")
        await self.call("sessions.patch", key="main", label="Main")
        listed = await self.call(
            "sessions.list", 3, limit=5, includeLastMessage=True, includeDerivedTitles=True
        )
        self.assertEqual(set(listed), {"ts", "path", "count", "defaults", "sessions"})
        row = listed["sessions"][0]
        self.assertLessEqual({"key", "kind", "updatedAt", "sessionId"}, set(row))
        self.assertEqual((row["kind"], row["chatType"], row["label"]), ("direct", "direct", "Main"))
        self.assertEqual(row["lastMessagePreview"], "hello")

    async def test_version_4(self) -> None:
        await self.make("main", "two", "three")
        listed = await self.call("sessions.list", limit=2)
        self.assertEqual((listed["count"], listed["totalCount"]), (2, 3))
        self.assertEqual((listed["limitApplied"], listed["nextOffset"]), (2, 2))
        self.assertTrue(listed["hasMore"])
        self.assertEqual(listed["owners"], [])
        rest = await self.call("sessions.list", limit=2, offset=2)
        self.assertEqual((rest["count"], rest["hasMore"], rest["nextOffset"]), (1, False, None))
        self.assertTrue(rest["sessions"][0]["isMain"])
        self.assertNotIn("isMain", listed["sessions"][0])

    async def test_the_latest_first(self) -> None:
        await self.make("one", "two", "three")
        await self.make("one")
        self.assertEqual(
            await self.keys(), ["agent:main:one", "agent:main:three", "agent:main:two"]
        )

    async def test_filters(self) -> None:
        await self.make("one", "agent:crab:two", "three")
        await self.call("sessions.patch", key="one", label="Home", spawnedBy="agent:main:three")
        await self.call("sessions.patch", key="three", archived=True)
        self.assertEqual(await self.keys(), ["agent:main:one", "agent:crab:two"])
        self.assertEqual(await self.keys(agentId="crab"), ["agent:crab:two"])
        self.assertEqual(await self.keys(label="Home"), ["agent:main:one"])
        self.assertEqual(await self.keys(label="home sweet home"), [])
        self.assertEqual(await self.keys(spawnedBy="agent:main:three"), ["agent:main:one"])
        self.assertEqual(await self.keys(archived=True), ["agent:main:three"])
        self.assertEqual(len(await self.keys(archived="all")), 3)
        self.assertEqual(await self.keys(search="OM"), ["agent:main:one"])
        self.assertEqual(await self.keys(search="crab:t"), ["agent:crab:two"])
        self.assertEqual(await self.keys(search="%"), [])
        self.assertEqual(len(await self.keys(search="  ")), 2)

    async def test_totals_follow_the_filter(self) -> None:
        await self.make("one", "agent:crab:two", "three")
        await self.call("sessions.patch", key="three", archived=True)

        async def total(**params: Any) -> int:
            listed = await self.call("sessions.list", limit=1, **params)
            number: int = listed["totalCount"]
            return number

        self.assertEqual(await total(), 2)
        self.assertEqual(await total(archived=True), 1)
        self.assertEqual(await total(archived="all"), 3)
        self.assertEqual(await total(agentId="crab"), 1)
        self.assertEqual(await total(search="agent"), 2)
        await self.call("sessions.delete", key="three")
        self.assertEqual(await total(archived="all"), 2)

    async def test_titles_and_previews_only_where_asked_for(self) -> None:
        await self.ask("What is a crab?", "run-1")
        (plain,) = (await self.call("sessions.list"))["sessions"]
        self.assertNotIn("derivedTitle", plain)
        self.assertNotIn("lastMessagePreview", plain)
        listed = await self.call(
            "sessions.list", includeDerivedTitles=True, includeLastMessage=True
        )
        (full,) = listed["sessions"]
        self.assertEqual(full["derivedTitle"], "What is a crab?")
        self.assertEqual(full["lastMessagePreview"], "echo: What is a crab?")
        self.assertEqual((full["status"], full["totalTokens"]), ("done", 8))

    async def test_a_run_shows(self) -> None:
        await self.send("SLOW", "run-1")
        await self.until(lambda: self.recorder.chat("delta"))
        (row,) = (await self.call("sessions.list"))["sessions"]
        self.assertEqual((row["status"], row["hasActiveRun"]), ("running", True))
        await self.call("chat.abort", sessionKey="main")
        (row,) = (await self.call("sessions.list"))["sessions"]
        self.assertEqual((row["status"], row["abortedLastRun"]), ("killed", True))
        self.assertFalse(row.get("hasActiveRun"))

    async def test_interaction_is_what_a_person_did(self) -> None:
        await self.make("note")
        await self.ask("hello", "run-1", key="talk")
        await self.make("note")
        self.assertEqual(await self.keys(requireLastInteraction=True), ["agent:main:talk"])
        self.assertEqual((await self.keys(sortBy="lastInteractionAt"))[0], "agent:main:talk")


class CachedListTests(MethodsTestCase):
    """The same list again, while nothing changed, and after something did."""

    async def listed(self, **params: Any) -> dict[str, Any]:
        """A list without its time."""
        answer = await self.call("sessions.list", **params)
        del answer["ts"]
        return answer

    async def test_the_same_bytes_with_the_time_of_now(self) -> None:
        await self.say("hello")
        first = await self.raw("sessions.list")
        self.later += 5000
        self.patch(self.database, "read", self.fail)
        self.patch(self.database, "read_in_thread", self.fail)
        second = await self.raw("sessions.list")
        self.assertEqual(first[first.index(b",") :], second[second.index(b",") :])
        times = [json.loads(one)["ts"] for one in (first, second)]
        self.assertGreaterEqual(times[1] - times[0], 5000)

    async def test_another_question_is_another_list(self) -> None:
        await self.say("hello")
        await self.say("hello", key="two")
        self.assertEqual((await self.listed())["count"], 2)
        self.assertEqual((await self.listed(limit=1))["count"], 1)
        self.assertEqual((await self.listed(agentId="main", limit=1, offset=1))["count"], 1)
        self.assertNotIn("totalCount", await self.listed(version=3))
        self.assertIn("totalCount", await self.listed())

    async def test_every_change_shows(self) -> None:
        await self.say("hello", "hi", "there", key="one")
        changes: list[tuple[str, dict[str, Any]]] = [
            ("sessions.patch", {"key": "one", "label": "New"}),
            ("sessions.patch", {"key": "brand-new"}),
            ("chat.inject", {"sessionKey": "one", "message": "A note."}),
            ("sessions.reset", {"key": "one"}),
            ("sessions.patch", {"key": "one", "archived": True}),
            ("sessions.delete", {"key": "brand-new"}),
            ("chat.send", {"sessionKey": "main", "message": "x", "idempotencyKey": "run-1"}),
        ]
        for method, params in changes:
            before = await self.listed(includeLastMessage=True)
            self.assertEqual(await self.listed(includeLastMessage=True), before)
            self.later += 1000
            await self.call(method, **params)
            self.assertNotEqual(await self.listed(includeLastMessage=True), before, method)
        await self.runs.wait("run-1", 20_000)
        (row, *_) = (await self.listed(includeLastMessage=True))["sessions"]
        self.assertEqual((row["status"], row["lastMessagePreview"]), ("done", "echo: x"))

    async def test_a_list_of_those_active_lately_is_never_old(self) -> None:
        await self.say("hello")
        self.assertEqual((await self.listed(activeMinutes=5))["count"], 1)
        self.later += 6 * 60_000
        self.assertEqual((await self.listed(activeMinutes=5))["count"], 0)
        self.assertEqual((await self.listed(activeMinutes=10))["count"], 1)

    async def test_a_failed_change_changes_nothing(self) -> None:
        await self.say("hello")
        before = await self.listed()
        await self.refusal("sessions.delete", key="main")
        await self.call("sessions.delete", key="nobody")
        self.assertEqual(await self.listed(), before)
        self.assertEqual(self.changes(), [(MAIN, "message")])


class LookTests(MethodsTestCase):
    """`sessions.preview` and `sessions.resolve`."""

    agents = {**RunsTestCase.agents, "crab": ["no such program"]}  # noqa: RUF012

    async def test_preview(self) -> None:
        await self.say("Say hello.", "Hello " + "x" * 500)
        await self.call("sessions.patch", key="empty")
        answer = await self.call("sessions.preview", keys=["main", "empty", "agent:main:nobody"])
        self.assertEqual(self.missing(4, "sessions", "sessions.preview", answer), [])
        full, empty, nobody = answer["previews"]
        self.assertEqual((full["key"], full["status"]), ("main", "ok"))
        self.assertEqual(full["items"][0], {"role": "user", "text": "Say hello."})
        self.assertLessEqual(len(full["items"][1]["text"]), 240)
        self.assertEqual((empty["status"], empty["items"]), ("empty", []))
        self.assertEqual((nobody["status"], nobody["items"]), ("missing", []))

    async def test_preview_limits(self) -> None:
        await self.say(*(f"message {number} " + "x" * 50 for number in range(30)))
        (preview,) = (await self.call("sessions.preview", keys=["main"]))["previews"]
        self.assertEqual(len(preview["items"]), 12)
        answer = await self.call("sessions.preview", keys=["main"], limit=2, maxChars=20)
        (preview,) = answer["previews"]
        self.assertEqual(
            [item["text"][:10] for item in preview["items"]], ["message 28", "message 29"]
        )
        self.assertTrue(all(len(item["text"]) <= 20 for item in preview["items"]))

    async def test_resolve_each_way(self) -> None:
        await self.say("hello")
        await self.call("sessions.patch", key="main", label="Home")
        session = self.book.get(MAIN)
        assert session is not None
        for way in (
            {"key": "main"},
            {"key": MAIN},
            {"sessionId": session.session_id},
            {"label": "Home"},
        ):
            answer = await self.call("sessions.resolve", **way)
            self.assertEqual(answer, {"ok": True, "key": MAIN, "agentId": "main"})
            old = await self.call("sessions.resolve", 3, **way)
            self.assertEqual(old, {"ok": True, "key": MAIN})
        self.assertEqual(self.missing(4, "sessions", "sessions.resolve", answer), [])

    async def test_resolve_what_cannot_be(self) -> None:
        await self.say("hello")
        for ways in ({}, {"key": "main", "label": "Home"}, {"sessionId": "x", "label": "y"}):
            problem = await self.refusal("sessions.resolve", **ways)
            self.assertIn("exactly one of", problem.message)
        for missing in ({"key": "nobody"}, {"sessionId": "x"}, {"label": "Home"}):
            problem = await self.refusal("sessions.resolve", **missing)
            self.assertIn("no such session", problem.message)
            answer = await self.call("sessions.resolve", allowMissing=True, **missing)
            self.assertEqual(answer, {"ok": False})

    async def test_resolve_for_an_agent(self) -> None:
        await self.say("hello")
        await self.call("sessions.patch", key="main", label="Home")
        for how in ({"label": "Home"}, {"key": "main"}):
            problem = await self.refusal("sessions.resolve", agentId="crab", **how)
            self.assertIn("no such session", problem.message)
        answer = await self.call("sessions.resolve", agentId="main", label="Home")
        self.assertTrue(answer["ok"])

    async def test_an_agent_there_is_not(self) -> None:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("sessions.resolve", {"key": "agent:nobody:main"}),
            ("sessions.patch", {"key": "main", "agentId": "nobody"}),
            ("sessions.reset", {"key": "agent:nobody:x"}),
            ("sessions.delete", {"key": "agent:nobody:x"}),
            ("sessions.compact", {"key": "agent:nobody:x"}),
            ("sessions.preview", {"keys": ["agent:nobody:x"]}),
            ("chat.history", {"sessionKey": "agent:nobody:main"}),
            ("chat.inject", {"sessionKey": "agent:nobody:main", "message": "x"}),
            ("chat.abort", {"sessionKey": "agent:nobody:main"}),
        ]
        for method, params in calls:
            problem = await self.refusal(method, **params)
            self.assertEqual(problem.shape.details, {"code": "UNKNOWN_AGENT_ID"}, method)
            self.assertIn("nobody", problem.message)


class ChangeTests(MethodsTestCase):
    """`sessions.patch`, `reset`, `delete`, `compact`."""

    async def test_patch(self) -> None:
        await self.say("hello")
        answer = await self.call(
            "sessions.patch", 3, key="main", label="Main", thinkingLevel="high", model="a/b"
        )
        self.assertEqual((answer["ok"], answer["key"]), (True, MAIN))
        self.assertNotIn("resolved", answer)
        entry = answer["entry"]
        self.assertEqual((entry["label"], entry["thinkingLevel"]), ("Main", "high"))
        self.assertEqual((entry["modelProvider"], entry["chatType"]), ("a", "direct"))
        self.assertTrue(entry["systemSent"])
        history = await self.call("chat.history", 3, sessionKey="main")
        self.assertEqual(history["thinkingLevel"], "high")
        cleared = await self.call("sessions.patch", key="main", label=None, thinkingLevel=None)
        self.assertNotIn("label", cleared["entry"])
        self.assertNotIn("thinkingLevel", cleared["entry"])
        self.assertEqual(cleared["resolved"], {"modelProvider": "a", "model": "b"})
        self.assertEqual(self.changes()[-1], (MAIN, "patch"))

    async def test_patch_makes_the_session(self) -> None:
        answer = await self.call("sessions.patch", key="new", label="New")
        self.assertEqual(answer["key"], "agent:main:new")
        self.assertFalse(answer["entry"]["systemSent"])
        self.assertEqual(self.book.count(), 1)

    async def test_patch_that_cannot_be(self) -> None:
        await self.call("sessions.patch", key="one", label="Taken")
        taken = await self.refusal("sessions.patch", key="two", label="Taken")
        self.assertIn("label", taken.message)
        self.assertIsNone(self.book.get("agent:main:two"), "nothing of it was done")
        model = await self.refusal("sessions.patch", key="one", model="gpt")
        self.assertIn("model: expected provider/model", model.message)
        stale = await self.refusal("sessions.patch", key="one", expectedSessionId="x", label="Y")
        self.assertIn("expectedSessionId", stale.message)
        session = self.book.get("agent:main:one")
        assert session is not None
        self.assertEqual(session.label, "Taken")
        again = await self.call(
            "sessions.patch", key="one", expectedSessionId=session.session_id, label="Taken"
        )
        self.assertEqual(again["entry"]["label"], "Taken")

    async def test_reset(self) -> None:
        await self.ask("hello", "run-1")
        await self.call("sessions.patch", key="main", label="Main", thinkingLevel="high")
        old = self.book.get(MAIN)
        assert old is not None
        answer = await self.call("sessions.reset", key="main", reason="new")
        entry = answer["entry"]
        self.assertNotEqual(entry["sessionId"], old.session_id)
        self.assertEqual((entry["label"], entry["thinkingLevel"]), ("Main", "high"))
        self.assertEqual((entry["totalTokens"], entry["systemSent"]), (0, False))
        self.assertEqual(self.transcript(), [])
        self.assertIn("resolved", answer)
        run = await self.ask("REMEMBER", "run-2")
        self.assertEqual(run.state, "ok")
        self.assertEqual(text_of(self.transcript()[1]), "[]", "the agent begins anew too")

    async def test_reset_while_a_run_is_going_on(self) -> None:
        await self.send("SLOW", "run-1")
        await self.send("hello", "run-2")
        await self.until(lambda: self.recorder.chat("delta"))
        await self.call("sessions.reset", key="main")
        self.assertEqual(
            {one["runId"] for one in self.recorder.chat("aborted")}, {"run-1", "run-2"}
        )
        self.assertEqual(self.runs.counts(), (0, 0))
        self.assertEqual(self.transcript(), [], "nothing of the old answer is in the new session")
        run = await self.ask("still there", "run-3")
        self.assertEqual(run.state, "ok")
        self.assertEqual(len(self.transcript()), 2)

    async def test_reset_of_no_session_makes_one(self) -> None:
        answer = await self.call("sessions.reset", key="new")
        self.assertEqual(answer["key"], "agent:main:new")
        self.assertEqual(self.book.count(), 1)

    async def test_delete(self) -> None:
        await self.say("hello", key="old")
        session = self.book.get("agent:main:old")
        assert session is not None
        stale = await self.refusal("sessions.delete", key="old", expectedSessionId="x")
        self.assertIn("expectedSessionId", stale.message)
        answer = await self.call("sessions.delete", key="old", expectedSessionId=session.session_id)
        expected = {"ok": True, "key": "agent:main:old", "deleted": True, "archived": []}
        self.assertEqual(answer, expected)
        self.assertIsNone(self.book.get("agent:main:old"))
        self.assertEqual(self.book.count(), 0)
        self.assertEqual(self.stored_messages(session.session_id), 0)
        again = await self.call("sessions.delete", key="old")
        self.assertEqual(again, {**expected, "deleted": False})

    async def test_delete_but_keep_what_was_said(self) -> None:
        await self.say("hello", key="old")
        session = self.book.get("agent:main:old")
        assert session is not None
        await self.call("sessions.delete", key="old", deleteTranscript=False)
        self.assertEqual(self.stored_messages(session.session_id), 1)

    def stored_messages(self, session_id: str) -> int:
        return self.database.read(message_table.last_seq, session_id)

    async def test_delete_while_a_run_is_going_on(self) -> None:
        await self.send("SLOW", "run-1", key="old")
        await self.until(lambda: self.recorder.chat("delta"))
        answer = await self.call("sessions.delete", key="old")
        self.assertTrue(answer["deleted"])
        self.assertEqual(len(self.recorder.chat("aborted")), 1)
        self.assertEqual((await self.call("sessions.list"))["count"], 0)

    async def test_the_main_session_is_not_deleted(self) -> None:
        await self.send("SLOW", "run-1")
        await self.until(lambda: self.recorder.chat("delta"))
        for key in ("main", MAIN):
            problem = await self.refusal("sessions.delete", key=key)
            self.assertIn("main session cannot be deleted", problem.message)
        self.assertEqual(self.runs.counts(), (1, 0), "its run goes on")
        await self.call("chat.abort", sessionKey="main")

    async def test_compact(self) -> None:
        nothing = await self.call("sessions.compact", key="main")
        self.assertEqual(
            nothing, {"ok": True, "key": MAIN, "compacted": False, "reason": "no session"}
        )
        await self.say(*(f"message {number}" for number in range(10)))
        enough = await self.call("sessions.compact", key="main")
        self.assertEqual((enough["compacted"], enough["kept"]), (False, 10))
        cursor = (await self.call("chat.history", sessionKey="main"))["deltaCursor"]
        answer = await self.call("sessions.compact", key="main", maxLines=3)
        self.assertEqual(answer, {"ok": True, "key": MAIN, "compacted": True, "kept": 3})
        history = await self.call("chat.history", sessionKey="main")
        self.assertEqual([text_of(one)[-1] for one in history["messages"]], ["7", "8", "9"])
        self.assertEqual((history["totalMessages"], history["hasMore"]), (3, False))
        await self.say("next")
        delta = await self.call("chat.history", sessionKey="main", cursor=cursor)
        self.assertEqual([text_of(one) for one in delta["messages"]], ["next"])
        again = await self.call("sessions.compact", key="main", maxLines=2)
        self.assertEqual(again["kept"], 2)

    async def test_recorded_answers(self) -> None:
        """What the stock clients read of an answer is in ours."""
        await self.ask("hello", "run-1")
        patched = await self.call("sessions.patch", 3, key="main", label="Main")
        reset = await self.call("sessions.reset", 3, key="main")
        for method, ours in (("sessions.patch", patched), ("sessions.reset", reset)):
            missing = self.missing(3, "sessions", method, ours)
            model = {"modelProvider", "model", "contextTokens"}  # the agent here has none of ours
            self.assertLessEqual(set(missing), {f"entry/{name}" for name in model})

    async def test_two_at_once(self) -> None:
        """A label can be had once, also when two ask at the same moment."""
        calls = [self.call("sessions.patch", key=key, label="Home") for key in ("one", "two")]
        done = await DeferredList(
            [Deferred.fromCoroutine(one) for one in calls], consumeErrors=True
        )
        self.assertEqual(sorted(good for good, _ in done), [False, True])
