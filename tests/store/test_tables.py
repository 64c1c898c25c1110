"""Sessions, transcripts, runs, idempotency keys and devices as rows."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from clawgw.store import devices, idempotency, messages, runs, sessions
from clawgw.store.devices import Device, Grant, PairRequestRow
from clawgw.store.messages import NewMessage
from clawgw.store.runs import Run
from clawgw.store.sessions import Filter
from tests.support.memory import START_MS, MemoryDatabase


class TableTestCase(SynchronousTestCase):
    """The schema in memory."""

    def setUp(self) -> None:
        self.connection = MemoryDatabase().connection

    def session(self, key: str, agent: str = "main", at: int = START_MS, **columns: Any) -> str:
        sessions.ensure(self.connection, key, agent, f"id of {key}", at)
        if columns:
            sessions.update(self.connection, key, **columns)
        return key

    def say(self, key: str, text: str, at: int = START_MS) -> int:
        body = json.dumps({"text": text}).encode()
        message = NewMessage(f"{key}/{text}", "user", at, body)
        return messages.append(self.connection, key, message, text)

    def texts(self, key: str, limit: int, offset: int = 0) -> list[str]:
        stored = messages.latest(self.connection, f"id of {key}", limit, offset)
        return [json.loads(one.body)["text"] for one in stored]


class Sessions(TableTestCase):
    """The table of sessions."""

    def listed(self, limit: int = 10, offset: int = 0, **wanted: Any) -> list[str]:
        found = sessions.listing(self.connection, Filter(**wanted), limit, offset)
        return [session.key for session in found]

    def test_made_once(self) -> None:
        first = sessions.ensure(self.connection, "k", "main", "one", START_MS, "group", "webchat")
        again = sessions.ensure(self.connection, "k", "other", "two", START_MS + 1)
        self.assertEqual(first, again)
        self.assertEqual((first.session_id, first.kind, first.channel), ("one", "group", "webchat"))
        self.assertEqual(sessions.get_by_id(self.connection, "one"), first)
        self.assertIsNone(sessions.get(self.connection, "other"))
        self.assertIsNone(sessions.get_by_id(self.connection, "two"))

    def test_settings_and_flags_come_back_as_they_were(self) -> None:
        self.session("k", settings={"model": "a/b", "n": [1]}, aborted=1, archived=1)
        session = sessions.get(self.connection, "k")
        assert session is not None
        self.assertEqual(session.settings, {"model": "a/b", "n": [1]})
        self.assertEqual((session.aborted, session.archived), (True, True))

    def test_listed_by_last_change(self) -> None:
        for number in (2, 4, 1, 3):
            self.session(f"k{number}", at=START_MS + number)
        self.assertEqual(self.listed(), ["k4", "k3", "k2", "k1"])
        self.assertEqual(self.listed(2, 1), ["k3", "k2"])

    def test_filters(self) -> None:
        self.session("a", at=START_MS + 1, label="One")
        self.session("b", "ops", at=START_MS + 2, interacted_at=START_MS)
        self.session("c", at=START_MS + 3, archived=1, title="tidy 100% of_it")
        self.session("d", at=START_MS + 4, spawned_by="a", interacted_at=START_MS + 9)
        table: list[tuple[dict[str, Any], list[str]]] = [
            ({}, ["d", "b", "a"]),
            ({"archived": True}, ["c"]),
            ({"archived": None}, ["d", "c", "b", "a"]),
            ({"agent_id": "ops"}, ["b"]),
            ({"agent_id": "main", "archived": None}, ["d", "c", "a"]),
            ({"label": "One"}, ["a"]),
            ({"label": "one"}, []),
            ({"spawned_by": "a"}, ["d"]),
            ({"updated_after": START_MS + 2}, ["d", "b"]),
            ({"interacted_only": True}, ["d", "b"]),
            ({"by_interaction": True, "interacted_only": True}, ["d", "b"]),
            ({"search": "ONE"}, ["a"]),
            ({"search": "100%", "archived": None}, ["c"]),
            ({"search": "%", "archived": None}, ["c"]),
            ({"search": "_", "archived": None}, ["c"]),
            ({"search": "\\"}, []),
            ({"search": "' OR 1=1 --"}, []),
        ]
        for wanted, expected in table:
            with self.subTest(wanted=wanted):
                self.assertEqual(self.listed(**wanted), expected)
                counted = sessions.count(self.connection, Filter(**wanted))
                self.assertEqual(counted, len(expected))

    def test_counts(self) -> None:
        self.session("a")
        self.session("b", "ops")
        self.session("c", "ops", archived=1)
        self.assertEqual(
            sessions.counts_by_agent(self.connection),
            {("main", False): 1, ("ops", False): 1, ("ops", True): 1},
        )

    def test_labels_are_unique(self) -> None:
        self.session("a", label="One")
        with self.assertRaises(sqlite3.IntegrityError):
            self.session("b", label="One")
        found = sessions.get_by_label(self.connection, "One")
        self.assertEqual(found and found.key, "a")
        self.assertIsNone(sessions.get_by_label(self.connection, "Two"))

    def test_usage_adds_up(self) -> None:
        self.session("a")
        for _ in range(2):
            sessions.add_usage(self.connection, "a", 10, 3)
        session = sessions.get(self.connection, "a")
        assert session is not None
        self.assertEqual((session.input_tokens, session.output_tokens), (20, 6))

    def test_deleted(self) -> None:
        self.session("a")
        self.assertEqual(sessions.delete(self.connection, "a"), "id of a")
        self.assertIsNone(sessions.delete(self.connection, "a"))


class Transcripts(TableTestCase):
    """The table of messages."""

    def setUp(self) -> None:
        super().setUp()
        self.session("k")
        self.session("other")

    def test_numbered_from_one(self) -> None:
        self.assertEqual([self.say("k", text) for text in "abc"], [1, 2, 3])
        self.assertEqual(self.say("other", "a"), 1)
        session = sessions.get(self.connection, "k")
        assert session is not None
        self.assertEqual((session.message_count, session.last_seq, session.preview), (3, 3, "c"))

    def test_a_message_makes_the_session_the_latest(self) -> None:
        self.say("k", "new", START_MS + 5)
        self.say("k", "of a slow clock", START_MS - 5)
        session = sessions.get(self.connection, "k")
        assert session is not None
        self.assertEqual(session.updated_at, START_MS + 5)

    def test_without_a_session(self) -> None:
        with self.assertRaises(LookupError):
            self.say("nobody", "a")

    def test_pages(self) -> None:
        for text in "abcdef":
            self.say("k", text)
            self.say("other", text.upper())
        table = {
            (2, 0): "ef",
            (2, 2): "cd",
            (4, 4): "ab",
            (9, 0): "abcdef",
            (2, 6): "",
            (2, 99): "",
        }
        for (limit, offset), expected in table.items():
            self.assertEqual("".join(self.texts("k", limit, offset)), expected)

    def test_since(self) -> None:
        for text in "abcdef":
            self.say("k", text)
        for seq, limit, expected in ((0, 9, "abcdef"), (4, 9, "ef"), (2, 2, "cd"), (6, 9, "")):
            stored = messages.since(self.connection, "id of k", seq, limit)
            self.assertEqual("".join(json.loads(one.body)["text"] for one in stored), expected)

    def test_only_the_last_ones_kept(self) -> None:
        for text in "abcdef":
            self.say("k", text)
        self.assertEqual(messages.keep_last(self.connection, "k", 99), 0)
        self.assertEqual(messages.keep_last(self.connection, "k", 2), 4)
        self.assertEqual(self.texts("k", 9), ["e", "f"])
        self.assertEqual(self.say("k", "g"), 7)
        session = sessions.get(self.connection, "k")
        assert session is not None
        self.assertEqual((session.message_count, session.last_seq), (3, 7))

    def test_deleted(self) -> None:
        self.say("k", "a")
        self.say("other", "a")
        messages.delete_transcript(self.connection, "id of k")
        self.assertEqual((self.texts("k", 9), self.texts("other", 9)), ([], ["a"]))
        self.assertEqual(messages.last_seq(self.connection, "id of k"), 0)


class Runs(TableTestCase):
    """The table of runs."""

    def accept(self, name: str, at: int = START_MS) -> None:
        runs.insert(self.connection, Run(name, "k", "main", "k", "queued", at, prompt=b"{}"))

    def test_from_accepted_to_ended(self) -> None:
        self.accept("r")
        runs.start(self.connection, "r", START_MS + 1)
        running = runs.get(self.connection, "r")
        assert running is not None
        self.assertEqual((running.state, running.started_at), ("running", START_MS + 1))
        self.assertEqual(running.prompt, b"{}")
        runs.end(self.connection, "r", "ok", START_MS + 2, None, b'{"a":1}')
        ended = runs.get(self.connection, "r")
        assert ended is not None
        self.assertEqual((ended.state, ended.ended_at), ("ok", START_MS + 2))
        self.assertEqual((ended.prompt, ended.result), (None, b'{"a":1}'))

    def test_unfinished_in_the_order_they_were_accepted(self) -> None:
        for name, at in (("late", 9), ("early", 1), ("same-1", 5), ("same-2", 5), ("done", 3)):
            self.accept(name, at)
        runs.start(self.connection, "early", 10)
        runs.end(self.connection, "done", "aborted", 10)
        names = [run.run_id for run in runs.unfinished(self.connection)]
        self.assertEqual(names, ["early", "same-1", "same-2", "late"])

    def test_the_same_id_twice(self) -> None:
        self.accept("r")
        with self.assertRaises(sqlite3.IntegrityError):
            self.accept("r")

    def test_forgotten_after_a_month(self) -> None:
        for name in ("old", "new", "running"):
            self.accept(name, 0)
        runs.end(self.connection, "old", "ok", START_MS)
        runs.end(self.connection, "new", "ok", START_MS + 1)
        runs.prune(self.connection, START_MS + runs.KEPT_MS)
        left = [name for name in ("old", "new", "running") if runs.get(self.connection, name)]
        self.assertEqual(left, ["new", "running"])


class IdempotencyKeys(TableTestCase):
    """The table of idempotency keys."""

    def test_claimed_settled_released(self) -> None:
        idempotency.claim(self.connection, "k", "send", b"d", START_MS)
        found = idempotency.find(self.connection, "k", START_MS)
        assert found is not None
        self.assertEqual(found, ("send", b"d", None))
        idempotency.settle(self.connection, "k", b"{}")
        found = idempotency.find(self.connection, "k", START_MS)
        self.assertEqual(found and found.result, b"{}")
        idempotency.release(self.connection, "k")
        self.assertIsNone(idempotency.find(self.connection, "k", START_MS))

    def test_good_for_a_day(self) -> None:
        idempotency.claim(self.connection, "k", "send", b"d", START_MS)
        end = START_MS + idempotency.LIFETIME_MS
        self.assertIsNotNone(idempotency.find(self.connection, "k", end - 1))
        self.assertIsNone(idempotency.find(self.connection, "k", end))
        idempotency.claim(self.connection, "k", "other", b"e", end)
        found = idempotency.find(self.connection, "k", end)
        self.assertEqual(found and found.method, "other")

    def test_pruned(self) -> None:
        idempotency.claim(self.connection, "old", "m", b"", START_MS)
        idempotency.claim(self.connection, "new", "m", b"", START_MS + 1)
        idempotency.prune(self.connection, START_MS + idempotency.LIFETIME_MS)
        rows = self.connection.execute("SELECT key FROM idempotency").fetchall()
        self.assertEqual(rows, [("new",)])


class Devices(TableTestCase):
    """The tables of devices, their roles, and those that wait."""

    device = Device("d", "key", "Phone", "ios", None, "cli", "cli", "::1", 1, 2, "silent")
    grant = Grant("d", "operator", ("operator.read",), (), "salt", "hash", 3, 4, None)

    def test_come_back_as_they_were(self) -> None:
        devices.save_device(self.connection, self.device)
        devices.save_grant(self.connection, self.grant)
        self.assertEqual(devices.all_devices(self.connection), [self.device])
        self.assertEqual(devices.all_grants(self.connection), [self.grant])

    def test_what_is_new_replaces_what_was(self) -> None:
        for device in (self.device, self.device._replace(display_name="Tablet")):
            devices.save_device(self.connection, device)
        for grant in (self.grant, self.grant._replace(revoked_at=9)):
            devices.save_grant(self.connection, grant)
        self.assertEqual(devices.all_devices(self.connection)[0].display_name, "Tablet")
        self.assertEqual([one.revoked_at for one in devices.all_grants(self.connection)], [9])

    def test_no_grant_without_a_device(self) -> None:
        with self.assertRaises(sqlite3.IntegrityError):
            devices.save_grant(self.connection, self.grant)

    def test_one_request_per_device_and_role(self) -> None:
        for row in (
            PairRequestRow("1", "d", "operator", 5, b"{}"),
            PairRequestRow("2", "d", "operator", 6, b"{}"),
            PairRequestRow("3", "d", "node", 4, b"{}"),
        ):
            devices.save_request(self.connection, row)
        self.assertEqual(
            [row.request_id for row in devices.all_requests(self.connection)], ["3", "2"]
        )
        devices.delete_request(self.connection, "2")
        devices.delete_request(self.connection, "2")
        self.assertEqual(len(devices.all_requests(self.connection)), 1)
