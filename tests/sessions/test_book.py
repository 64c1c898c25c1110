"""The book of sessions, and the methods over it: patching, resetting, deleting, listing."""

from __future__ import annotations

import json
from typing import Any

from msgspec import UNSET, convert
from twisted.internet.defer import execute
from twisted.trial.unittest import TestCase

from clawgw.protocol import chat as chat_wire
from clawgw.protocol import sessions as wire
from clawgw.protocol.errors import RequestError
from clawgw.protocol.frames import encode
from clawgw.sessions.book import ModelInfo, SessionBook
from clawgw.sessions.keys import SessionKeys
from clawgw.sessions.messages import new_message, user_message
from clawgw.sessions.methods import ChatMethods, SessionMethods
from clawgw.store import messages as message_table
from clawgw.store.sessions import Filter
from tests.support.memory import START_MS, Caller, MemoryDatabase, MsClock, RecordedEvents

MAIN = "agent:main:main"
NOTES = "agent:main:notes"


class FakeRuns:
    """Runs that only remember who was stopped."""

    def __init__(self) -> None:
        self.aborted: list[tuple[str, str | None]] = []

    async def abort(self, key: str, run_id: str | None, reason: str = "rpc") -> list[str]:
        self.aborted.append((key, run_id))
        return ["r"] if run_id is None else []

    def in_flight(self, key: str) -> None:
        return None


class BookTestCase(TestCase):
    """A book in memory, with two agents."""

    def setUp(self) -> None:
        self.clock = MsClock()
        self.database = MemoryDatabase()
        self.events = RecordedEvents()
        self.active: set[str] = set()
        self.runs = FakeRuns()
        self.forgotten: list[tuple[str, str]] = []
        self.book = self.open()
        self.methods = SessionMethods(
            self.database,
            self.book,
            self.runs,  # type: ignore[arg-type]
            lambda *args: self.forgotten.append(args),
            self.clock.now_ms,
        )
        self.chat = ChatMethods(
            self.database,
            self.book,
            self.runs,  # type: ignore[arg-type]
            self.events,
            in_thread=execute,
            now_ms=self.clock.now_ms,
        )

    def open(self) -> SessionBook:
        """What a new process would have."""
        keys = SessionKeys("main", ["main", "ops"])
        return SessionBook(
            self.database, keys, "/store", self.model_of, lambda: self.active, self.events,
            self.clock.now_ms,
        )  # fmt: skip

    def model_of(self, agent_id: str, choice: str | None) -> ModelInfo:
        provider, _, model = (choice or "default/small").partition("/")
        return ModelInfo(provider, model, 8000)

    async def patch_session(self, key: str = NOTES, **fields: Any) -> Any:
        params = convert({"key": key, **fields}, wire.SessionsPatchParams)
        name = self.book.keys.parse(key)
        return await self.book.patch(name.key, name.agent_id, params)

    async def refused(self, work: Any, says: str) -> None:
        with self.assertRaises(RequestError) as caught:
            await work
        self.assertIn(says, caught.exception.message)

    def say(self, key: str, *texts: str) -> None:
        for text in texts:
            message = new_message(user_message(text, self.clock.now_ms(), "r"))
            message_table.append(self.database.connection, key, message, text)
        self.book.changed(key, "main", "message")

    def counts_are_right(self) -> None:
        """What is kept in memory is what counting would find."""
        fresh = self.open()
        for agent in (None, "main", "ops"):
            self.assertEqual(self.book.count(agent), fresh.count(agent))
            for archived in (None, True, False):
                wanted = Filter(agent_id=agent, archived=archived)
                self.assertEqual(
                    self.book.count_matching(wanted), fresh.count_matching(wanted), wanted
                )


class Patching(BookTestCase):
    """`sessions.patch`."""

    async def test_makes_the_session(self) -> None:
        session = await self.patch_session(label=" My notes ")
        self.assertEqual((session.key, session.label), (NOTES, "My notes"))
        self.assertEqual(self.book.get(NOTES), session)
        self.counts_are_right()

    async def test_every_setting_is_kept_and_null_takes_it_away(self) -> None:
        settings = {
            "icon": "🦀", "color": "red", "category": "work", "statusNote": "busy",
            "attention": "flag", "contextWindow": "1m", "thinkingLevel": "high", "fastMode": "auto",
            "toolOverrides": {"webSearch": True}, "verboseLevel": "on", "traceLevel": "x",
            "reasoningLevel": "on", "responseUsage": "full", "elevatedLevel": "off",
            "execHost": "node", "execSecurity": "deny", "execAsk": "always", "execNode": "n1",
            "permissionMode": "guarded", "model": "other/large", "sendPolicy": "deny",
            "groupActivation": "mention", "inheritedToolAllow": ["a"], "inheritedToolDeny": [],
        }  # fmt: skip
        for name, value in settings.items():
            await self.patch_session(**{name: value})
        entry = self.book.entry(self.book.get(NOTES))  # type: ignore[arg-type]
        shown = {**entry, "model": "other/large"}
        self.assertEqual({name: shown[name] for name in settings}, settings)
        self.assertEqual((entry["modelProvider"], entry["model"]), ("other", "large"))
        for name in settings:
            await self.patch_session(**{name: None})
        session = self.book.get(NOTES)
        assert session is not None
        self.assertEqual(session.settings, {})
        for name, value in (("pinned", True), ("unread", False), ("boardFace", "chat")):
            await self.patch_session(**{name: value})
            session = self.book.get(NOTES)
            assert session is not None
            self.assertEqual(session.settings[name], value)

    async def test_one_setting_leaves_the_others(self) -> None:
        await self.patch_session(thinkingLevel="high", label="One")
        session = await self.patch_session(icon="x")
        self.assertEqual(session.settings, {"thinkingLevel": "high", "icon": "x"})
        self.assertEqual(session.label, "One")

    async def test_labels(self) -> None:
        await self.patch_session(label="One")
        await self.patch_session(label="One")
        await self.refused(self.patch_session("other", label="One"), "label: already in use")
        self.assertIsNone(self.book.get("agent:main:other"))
        for gone in (None, "   "):
            self.assertIsNone((await self.patch_session(label=gone)).label)
            await self.patch_session(label="One")
        await self.patch_session(label=None)
        await self.patch_session("other", label="One")
        self.counts_are_right()

    async def test_a_model_that_is_none(self) -> None:
        await self.refused(self.patch_session(model="large"), "model: expected provider/model")
        self.assertIsNone(self.book.get(NOTES))
        self.counts_are_right()

    async def test_expected_session_id(self) -> None:
        session = await self.patch_session(icon="x")
        await self.patch_session(expectedSessionId=session.session_id, icon="y")
        await self.refused(self.patch_session(expectedSessionId="old", icon="z"), "has been reset")
        self.assertEqual((await self.patch_session()).settings, {"icon": "y"})

    async def test_archiving(self) -> None:
        await self.patch_session()
        for archived in (True, True, False, True):
            self.assertIs((await self.patch_session(archived=archived)).archived, archived)
            self.counts_are_right()
        self.assertEqual(self.book.count_matching(Filter()), 0)
        self.assertEqual(self.book.count(), 1)

    async def test_whose_child_it_is(self) -> None:
        self.assertEqual((await self.patch_session(spawnedBy=MAIN)).spawned_by, MAIN)
        self.assertIsNone((await self.patch_session(spawnedBy=None)).spawned_by)

    async def test_tells_version_4(self) -> None:
        await self.patch_session()
        (event,) = self.events.published
        self.assertEqual((event.name, event.only_version), ("sessions.changed", 4))
        self.assertEqual((event.payload.session_key, event.payload.reason), (NOTES, "patch"))


class ResettingAndDeleting(BookTestCase):
    """`sessions.reset`, `sessions.delete`, `sessions.compact`."""

    async def test_reset_begins_anew_and_keeps_settings(self) -> None:
        old = await self.patch_session(thinkingLevel="high", label="One")
        self.say(NOTES, "a", "b")
        new = await self.book.reset(NOTES, "main")
        self.assertNotEqual(new.session_id, old.session_id)
        self.assertEqual((new.message_count, new.last_seq, new.preview), (0, 0, None))
        self.assertEqual((new.settings, new.label), ({"thinkingLevel": "high"}, "One"))
        self.say(NOTES, "c")
        self.counts_are_right()

    async def test_reset_of_one_that_is_not_there_makes_it(self) -> None:
        await self.book.reset(NOTES, "main")
        self.assertEqual(self.book.count(), 1)
        self.counts_are_right()

    async def test_delete(self) -> None:
        for archived in (False, True):
            session = await self.patch_session(archived=archived)
            self.say(NOTES, "a")
            deleted = await self.book.delete(NOTES, "main", None, with_transcript=True)
            self.assertIs(deleted, True)
            self.assertIsNone(self.book.get(NOTES))
            last = message_table.last_seq(self.database.connection, session.session_id)
            self.assertEqual(last, 0)
            self.counts_are_right()
        again = await self.book.delete(NOTES, "main", None, with_transcript=True)
        self.assertIs(again, False)
        self.counts_are_right()

    async def test_delete_but_keep_what_was_said(self) -> None:
        session = await self.patch_session()
        self.say(NOTES, "a")
        await self.book.delete(NOTES, "main", None, with_transcript=False)
        last = message_table.last_seq(self.database.connection, session.session_id)
        self.assertEqual(last, 1)

    async def test_a_main_session_stays(self) -> None:
        for key in (MAIN, "agent:ops:main"):
            await self.patch_session(key)
            work = self.book.delete(key, key.split(":")[1], None, with_transcript=True)
            await self.refused(work, "cannot be deleted; reset it")
            self.assertIsNotNone(self.book.get(key))
        params = wire.SessionsDeleteParams(key="main")
        await self.refused(self.methods.delete(Caller(), params), "cannot be deleted")
        self.assertEqual(self.runs.aborted, [])

    async def test_not_the_one_that_was_meant(self) -> None:
        await self.patch_session()
        work = self.book.delete(NOTES, "main", "old", with_transcript=True)
        await self.refused(work, "has been reset")
        self.assertIsNotNone(self.book.get(NOTES))

    async def test_what_runs_is_stopped_first(self) -> None:
        session = await self.patch_session()
        await self.methods.reset(Caller(), wire.SessionsResetParams(key="notes"))
        await self.methods.delete(Caller(), wire.SessionsDeleteParams(key="notes"))
        self.assertEqual(self.runs.aborted, [(NOTES, None)] * 2)
        self.assertEqual(self.forgotten[0], ("main", session.session_id))
        self.assertEqual(len(self.forgotten), 2)

    async def test_compact(self) -> None:
        await self.patch_session()
        self.say(NOTES, *"abcde")
        for keep, compacted, kept in ((3, True, 3), (3, False, 3), (9, False, 3), (1, True, 1)):
            params = wire.SessionsCompactParams(key="notes", max_lines=keep)
            done = await self.methods.compact(Caller(), params)
            self.assertEqual((done.compacted, done.kept), (compacted, kept))
        params = wire.SessionsCompactParams(key="nobody")
        nothing = await self.methods.compact(Caller(), params)
        self.assertEqual((nothing.compacted, nothing.reason), (False, "no session"))


class Listing(BookTestCase):
    """`sessions.list`."""

    def listed(self, version: int = 4, **fields: Any) -> dict[str, Any]:
        """The answer as a client reads it; only for listings that need no thread."""
        params = convert(fields, wire.SessionsListParams)
        answer = self.methods.list_sessions(Caller(version=version), params)
        value: dict[str, Any] = json.loads(answer)
        return value

    async def scanned(self, **fields: Any) -> dict[str, Any]:
        params = convert(fields, wire.SessionsListParams)
        answer = await self.methods.list_sessions(Caller(), params)
        value: dict[str, Any] = json.loads(encode(answer))
        return value

    def keys(self, answer: dict[str, Any]) -> list[str]:
        return [row["key"].rpartition(":")[2] for row in answer["sessions"]]

    async def fill(self, *names: str) -> None:
        for name in names:
            self.clock.advance(1)
            await self.patch_session(name)

    async def test_the_latest_first_with_paging(self) -> None:
        await self.fill(*"abcde")
        table = [
            ({"limit": 2}, "ed", True, 2),
            ({"limit": 2, "offset": 2}, "cb", True, 4),
            ({"limit": 2, "offset": 4}, "a", False, None),
            ({"limit": 5}, "edcba", False, None),
            ({"offset": 9}, "", False, None),
            ({}, "edcba", False, None),
        ]
        for fields, keys, more, following in table:
            for _ in range(2):
                answer = self.listed(**fields)
                self.assertEqual("".join(self.keys(answer)), keys)
                self.assertEqual(answer["count"], len(keys))
                self.assertEqual(answer["totalCount"], 5)
                self.assertEqual((answer["hasMore"], answer["nextOffset"]), (more, following))

    async def test_version_3_has_no_paging_fields(self) -> None:
        await self.fill("a")
        self.assertEqual(set(self.listed(3)), {"ts", "path", "count", "defaults", "sessions"})

    async def test_a_kept_answer_has_the_time_of_asking(self) -> None:
        await self.fill("a")
        first = self.listed()
        self.clock.advance(5)
        again = self.listed()
        self.assertEqual(again.pop("ts") - first.pop("ts"), 5000)
        self.assertEqual(first, again)

    async def test_no_change_is_missed(self) -> None:
        """After each kind of change the list is another one."""
        await self.fill("a", "notes")
        changes = [
            lambda: self.patch_session(label="One"),
            lambda: self.patch_session(archived=True),
            lambda: self.patch_session(archived=False),
            lambda: self.book.reset(NOTES, "main"),
            lambda: self.patch_session("new"),
            lambda: self.book.delete(NOTES, "main", None, with_transcript=True),
        ]
        shown = self.listed()["sessions"]
        for change in changes:
            self.assertEqual(self.listed()["sessions"], shown)
            self.clock.advance(1)
            await change()
            now = self.listed()["sessions"]
            self.assertNotEqual(now, shown)
            shown = now
        self.say("agent:main:new", "hello")
        (row, _) = self.listed(includeLastMessage=True)["sessions"]
        self.assertEqual(row["lastMessagePreview"], "hello")

    async def test_answers_are_kept_apart(self) -> None:
        await self.fill("a", "agent:ops:b")
        await self.patch_session("agent:ops:b", archived=True)
        for _ in range(2):
            self.assertEqual(self.keys(self.listed()), ["a"])
            self.assertEqual(self.keys(self.listed(agentId="ops")), [])
            self.assertEqual(self.keys(self.listed(archived=True)), ["b"])
            self.assertEqual(self.keys(self.listed(agentId="ops", archived=True)), ["b"])
            self.assertNotIn("hasMore", self.listed(3))

    async def test_what_was_active_lately(self) -> None:
        await self.fill("a")
        self.clock.advance(120)
        await self.fill("b")
        self.assertEqual(self.keys(self.listed(activeMinutes=1)), ["b"])
        self.assertEqual(self.keys(self.listed(activeMinutes=10)), ["b", "a"])
        self.clock.advance(61)
        self.assertEqual(self.keys(self.listed(activeMinutes=1)), [])

    async def test_what_has_to_be_looked_for_is_looked_for_in_a_thread(self) -> None:
        await self.fill("apple", "pear")
        await self.patch_session("pear", archived=True, spawnedBy=MAIN)
        table: list[tuple[dict[str, Any], list[str]]] = [
            ({"search": "APP"}, ["apple"]),
            ({"archived": "all"}, ["pear", "apple"]),
            ({"archived": "all", "limit": 1, "offset": 1}, ["apple"]),
            ({"spawnedBy": MAIN, "archived": True}, ["pear"]),
            ({"requireLastInteraction": True}, []),
            ({"sortBy": "lastInteractionAt"}, ["apple"]),
            ({"offset": 5000}, []),
        ]
        for fields, keys in table:
            self.assertEqual(self.keys(await self.scanned(**fields)), keys, fields)
        self.assertEqual((await self.scanned(archived="all", limit=1))["totalCount"], 2)

    async def test_the_number_of_answers_kept_is_bounded(self) -> None:
        await self.fill("a")
        for limit in range(1, 500):
            self.listed(limit=limit)
        self.assertLessEqual(len(self.methods._lists), 64)

    async def test_a_row(self) -> None:
        await self.patch_session("telegram:group:1", label="Family", pinned=True, model="big/one")
        self.active.add("agent:main:telegram:group:1")
        (row,) = self.listed()["sessions"]
        expected = {
            "key": "agent:main:telegram:group:1", "kind": "group", "chatType": "group",
            "label": "Family", "pinned": True, "status": "running", "hasActiveRun": True,
            "modelProvider": "big", "model": "one", "contextTokens": 8000,
            "updatedAt": START_MS, "createdAt": START_MS,
        }  # fmt: skip
        self.assertEqual({name: row[name] for name in expected}, expected)


class Finding(BookTestCase):
    """`sessions.resolve` and `sessions.preview`."""

    def resolve(self, version: int = 4, **fields: Any) -> wire.SessionResolved:
        params = convert(fields, wire.SessionsResolveParams)
        return self.methods.resolve(Caller(version=version), params)

    async def test_by_key_id_or_label(self) -> None:
        session = await self.patch_session(label="One")
        for fields in (
            {"key": "notes"},
            {"key": NOTES},
            {"sessionId": session.session_id},
            {"label": "One"},
            {"label": "One", "agentId": "main"},
        ):
            found = self.resolve(**fields)
            self.assertEqual((found.ok, found.key, found.agent_id), (True, NOTES, "main"))
        self.assertIs(self.resolve(3, key="notes").agent_id, UNSET)

    async def test_not_there(self) -> None:
        await self.patch_session(label="One")
        for fields in (
            {"key": "other"},
            {"sessionId": "x"},
            {"label": "Two"},
            {"label": "One", "agentId": "ops"},
        ):
            error = self.assertRaises(RequestError, self.resolve, **fields)
            self.assertIn("there is no such session", error.message)
            self.assertFalse(self.resolve(**fields, allowMissing=True).ok)

    def test_exactly_one_way(self) -> None:
        for fields in ({}, {"key": "a", "label": "b"}):
            error = self.assertRaises(RequestError, self.resolve, **fields)
            self.assertIn("exactly one of key, sessionId, label", error.message)

    async def test_previews(self) -> None:
        await self.patch_session("a")
        await self.patch_session("b")
        self.say("agent:main:a", "hello")
        params = wire.SessionsPreviewParams(keys=["a", "b", "c"])
        answer = await self.methods.preview(Caller(), params)
        self.assertEqual(
            [(one.key, one.status, len(one.items)) for one in answer.previews],
            [("a", "ok", 1), ("b", "empty", 0), ("c", "missing", 0)],
        )


class Chat(BookTestCase):
    """`chat.history`, `chat.inject`, `chat.abort`."""

    async def history(self, version: int = 4, **fields: Any) -> dict[str, Any]:
        params = convert({"sessionKey": "notes", **fields}, chat_wire.ChatHistoryParams)
        answer = await self.chat.history(Caller(version=version), params)
        value: dict[str, Any] = json.loads(encode(answer))
        return value

    async def test_both_shapes(self) -> None:
        await self.patch_session(thinkingLevel="high")
        self.say(NOTES, "a", "b")
        old = await self.history(3)
        self.assertEqual(set(old), {"sessionKey", "sessionId", "messages", "thinkingLevel"})
        self.assertEqual((old["sessionKey"], old["thinkingLevel"]), ("notes", "high"))
        self.assertNotIn("__openclaw", old["messages"][0])
        new = await self.history(limit=1)
        self.assertEqual((new["hasMore"], new["totalMessages"]), (True, 2))
        self.assertEqual(new["sessionInfo"]["key"], NOTES)
        self.assertEqual(new["messages"][0]["__openclaw"]["seq"], 2)

    async def test_of_a_session_nobody_has_spoken_in(self) -> None:
        for version in (3, 4):
            answer = await self.history(version)
            self.assertEqual((answer["messages"], answer["thinkingLevel"]), ([], "off"))
            self.assertNotIn("sessionId", answer)

    async def test_with_a_cursor(self) -> None:
        await self.patch_session()
        self.say(NOTES, "a")
        cursor = (await self.history())["deltaCursor"]
        self.say(NOTES, "b")
        delta = await self.history(cursor=cursor)
        self.assertEqual((delta["kind"], len(delta["messages"])), ("delta", 1))
        await self.book.reset(NOTES, "main")
        self.assertEqual(await self.history(cursor=cursor), {"kind": "reset"})
        self.assertEqual(await self.history(cursor="nonsense"), {"kind": "reset"})
        self.assertNotIn("kind", await self.history(3, cursor=cursor))

    async def test_a_note_is_stored_and_told(self) -> None:
        await self.patch_session()
        params = chat_wire.ChatInjectParams(session_key="notes", message="hi", label="cron")
        done = await self.chat.inject(Caller(), params)
        (message,) = (await self.history())["messages"]
        self.assertEqual(message["__openclaw"]["id"], done.message_id)
        self.assertEqual(message["content"], [{"type": "text", "text": "[cron]\n\nhi"}])
        event = self.events.published[-1]
        self.assertEqual((event.name, event.payload.session_key), ("chat", NOTES))
        self.assertEqual(event.v3.session_key, "notes")

    async def test_a_note_to_nobody(self) -> None:
        params = chat_wire.ChatInjectParams(session_key="nobody", message="hi")
        await self.refused(self.chat.inject(Caller(), params), "there is no such session")

    async def test_stopping(self) -> None:
        for fields, stopped in (({}, True), ({"run_id": "x"}, False)):
            params = chat_wire.ChatAbortParams(session_key="notes", **fields)
            answer = await self.chat.abort(Caller(), params)
            self.assertIs(answer.aborted, stopped)

    async def test_a_message_that_says_nothing(self) -> None:
        params = chat_wire.ChatSendParams(session_key="notes", message=" ", idempotency_key="k")
        await self.refused(self.chat.send(Caller(), params), "expected text or an attachment")

    async def test_a_message_to_a_session_that_was_reset(self) -> None:
        await self.patch_session()
        params = chat_wire.ChatSendParams(
            session_key="notes", message="a", idempotency_key="k", session_id="old"
        )
        await self.refused(self.chat.send(Caller(), params), "has been reset")
