"""The policy file on a disk."""

from __future__ import annotations

import json
import os
import stat

import msgspec

from clawgw.approvals.file import PolicyUnusable
from clawgw.protocol.approvals import PolicyFile
from tests.approvals.desk import DeskTestCase, request


def policy_of(**fields: object) -> PolicyFile:
    """A policy, written as in the file."""
    return msgspec.convert({"version": 1, **fields}, PolicyFile)


class FileTests(DeskTestCase):
    """Reading and replacing."""

    def test_no_file(self) -> None:
        loaded = self.do(self.store.read())
        self.assertEqual((loaded.exists, loaded.file), (False, PolicyFile(version=1)))
        self.assertTrue(loaded.hash)

    def test_written_for_its_owner_only_and_whole(self) -> None:
        written = self.do(self.store.replace(policy_of(defaults={"ask": "off"}), None))
        self.assertTrue(written.exists)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.path.parent).count(self.path.name), 1)
        self.assertEqual(
            [name for name in os.listdir(self.path.parent) if name.startswith(".")], []
        )
        self.assertEqual(
            json.loads(self.path.read_text()), {"version": 1, "defaults": {"ask": "off"}}
        )

    def test_a_change_names_what_it_was_made_from(self) -> None:
        first = self.do(self.store.replace(policy_of(), None))
        new = policy_of(defaults={"security": "deny"})
        self.assertIn("baseHash: is needed", self.refusal(self.store.replace(new, None)))
        self.policy('{"version": 1, "defaults": {"ask": "always"}}')
        self.assertIn("as it is now", self.refusal(self.store.replace(new, first.hash)))
        current = self.do(self.store.read()).hash
        self.assertEqual(self.do(self.store.replace(new, current)).file, new)

    def test_an_edit_is_not_refused_because_an_agent_worked(self) -> None:
        self.policy('{"version":1,"agents":{"main":{"allowlist":[{"pattern":"/usr/bin/env"}]}}}')
        before = self.do(self.store.read()).hash
        text = self.path.read_text().replace('env"', 'env", "lastUsedAt": 5')
        self.policy(text)
        self.assertEqual(self.do(self.store.read()).hash, before)

    def test_the_sockets_token_stays_and_is_not_told(self) -> None:
        self.policy('{"version":1,"socket":{"path":"/s","token":"hush"}}')
        base = self.do(self.store.read()).hash
        self.do(self.store.replace(policy_of(socket={"path": "/t"}), base))
        self.assertEqual(
            json.loads(self.path.read_text())["socket"], {"path": "/t", "token": "hush"}
        )
        snapshot = self.do(self.methods.policy_get(_caller(), None))
        self.assertNotIn(b"hush", msgspec.json.encode(snapshot))
        self.assertNotIn("hush", repr(self.do(self.store.read())))

    def test_a_file_with_a_mistake_is_neither_used_nor_replaced(self) -> None:
        for text, words in {
            "{": "ends too early",
            "[]": "must be object",
            '{"version": 2}': "/version",
            '{"version": 1, "agentz": {}}': "agentz",
            '{"version": 1, "defaults": {"security": "none"}}': "/defaults/security",
        }.items():
            self.policy(text)
            failure = self.failureResultOf(self.start(self.store.read()), PolicyUnusable)
            self.assertIn(words, str(failure.value))
            self.assertIn("correct it by hand", str(failure.value))
            self.refusal(self.store.replace(policy_of(), "x"))
            self.assertEqual(self.path.read_text(), text)
            approval = self.do(self.desk.submit(request("ls"), 1000))
            self.assertIsNone(approval.decision)  # a person decides
            self.assertNotIn("allow-always", approval.request.allowed_decisions)

    def test_a_policy_that_means_nothing_is_not_written(self) -> None:
        new = policy_of(defaults={"security": "some"})
        self.assertIn("/defaults/security", self.refusal(self.store.replace(new, None)))
        self.assertFalse(self.path.exists())


def _caller() -> object:
    from tests.support.memory import Caller

    return Caller()
