"""The policy file, and the commands that read and set it."""

from __future__ import annotations

import hashlib
import json
import os
import stat

from tests.nodehost.support import HostTestCase

GET, SET = "system.execApprovals.get", "system.execApprovals.set"


class ApprovalsTests(HostTestCase):
    """Through the Gateway, as an operator edits it."""

    @property
    def file(self) -> str:
        return str(self.directory / "exec-approvals.json")

    async def test_a_fresh_node(self) -> None:
        await self.start_host()
        self.assertEqual(
            await self.payload(GET),
            {
                "path": self.file,
                "exists": False,
                "hash": hashlib.sha256(b"").hexdigest(),
                "file": {"version": 1, "defaults": {}, "agents": {}},
                "resolvedDefaults": {
                    "security": "allowlist",
                    "ask": "on-miss",
                    "askFallback": "deny",
                    "autoAllowSkills": False,
                },
            },
        )

    async def test_protocol_3_has_no_resolved_defaults(self) -> None:
        await self.start_host(protocol=3)
        self.assertEqual(set(await self.payload(GET)), {"path", "exists", "hash", "file"})

    async def test_set_and_get(self) -> None:
        await self.start_host()
        new = {
            "version": 1,
            "defaults": {"security": "full", "ask": "off"},
            "agents": {"main": {"allowlist": [{"pattern": "/bin/ls"}], "mcpTools": [{"x": 1}]}},
        }
        written = await self.payload(SET, {"file": new})
        self.assertEqual((written["exists"], written["file"]), (True, new))
        self.assertEqual(await self.payload(GET), written)
        with open(self.file, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), written["hash"])
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)

    async def test_who_edits_must_have_read(self) -> None:
        self.allow_all()
        await self.start_host()
        new = {"file": {"version": 1}}
        self.assertIn("baseHash", (await self.error(SET, new))["message"])
        stale = await self.error(SET, {**new, "baseHash": "0" * 64})
        self.assertEqual(stale["code"], "INVALID_REQUEST")
        current = (await self.payload(GET))["hash"]
        await self.payload(SET, {**new, "baseHash": current})
        self.assertEqual((await self.error(SET, {**new, "baseHash": current}))["message"],
                         stale["message"])  # fmt: skip

    async def test_mistakes_are_named_and_change_nothing(self) -> None:
        self.allow_all()
        await self.start_host()
        before = await self.payload(GET)
        for wrong, word in (
            ({}, "version"),
            ({"version": 2}, "version"),
            ({"version": 1, "defaults": {"security": "some"}}, "security"),
            ({"version": 1, "agents": {"main": {"allowlist": [{}]}}}, "pattern"),
        ):
            error = await self.error(SET, {"file": wrong, "baseHash": before["hash"]})
            self.assertEqual(error["code"], "INVALID_REQUEST")
            self.assertIn(word, error["message"])
        self.assertEqual(await self.payload(GET), before)

    async def test_the_secret_of_the_socket_is_neither_shown_nor_lost(self) -> None:
        self.policy(socket={"path": "/s", "token": "the-secret"})
        await self.start_host()
        shown = await self.payload(GET)
        self.assertEqual(shown["file"]["socket"], {"path": "/s"})
        written = await self.payload(SET, {"file": shown["file"], "baseHash": shown["hash"]})
        self.assertNotIn("the-secret", json.dumps(written))
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["socket"], {"path": "/s", "token": "the-secret"})

    async def test_a_file_that_cannot_be_understood_denies_everything(self) -> None:
        with open(self.file, "w", encoding="utf-8") as file:
            file.write('{"version": 1, "defaults": {"security": "full"}, "unknown": 1}')
        await self.start_host()
        denied = await self.error("system.run", {"command": ["echo"]})
        self.assertEqual(denied["message"], "SYSTEM_RUN_DISABLED: security=deny")
        shown = await self.payload(GET)
        self.assertEqual(shown["file"]["defaults"], {"security": "deny"})
        await self.payload(SET, {"file": {"version": 1, "defaults": {"security": "full"}},
                                 "baseHash": shown["hash"]})  # fmt: skip
        await self.payload("system.run", {"command": ["echo"]})

    async def test_a_directory_that_cannot_be_written(self) -> None:
        await self.start_host()
        os.mkdir(self.file)
        shown = await self.payload(GET)
        error = await self.error(SET, {"file": {"version": 1}, "baseHash": shown["hash"]})
        self.assertEqual(error["code"], "UNAVAILABLE")
        self.assertEqual(
            [name for name in os.listdir(self.directory) if name.startswith(".exec")], []
        )
