"""Everything at once: a person links a phone with the CLI, and others write to the agent.

A real Gateway, the sidecar installed by it with npm, Baileys, and a simulated WhatsApp.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.channels.whatsapp.real import NUMBER
from tests.channels.whatsapp_server.server import WhatsAppServer
from tests.faults.support import echo_agents
from tests.support.cli import Command, Result, start
from tests.support.gateway import GatewayProcess

ANNA = "491701234567"


class GatewayTests(TestCase):
    """From the first login to an answer, and away again."""

    timeout = 400

    async def setUp(self) -> None:
        self.server = await WhatsAppServer.start(reactor)
        self.addCleanup(self.server.close)
        await self.server.command("contact", number=ANNA, name="Anna")
        config = {**echo_agents(), "channels": {"whatsapp": {"socketUrl": self.server.url}}}
        environment = self.server.sidecar_environment()
        self.gateway = GatewayProcess(self.mktemp(), config=config, env=environment)
        await deferToThread(self.gateway.start)
        self.addCleanup(lambda: deferToThread(self.gateway.stop))

    def start(self, *arguments: str) -> Command:
        """Start a command of the person who runs the Gateway."""
        command = start(
            arguments,
            self.gateway.state_dir,
            CLAWGW_GATEWAY_TOKEN=self.gateway.token or "",
        )
        self.addCleanup(command.stop)
        return command

    async def run_command(self, *arguments: str) -> Result:
        """Run a command to its good end."""
        result = await self.start(*arguments).ended
        self.assertEqual(result.code, 0, result.err + self.gateway.log[-2000:])
        return result

    async def shown(self, pattern: str) -> re.Match[str]:
        """What Anna's phone shows and fits a pattern."""
        told = await self.server.wait_for(
            "message", lambda told: re.search(pattern, told["text"]) is not None
        )
        found = re.search(pattern, told["text"])
        assert found is not None
        return found

    async def test_link_pair_talk_and_leave(self) -> None:
        login = self.start("--json", "channels", "login", "whatsapp")
        login.ended.addErrback(lambda _: None)
        steps = await self.steps_until(login, lambda step: "qr" in step)
        self.assertIn("npm", steps[0]["message"])  # it says what it installs
        await self.server.command("scan", qr=steps[-1]["qr"])
        result = await login.ended
        self.assertEqual(result.code, 0, result.err)
        self.assertIn(f"+{NUMBER}", json.loads(result.out.strip().splitlines()[-1])["message"])

        await self.server.incoming(ANNA, "hello")
        code = (await self.shown(r"\b([A-Z2-9]{8})\b"))[1]
        await self.run_command("pairing", "approve", "whatsapp", code)
        await self.server.incoming(ANNA, "are you there?")
        await self.shown("are you there")

        await self.run_command("channels", "logout", "whatsapp")
        await self.server.wait_for("unlinked")
        status = await self.run_command("--json", "channels", "status")
        self.assertIn("logged", status.out)
        self.assertNotIn("Traceback", self.gateway.log)
        self.assertNotIn("are you there?", self.gateway.log)
        self.assert_private(self.gateway.state_dir / "channels" / "whatsapp" / "default")

    async def steps_until(self, login: Command, fits: Any) -> list[dict[str, Any]]:
        """What the login has said, once the last of it fits."""
        steps: list[dict[str, Any]] = []
        while not (steps and fits(steps[-1])):
            if login.ended.called:
                self.fail(f"{login.out!r} {login.err!r}\n{self.gateway.log[-3000:]}")
            await deferLater(reactor, 0.1)
            whole = login.out.rpartition(b"\n")[0]  # the last line may not be all there yet
            steps = [json.loads(line) for line in whole.splitlines()]
        return steps

    def assert_private(self, directory: Path) -> None:
        """Nobody else can read what is kept."""
        self.assertEqual(directory.stat().st_mode & 0o077, 0)
        self.assertTrue((directory / "auth" / "spool.jsonl").is_file())
