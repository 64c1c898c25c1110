"""From `channels add` to an answer in the chat: the commands, a real Gateway, a fake Telegram."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.channels.telegram.fake import TOKEN, FakeTelegram
from tests.channels.whatsapp.fake import FakeSidecar
from tests.cli.test_channels import Terminal
from tests.support.cli import Result, environment, start
from tests.support.gateway import GatewayProcess


class LiveTests(TestCase):
    timeout = 120

    async def test_a_bot_is_added_and_a_stranger_let_in(self) -> None:
        fake = FakeTelegram(reactor).start()
        self.addCleanup(fake.stop)
        self.state = Path(self.mktemp())
        gateway = GatewayProcess(self.state)
        await deferToThread(gateway.start)
        self.addCleanup(lambda: deferToThread(gateway.stop))
        alice = fake.world.user("Alice")

        added = await self.run_clawgw(
            *("channels", "add", "telegram", "--token", "-", "--api-root", fake.api_root),
            stdin=TOKEN,
        )
        self.assertEqual(added.code, 0, added)
        self.assertIn("The running Gateway takes it up", added.err)
        await fake.when(lambda: fake.asked("getUpdates"))

        fake.world.say(alice, "hello")
        await fake.when(lambda: fake.world.texts())
        [waiting] = (await self.run_clawgw("--json", "pairing", "list")).json["pending"]
        self.assertIn(waiting["code"], fake.world.texts()[0])
        let_in = await self.run_clawgw("pairing", "approve", "telegram", waiting["code"])
        self.assertIn("Alice", let_in.out)
        fake.world.say(alice, "hello again")
        await fake.when(lambda: any("hello again" in text for text in fake.world.texts()))

        sent = await self.run_clawgw(
            "message", "send", "--to", f"telegram:{waiting['sender']}", "--message", "**done**"
        )
        self.assertEqual(sent.code, 0, sent)
        self.assertIn("done", fake.world.texts())

        status = await self.run_clawgw("channels", "status", "--probe")
        self.assertIn("connected as @claw_test_bot", status.out)
        removed = await self.run_clawgw("channels", "remove", "telegram", "--yes")
        self.assertEqual(removed.code, 0, removed)
        self.assertEqual(fake.complaints, [])

    async def test_whatsapp_is_added_and_linked_in_one_go(self) -> None:
        sidecar = FakeSidecar(reactor, linked=False)
        await sidecar.start()
        self.addCleanup(sidecar.stop)
        self.state = Path(self.mktemp())
        off = {"enabled": False, "command": sidecar.command}
        gateway = GatewayProcess(self.state, config={"channels": {"whatsapp": off}})
        await deferToThread(gateway.start)
        self.addCleanup(lambda: deferToThread(gateway.stop))

        terminal = Terminal()
        environ = environment(self.state, CLAWGW_GATEWAY_TOKEN="test-token")
        terminal.run(["channels", "add", "whatsapp"], environ)
        self.addCleanup(terminal.stop)
        await terminal.shows("then scan this code")
        await terminal.shows("█" * 20)
        sidecar.scan()
        await terminal.shows("WhatsApp is linked as +4915100000001")
        await terminal.ended
        status = await self.run_clawgw("channels", "status")
        self.assertIn("connected", status.out)
        self.assertEqual(sidecar.complaints, [])

    async def run_clawgw(self, *arguments: str, stdin: str = "") -> Result:
        command = start(arguments, self.state, stdin, CLAWGW_GATEWAY_TOKEN="test-token")
        self.addCleanup(command.stop)
        return await command.ended
