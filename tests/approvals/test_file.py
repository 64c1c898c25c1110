"""The policy file on a disk."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import msgspec

from clawgw.approvals import policy
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


class ProgramTests(DeskTestCase):
    """Where the programs of a command line are: the very files that would be run."""

    def setUp(self) -> None:
        super().setUp()
        self.root = Path(self.mktemp()).resolve()
        self.listed = self.program("bin/git")
        self.policy(
            json.dumps(
                {"version": 1, "agents": {"main": {"allowlist": [{"pattern": self.listed}]}}}
            )
        )

    def program(self, place: str) -> str:
        """An executable file."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o700)
        return str(path)

    def is_asked(self, command: str, cwd: str | None = "/", path: str = "/usr/bin") -> bool:
        """Whether a person has to decide."""
        asked = self.desk.submit(request(command, cwd=cwd), 1000, search_path=path)
        return self.do(asked).decision is None

    def test_every_way_to_write_it(self) -> None:
        place = f"{self.root}/bin"
        self.assertFalse(self.is_asked(self.listed))
        self.assertFalse(self.is_asked("git pull", path=f"/nowhere:{place}"))
        self.assertFalse(self.is_asked("./git pull", cwd=place))
        self.assertFalse(self.is_asked(f"{place}/../bin/git"))

    def test_another_file_behind_a_link_and_dots(self) -> None:
        """To the system it is `far/bin/git`; only its letters lead to the one on the list."""
        self.program("far/bin/git")
        (self.root / "far/away").mkdir()
        (self.root / "link").symlink_to(self.root / "far/away")
        self.assertTrue(self.is_asked(f"{self.root}/link/../bin/git pull"))
        self.assertTrue(self.is_asked("../bin/git pull", cwd=f"{self.root}/link"))

    def test_a_path_with_a_relative_place_in_front(self) -> None:
        """The agent's directory has a `git` too, or may have one by then."""
        for path in (f".:{self.root}/bin", f":{self.root}/bin"):
            self.assertTrue(self.is_asked("git pull", cwd=str(self.root), path=path), path)

    def test_an_environment_of_its_own(self) -> None:
        """A harmless program with one variable more may be another; so you are asked, each time."""
        always = {"pattern": policy.exact_pattern("make x"), "commandText": "make x"}
        entries = [{"pattern": self.listed}, {**always, "source": "allow-always"}]
        self.policy(json.dumps({"version": 1, "agents": {"main": {"allowlist": entries}}}))
        for command in (self.listed, "make x"):
            for names, is_asked in ((["LANG"], False), (["LANG", "GIT_SSH_COMMAND"], True)):
                asked = self.desk.submit(request(command, env_keys=names), 1000)
                approval = self.do(asked)
                self.assertEqual(approval.decision is None, is_asked, (command, names))
                offered = "allow-always" in approval.request.allowed_decisions
                self.assertNotEqual(offered, is_asked)

    def test_what_is_nowhere(self) -> None:
        self.assertTrue(self.is_asked("git pull", path="/nowhere"))
        self.assertTrue(self.is_asked("bin/git pull", cwd=None))
        self.assertTrue(self.is_asked(f"{self.root}/bin pull"))


def _caller() -> object:
    from tests.support.memory import Caller

    return Caller()
