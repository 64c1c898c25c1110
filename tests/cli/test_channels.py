"""`channels`, `message` and `pairing` as a person uses them; the providers are the fakes."""

from __future__ import annotations

import base64
import codecs
import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.channels.providers import PROVIDERS
from clawgw.cli.channel_options import FIELDS
from clawgw.config_edit import document
from tests.channels.discord.fake import FakeDiscord
from tests.channels.imessage.fake import FakeMessages
from tests.channels.signal.fake import FakeSignal
from tests.channels.slack.fake import FakeSlack
from tests.channels.telegram.fake import TOKEN, FakeTelegram
from tests.cli.test_commands import CommandTestCase
from tests.support.cli import Result, environment, start
from tests.support.ports import hold_port

OWNED = """\
{
  // mine
  "gateway": { "port": 1234 }, /* not the usual one */
}
"""
WRONG = "123456789:AAF-not_the_one_that_the_fake_knows_00000"


class FileTestCase(TestCase):
    """A state directory with a configuration file."""

    timeout = 120

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.file = self.state / "config.json"

    async def run_clawgw(self, *arguments: str, stdin: str = "", **environ: str) -> Result:
        command = start(arguments, self.state, stdin, **environ)
        self.addCleanup(command.stop)
        return await command.ended

    def configure(self, channels: Any) -> None:
        self.file.write_text(json.dumps({"channels": channels}, indent=2))

    @property
    def channels(self) -> Any:
        return document(self.file.read_text()).get("channels")

    def running(self, fake: Any) -> Any:
        """A fake, started, and stopped at the end; awaitable."""
        self.addCleanup(lambda: maybeDeferred(lambda: _deferred(fake.stop())))
        return _deferred(fake.start())


class AddingTelegram(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fake = FakeTelegram(reactor)
        self.running(self.fake)
        self.root = ("--api-root", self.fake.api_root)

    async def test_a_good_token_is_written_beside_what_was_there(self) -> None:
        self.file.write_text(OWNED)
        result = await self.run_clawgw("channels", "add", "telegram", "--token", TOKEN, *self.root)
        self.assertEqual(result.code, 0, result)
        self.assertIn("@claw_test_bot", result.out)
        self.assertIn("clawgw pairing approve telegram", result.err)
        text = self.file.read_text()
        self.assertTrue(text.startswith(OWNED.removesuffix("}\n")), text)
        self.assertEqual(self.channels["telegram"]["botToken"], TOKEN)
        self.assertEqual((self.state / "config.json.bak").read_text(), OWNED)
        for name in ("config.json", "config.json.bak"):
            self.assertEqual(stat.S_IMODE((self.state / name).stat().st_mode), 0o600)

    async def test_a_refused_token_is_one_sentence_and_nothing_is_written(self) -> None:
        result = await self.run_clawgw("channels", "add", "telegram", "--token", WRONG, *self.root)
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertEqual(result.err.count("\n"), 1)
        self.assertIn("Telegram does not accept the bot token", result.err)
        self.assertIn("Nothing was written", result.err)
        self.assertFalse(self.file.exists())

    async def test_the_token_is_shown_nowhere(self) -> None:
        for token in (TOKEN, WRONG):
            for option in ((), ("--json",)):
                result = await self.run_clawgw(
                    *option, "channels", "add", "telegram", "-y", "--token", token, *self.root
                )
                self.assertNotIn(token, result.out + result.err)
        result = await self.run_clawgw("channels", "list")
        self.assertNotIn(TOKEN, result.out + result.err)

    async def test_a_provider_that_cannot_be_reached(self) -> None:
        root = f"http://127.0.0.1:{hold_port(self)}"
        add = ("channels", "add", "telegram", "--token", TOKEN, "--api-root", root)
        result = await self.run_clawgw(*add)
        self.assertEqual(result.code, 2)
        says = (
            f"clawgw: Telegram could not be asked: {root} cannot be reached: nothing answers there."
        )
        self.assertTrue(result.err.startswith(f"{says} Nothing was written; "), result.err)
        self.assertFalse(self.file.exists())
        result = await self.run_clawgw(*add, "--no-check")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.channels["telegram"]["botToken"], TOKEN)

    async def test_from_standard_input_and_from_the_environment(self) -> None:
        add = ("channels", "add", "telegram", *self.root)
        result = await self.run_clawgw(*add, "--token", "-", stdin=f"{TOKEN}\n")
        self.assertEqual((result.code, self.channels["telegram"]["botToken"]), (0, TOKEN), result)
        self.file.unlink()
        result = await self.run_clawgw(*add, TELEGRAM_BOT_TOKEN=TOKEN)
        self.assertEqual((result.code, self.channels["telegram"]["botToken"]), (0, TOKEN), result)
        result = await self.run_clawgw(*add, "--use-env", "--yes", TELEGRAM_BOT_TOKEN=TOKEN)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.channels["telegram"], {"apiRoot": self.fake.api_root})

    async def test_a_file_that_holds_the_token(self) -> None:
        holder = self.state / "token"
        holder.write_text(TOKEN + "\n")
        self.configure({"telegram": {"botToken": WRONG, "apiRoot": self.fake.api_root}})
        relative = os.path.relpath(holder)  # the command runs where this test does
        result = await self.run_clawgw(
            "channels", "add", "telegram", "-y", "--token-file", relative
        )
        self.assertEqual(result.code, 0, result)
        self.assertEqual(
            self.channels["telegram"],
            {"apiRoot": self.fake.api_root, "tokenFile": str(holder.resolve())},
        )

    async def test_no_token_at_all(self) -> None:
        result = await self.run_clawgw("channels", "add", "telegram", *self.root)
        self.assertEqual(result.code, 2)
        self.assertIn("--token is missing", result.err)
        self.assertIn("TELEGRAM_BOT_TOKEN", result.err)

    async def test_what_is_there_is_replaced_only_when_that_is_said(self) -> None:
        settings = {"botToken": WRONG, "apiRoot": self.fake.api_root, "dmPolicy": "allowlist"}
        self.configure({"telegram": settings})
        add = ("channels", "add", "telegram", "--token", TOKEN)
        result = await self.run_clawgw(*add)
        self.assertEqual(result.code, 2)
        self.assertIn("--yes", result.err)
        self.assertEqual(self.channels["telegram"], settings)
        result = await self.run_clawgw(*add, "--yes")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.channels["telegram"], settings | {"botToken": TOKEN})

    async def test_one_that_was_switched_off_is_switched_on(self) -> None:
        self.configure({"telegram": {"enabled": False, "apiRoot": self.fake.api_root}})
        result = await self.run_clawgw("channels", "add", "telegram", "--token", TOKEN)
        self.assertEqual(result.code, 0, result)
        self.assertIs(self.channels["telegram"]["enabled"], True)

    async def test_a_second_account_leaves_the_first_as_it_was(self) -> None:
        self.configure(
            {"telegram": {"botToken": "1:first", "apiRoot": self.fake.api_root, "name": "Home"}}
        )
        add = ("channels", "add", "telegram", "--token", TOKEN)
        result = await self.run_clawgw(*add, "--account", "work", "--name", "Work")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(
            self.channels["telegram"],
            {
                "apiRoot": self.fake.api_root,
                "accounts": {
                    "default": {"botToken": "1:first", "name": "Home"},
                    "work": {"botToken": TOKEN, "name": "Work"},
                },
            },
        )
        listed = (await self.run_clawgw("--json", "channels", "list")).json["accounts"]
        self.assertEqual([row["accountId"] for row in listed], ["default", "work"])

    async def test_as_openclaw_says_it(self) -> None:
        result = await self.run_clawgw(
            "channels", "add", "--channel", "telegram", "--token", TOKEN, *self.root
        )
        self.assertEqual(result.code, 0, result)

    async def test_as_json(self) -> None:
        result = await self.run_clawgw(
            "--json", "channels", "add", "telegram", "--token", TOKEN, *self.root
        )
        answer = result.json
        self.assertEqual((answer["channel"], answer["accountId"]), ("telegram", "default"))
        self.assertEqual(answer["probe"]["bot"]["username"], "claw_test_bot")
        result = await self.run_clawgw(
            "--json", "channels", "add", "telegram", "-y", "--token", WRONG, *self.root
        )
        self.assertIn("Telegram does not accept", json.loads(result.err)["error"]["message"])

    async def test_what_cannot_be_meant(self) -> None:
        for arguments, complaint in (
            ((), "Missing argument"),
            (("fax",), "There is no channel 'fax'"),
            (("telegram", "--app-token", "x"), "--app-token is not for telegram"),
            (("telegram", "--account", "../x", "--token", "x"), "--account"),
            (("telegram", "--token", " "), "--token"),
            (("telegram", "--account", "work", "--use-env"), "--use-env"),
        ):
            result = await self.run_clawgw("channels", "add", *arguments)
            self.assertEqual(result.code, 2, arguments)
            self.assertIn(complaint, result.err)

    async def test_a_file_with_a_mistake_in_it(self) -> None:
        self.file.write_text('{"channels": {"telegram": {"botTokn": "x"}}}')
        result = await self.run_clawgw("channels", "add", "telegram", "--token", TOKEN)
        self.assertEqual(result.code, 2)
        self.assertIn("botTokn", result.err)
        self.assertNotIn("Traceback", result.err)


class AddingOthers(FileTestCase):
    async def test_every_channel_can_be_added(self) -> None:
        self.assertEqual(set(FIELDS), {provider.id for provider in PROVIDERS})

    async def test_discord(self) -> None:
        fake = FakeDiscord(reactor)
        await self.running(fake)
        add = ("channels", "add", "discord", "--api-root", fake.api_root, "--token")
        result = await self.run_clawgw(*add, "wrong")
        self.assertEqual(result.code, 2)
        self.assertIn("Discord does not accept the bot's token", result.err)
        result = await self.run_clawgw(*add, "-", stdin=fake.token)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.channels["discord"]["token"], fake.token)

    async def test_slack_wants_both_tokens_to_be_right(self) -> None:
        fake = FakeSlack(reactor)
        await self.running(fake)
        add = ("channels", "add", "slack", "--api-root", fake.api_root)
        for bot, app, complaint in (
            ("xoxb-wrong", fake.app_token, "botToken"),
            (fake.bot_token, "xapp-wrong", "appToken"),
            (fake.app_token, fake.bot_token, "xoxb-"),
        ):
            result = await self.run_clawgw(*add, "--bot-token", bot, "--app-token", app)
            self.assertEqual(result.code, 2)
            self.assertIn(complaint, result.err)
            self.assertNotIn(fake.bot_token, result.err)
            self.assertFalse(self.file.exists())
        both = f"{fake.bot_token}\n{fake.app_token}\n"
        result = await self.run_clawgw(*add, "--bot-token", "-", "--app-token", "-", stdin=both)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.channels["slack"]["appToken"], fake.app_token)

    async def test_signal(self) -> None:
        fake = FakeSignal(reactor)
        await self.running(fake)
        self.configure({"signal": {"command": fake.command}})
        result = await self.run_clawgw("channels", "add", "signal")
        self.assertEqual(result.code, 0, result)
        self.assertIn("clawgw channels login signal", result.err)
        fake.account("+15551111111")
        result = await self.run_clawgw("channels", "add", "signal")
        self.assertIn("+15551111111", result.out)
        await fake.until(lambda: not fake.sessions)
        self.assertEqual(fake.complaints, [])

    async def test_signal_without_its_program(self) -> None:
        missing = str(self.state / "signal-cli")
        result = await self.run_clawgw("channels", "add", "signal", "--cli-path", missing)
        self.assertEqual(result.code, 2)
        self.assertIn("install signal-cli", result.err)
        self.assertFalse(self.file.exists())

    async def test_imessage(self) -> None:
        fake = FakeMessages(reactor)
        await self.running(fake)
        self.configure({"imessage": {"command": fake.command}})
        result = await self.run_clawgw("channels", "add", "imessage")
        self.assertEqual(result.code, 0, result)
        result = await self.run_clawgw("channels", "add", "imessage", "--cli-path", "/no/imsg")
        self.assertEqual(result.code, 2)  # it is there already
        self.configure({})
        result = await self.run_clawgw("channels", "add", "imessage", "--cli-path", "/no/imsg")
        self.assertIn("install imsg", result.err)

    async def test_whatsapp_without_node(self) -> None:
        result = await self.run_clawgw("channels", "add", "whatsapp", PATH="/nowhere")
        self.assertEqual(result.code, 2)
        self.assertIn("Node.js 20", result.err)
        self.assertFalse(self.file.exists())

    async def test_whatsapp_is_linked_later(self) -> None:
        self.configure({"whatsapp": {"command": [sys.executable, "-c", "pass"]}})
        result = await self.run_clawgw("channels", "add", "whatsapp")
        self.assertEqual(result.code, 0, result)
        self.assertIn("clawgw channels login whatsapp", result.err)


class Asking(FileTestCase):
    """On a terminal, what is missing is asked for."""

    def setUp(self) -> None:
        super().setUp()
        self.fake = FakeTelegram(reactor)
        self.running(self.fake)

    async def test_the_channel_and_the_token_which_is_not_echoed(self) -> None:
        command = self.on_terminal("channels", "add", "--api-root", self.fake.api_root)
        await command.answer("Which channel", "telegram")
        await command.answer("The bot's token", TOKEN)
        await command.ended
        self.assertEqual(self.channels["telegram"]["botToken"], TOKEN)
        self.assertIn("@claw_test_bot", command.seen)
        self.assertNotIn(TOKEN, command.seen)

    async def test_before_anything_is_replaced(self) -> None:
        self.configure({"telegram": {"botToken": WRONG}})
        command = self.on_terminal("channels", "add", "telegram")
        await command.answer("Replace its token?", "n")
        await command.ended
        self.assertEqual(self.channels["telegram"]["botToken"], WRONG)

    async def test_before_anything_is_removed(self) -> None:
        self.configure({"telegram": {"botToken": WRONG}})
        command = self.on_terminal("channels", "remove", "telegram")
        await command.answer("Remove telegram (default)", "n")
        await command.ended
        self.assertEqual(self.channels["telegram"]["botToken"], WRONG)

    def on_terminal(self, *arguments: str) -> Terminal:
        terminal = Terminal()
        terminal.run(arguments, environment(self.state))
        self.addCleanup(terminal.stop)
        return terminal


class Terminal(ProcessProtocol):
    """A person at a terminal; `seen` is what they see."""

    def __init__(self) -> None:
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.ended: Deferred[None] = Deferred()
        self._waits: tuple[str, Deferred[None]] | None = None

    def run(self, arguments: Sequence[str], environ: dict[str, str]) -> None:
        """Type a command."""
        argv = [sys.executable, "-m", "clawgw.cli", *arguments]
        process: Any = reactor
        process.spawnProcess(self, sys.executable, argv, env=environ, usePTY=True)

    async def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type."""
        await self.shows(question)
        assert self.transport is not None
        self.transport.write(f"{text}\n".encode())

    async def shows(self, text: str) -> None:
        """Wait until something is seen."""
        if text not in self.seen:
            shown: Deferred[None] = Deferred()
            self._waits = (text, shown)
            await shown

    def outReceived(self, data: bytes) -> None:
        self.seen += self._decoder.decode(data)
        if self._waits is not None and self._waits[0] in self.seen:
            (_, asked), self._waits = self._waits, None
            asked.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if self._waits is not None:
            self._waits[1].errback(AssertionError(f"it ended: {self.seen}"))
        self.ended.callback(None)

    def stop(self) -> None:
        """Make sure that it does not outlive its test."""
        assert self.transport is not None
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return


class ListingAndRemoving(FileTestCase):
    async def test_lists_what_the_file_has(self) -> None:
        self.configure(
            {
                "telegram": {"botToken": "1:x", "dmPolicy": "disabled"},
                "slack": {"enabled": False},
                "discord": {},
            }
        )
        result = await self.run_clawgw("channels", "list")
        rows = [line.split("\t") for line in result.out.splitlines()]
        self.assertIn(["telegram", "default", "", "ready", "disabled", "allowlist"], rows)
        states = {row[0]: row[3] for row in rows}
        self.assertEqual(states["slack"], "off")
        self.assertIn("token is missing", states["discord"])
        self.assertIn("whatsapp", result.err)

    async def test_an_empty_file(self) -> None:
        result = await self.run_clawgw("channels", "list")
        self.assertEqual(result.code, 0)
        self.assertIn("There is no account", result.out)

    async def test_another_file(self) -> None:
        other = self.state / "other.json"
        other.write_text('{"channels": {"discord": {"token": "x"}}}')
        result = await self.run_clawgw("--json", "channels", "list", "--config", str(other))
        self.assertEqual([row["channel"] for row in result.json["accounts"]], ["discord"])

    async def test_removing_the_last_account_removes_its_section(self) -> None:
        self.file.write_text(OWNED)
        await self.run_clawgw("channels", "add", "telegram", "--token", "1:x", "--no-check")
        result = await self.run_clawgw("channels", "remove", "telegram", "--yes")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.file.read_text(), OWNED)
        self.assertIn("config.json.bak", result.err)

    async def test_removing_one_of_several(self) -> None:
        self.configure({"telegram": {"accounts": {"a": {"botToken": "1:a"}, "b": {}}}})
        result = await self.run_clawgw("channels", "remove", "telegram", "--yes")
        self.assertEqual(result.code, 2)
        self.assertIn("--account a or b", result.err)
        result = await self.run_clawgw("channels", "remove", "telegram", "--account", "b", "-y")
        self.assertEqual(self.channels, {"telegram": {"accounts": {"a": {"botToken": "1:a"}}}})
        result = await self.run_clawgw("channels", "remove", "--channel", "telegram", "--delete")
        self.assertEqual((result.code, self.channels), (0, None))

    async def test_what_is_not_there(self) -> None:
        self.configure({"telegram": {"botToken": "1:x"}})
        for arguments, complaint in (
            (("slack",), "slack is not configured"),
            (("telegram", "--account", "x"), "has no account 'x'"),
            ((), "CHANNEL"),
        ):
            result = await self.run_clawgw("channels", "remove", *arguments, "--yes")
            self.assertEqual(result.code, 2)
            self.assertIn(complaint, result.err)


def _account(**facts: Any) -> dict[str, Any]:
    return {"accountId": "default", "enabled": True, "configured": True, "running": True} | facts


class Status(CommandTestCase):
    timeout = 120

    async def test_every_state_in_words(self) -> None:
        self.answers(
            "channels.status",
            {
                "channelOrder": ["telegram", "whatsapp"],
                "channelLabels": {"telegram": "Telegram"},
                "channelAccounts": {
                    "telegram": [
                        _account(connected=True, healthState="healthy", name="@bot\x1b[2J"),
                        _account(
                            accountId="b", healthState="reconnecting", reconnectAttempts=3,
                            lastError="no answer\nwithin 30 s",
                        ),
                        _account(accountId="c", enabled=False),
                        _account(accountId="d", configured=False, lastError="no token"),
                        _account(accountId="e", healthState="failed", lastError="wrong token"),
                    ],
                    "whatsapp": [_account(healthState="logged-out", lastError="logged out")],
                },
            },
        )  # fmt: skip
        result = await self.run_clawgw("channels", "status")
        rows = [line.split("\t") for line in result.out.splitlines()[1:]]
        self.assertEqual(
            [[row[0], row[1], row[2], row[5]] for row in rows],
            [
                ["Telegram", "default", "connected as @bot�[2J", ""],
                ["Telegram", "b", "reconnecting, try 3", "no answer within 30 s"],
                ["Telegram", "c", "switched off", ""],
                ["Telegram", "d", "not configured", "no token"],
                ["Telegram", "e", "stopped", "wrong token"],
                ["whatsapp", "default", "logged out", ""],
            ],
        )
        self.assertIn("clawgw channels login whatsapp", result.err)

    async def test_asks_the_providers(self) -> None:
        self.answers(
            "channels.status",
            {
                "channelAccounts": {
                    "slack": [
                        _account(probe={"ok": True, "elapsedMs": 12}),
                        _account(probe={"ok": False, "error": "no such token"}),
                    ]
                }
            },
        )
        result = await self.run_clawgw("channels", "status", "--probe", "--channel", "slack")
        [params] = self.gateway.requests("channels.status")
        self.assertEqual((params["probe"], params["channel"]), (True, "slack"))
        self.assertIn("yes, in 12 ms", result.out)
        self.assertIn("no: no such token", result.out)

    async def test_nothing_is_configured(self) -> None:
        self.answers("channels.status", {"channelAccounts": {}})
        result = await self.run_clawgw("channels", "status")
        self.assertEqual(result.out, "No channel is configured.\n")
        self.assertIn("clawgw channels add", result.err)

    async def test_as_json(self) -> None:
        self.answers("channels.status", {"channelAccounts": {}, "ts": 1})
        result = await self.run_clawgw("--json", "channels", "status")
        self.assertEqual(result.json, {"channelAccounts": {}, "ts": 1})


class LoggingIn(CommandTestCase):
    timeout = 120

    def steps(self, *steps: dict[str, Any]) -> None:
        """What the Gateway answers, one after the other."""
        left = list(steps)
        for method in ("web.login.start", "web.login.wait"):
            self.gateway.methods[method] = lambda connection, frame: connection.answer(
                frame, left.pop(0)
            )

    async def test_shows_each_code_once_until_the_phone_is_linked(self) -> None:
        picture = {"qr": "2@one", "qrDataUrl": "data:image/png;base64,AAAA"}
        other = {"qr": "2@two", "qrDataUrl": "data:image/png;base64,BBBB"}
        self.steps(
            {"message": "Installing.", "connected": False},
            {"message": "Scan.", "connected": False, **picture},
            {"message": "Waiting.", "connected": False, **picture},
            {"message": "Scan.", "connected": False, **other},
            {"message": "Linked as +49.", "connected": True},
        )
        result = await self.run_clawgw("channels", "login", "whatsapp", "--account", "home")
        self.assertEqual(result.code, 0, result)
        blocks = result.out.split("█" * 25)
        self.assertEqual(len(blocks), 3, result.out)
        self.assertTrue(result.out.startswith("Installing.\nScan.\n"))
        self.assertTrue(result.out.endswith("Linked as +49.\n"))
        self.assertNotIn("Waiting.", result.out)
        [begun] = self.gateway.requests("web.login.start")
        self.assertEqual(begun, {"channel": "whatsapp", "accountId": "home", "force": False})
        shown = [one.get("currentQrDataUrl") for one in self.gateway.requests("web.login.wait")]
        first, second = picture["qrDataUrl"], other["qrDataUrl"]
        self.assertEqual(shown, [None, first, first, second])

    async def test_with_a_code_to_type(self) -> None:
        self.steps(
            {"message": "Type.", "connected": False, "code": "ABCD-1234"},
            {"message": "Waiting.", "connected": False, "code": "ABCD-1234"},
            {"message": "Linked.", "connected": True},
        )
        result = await self.run_clawgw("channels", "login", "--force", "--phone", "+4915100000")
        self.assertEqual(result.out.count("ABCD-1234"), 1)
        [begun] = self.gateway.requests("web.login.start")
        self.assertEqual(begun, {"force": True, "phone": "+4915100000"})

    async def test_as_json_one_step_a_line(self) -> None:
        steps = [{"message": "Scan.", "connected": False, "qr": "x"}, {"connected": True}]
        self.steps(*steps)
        result = await self.run_clawgw("--json", "channels", "login", "signal")
        self.assertEqual([json.loads(line) for line in result.out.splitlines()], steps)

    async def test_a_login_that_fails(self) -> None:
        self.refuses("web.login.start", "UNAVAILABLE", "npm could not install it")
        result = await self.run_clawgw("channels", "login", "whatsapp")
        self.assertEqual(result.code, 1)
        self.assertIn("npm could not install it", result.err)

    async def test_logging_out(self) -> None:
        answer = {"channel": "whatsapp", "accountId": "a", "cleared": True, "loggedOut": True}
        self.answers("channels.logout", answer)
        result = await self.run_clawgw("channels", "logout", "whatsapp", "--account", "a")
        self.assertEqual(result.out, "whatsapp (a) is logged out.\n")
        [params] = self.gateway.requests("channels.logout")
        self.assertEqual(params, {"channel": "whatsapp", "accountId": "a"})


class Sending(CommandTestCase):
    timeout = 120

    def setUp(self) -> None:
        super().setUp()
        self.answers("send", {"runId": "k", "channel": "slack", "chatId": "C1", "messageId": "7"})

    async def test_a_text(self) -> None:
        result = await self.run_clawgw(
            *("message", "send", "--channel", "slack", "--to", "#ops", "-m", "**hi**"),
            *("--reply-to", "5", "--thread", "6", "--silent", "--account", "work"),
        )
        self.assertEqual(result.out, "Delivered to slack:C1, message 7.\n", result)
        [params] = self.gateway.requests("send")
        self.assertTrue(params.pop("idempotencyKey"))
        self.assertEqual(
            params,
            {
                "to": "#ops", "channel": "slack", "accountId": "work", "message": "**hi**",
                "replyToId": "5", "threadId": "6", "silent": True,
            },
        )  # fmt: skip

    async def test_from_standard_input_with_a_key(self) -> None:
        await self.run_clawgw(
            *("message", "send", "-t", "1", "-m", "-", "--idempotency-key", "nightly"),
            stdin="line\nline\n",
        )
        [params] = self.gateway.requests("send")
        self.assertEqual(params["message"], "line\nline\n")
        self.assertEqual(params["idempotencyKey"], "nightly")

    async def test_files_of_this_machine_go_along(self) -> None:
        for name, content in (("a.txt", b"one"), ("b.png", b"\x89two")):
            (self.state / name).write_bytes(content)
        url = "https://example.org/c.jpg"
        await self.run_clawgw(
            *("message", "send", "--to", "1", "-m", "look", "--idempotency-key", "k"),
            *("--media", str(self.state / "a.txt"), "--media", url),
            *("--media", str(self.state / "b.png"), "--document"),
        )
        first, second = self.gateway.requests("send")
        self.assertEqual(
            first,
            {
                "to": "1", "message": "look", "idempotencyKey": "k", "forceDocument": True,
                "mediaUrls": [url], "filename": "a.txt",
                "buffer": base64.b64encode(b"one").decode(),
            },
        )  # fmt: skip
        self.assertEqual(second["filename"], "b.png")
        self.assertNotIn("message", second)
        self.assertEqual(second["idempotencyKey"], "k/2")

    async def test_what_cannot_be_sent(self) -> None:
        (self.state / "empty").touch()
        for arguments, complaint in (
            ((), "--message, --media"),
            (("-m", "  "), "--message, --media"),
            (("--media", str(self.state / "missing")), "No such file"),
            (("--media", str(self.state / "empty")), "is empty"),
            (("-m", "hi", "--channel", "fax"), "no channel 'fax'"),
        ):
            result = await self.run_clawgw("message", "send", "--to", "1", *arguments)
            self.assertEqual(result.code, 2)
            self.assertIn(complaint, result.err)
        self.assertEqual(self.gateway.requests("send"), [])

    async def test_a_file_that_is_too_large_for_the_gateway(self) -> None:
        hello = self.gateway.hello
        self.gateway.hello = lambda params: hello(params) | {"policy": {"maxPayload": 100_000}}  # type: ignore[method-assign]
        (self.state / "large").write_bytes(bytes(100_000))
        result = await self.run_clawgw(
            "message", "send", "--to", "1", "--media", str(self.state / "large")
        )
        self.assertEqual(result.code, 2, result)
        self.assertIn("too large", result.err)
        self.assertEqual(self.gateway.requests("send"), [])

    async def test_what_is_not_delivered_yet_is_said_to_be_safe(self) -> None:
        self.answers("send", {"runId": "k", "channel": "slack", "chatId": "C1", "queued": True})
        result = await self.run_clawgw("message", "send", "--to", "1", "-m", "hi")
        self.assertEqual((result.code, result.out), (0, ""))
        self.assertIn("delivers it as soon as it can", result.err)

    async def test_a_refusal(self) -> None:
        self.refuses("send", "UNAVAILABLE", "not delivered: chat not found")
        result = await self.run_clawgw("message", "send", "--to", "1", "-m", "hi")
        self.assertEqual(result.code, 1)
        self.assertIn("chat not found", result.err)

    async def test_a_poll(self) -> None:
        self.answers("poll", {"runId": "k", "channel": "discord", "chatId": "1"})
        poll = ("message", "poll", "--target", "channel:1", "--poll-question", "Lunch?")
        options = ("--poll-option", "Pizza", "--poll-option", "Sushi")
        result = await self.run_clawgw(
            *poll, *options, "--poll-multi", "--poll-duration-hours", "48", "--anonymous"
        )
        self.assertEqual(result.code, 0, result)
        [params] = self.gateway.requests("poll")
        self.assertTrue(params.pop("idempotencyKey"))
        self.assertEqual(
            params,
            {
                "to": "channel:1", "question": "Lunch?", "options": ["Pizza", "Sushi"],
                "maxSelections": 2, "durationHours": 48, "isAnonymous": True,
            },
        )  # fmt: skip
        result = await self.run_clawgw(*poll, "--option", "Pizza")
        self.assertEqual(result.code, 2)


class Strangers(CommandTestCase):
    timeout = 120
    ROW: ClassVar[Any] = {
        "channel": "telegram", "accountId": "default", "sender": "1001", "name": "Al\x07ice",
        "ts": 1,
    }  # fmt: skip

    async def test_lists_who_waits_and_who_was_let_in(self) -> None:
        approved = {**self.ROW, "sender": "2", "approvedAt": 5}
        pending = {**self.ROW, "code": "ABCDEFGH"}
        self.answers("channel.pair.list", {"pending": [pending], "approved": [approved]})
        result = await self.run_clawgw("pairing", "list", "telegram")
        self.assertIn("ABCDEFGH\ttelegram\tdefault\tAl�ice\t1001\t", result.out)
        self.assertIn("telegram\tdefault\tAl�ice\t2\t", result.out)
        self.assertEqual(self.gateway.requests("channel.pair.list"), [{"channel": "telegram"}])
        self.answers("channel.pair.list", {"pending": [], "approved": []})
        result = await self.run_clawgw("pairing", "list")
        self.assertIn("Nobody waits", result.out)

    async def test_approves_with_or_without_the_channel(self) -> None:
        self.answers("channel.pair.approve", {**self.ROW, "decision": "approved"})
        for words in (("telegram", "ABCDEFGH"), ("--channel", "telegram", "ABCDEFGH")):
            result = await self.run_clawgw("pairing", "approve", *words)
            self.assertEqual(result.out, "Al�ice (id 1001) may now write to telegram (default).\n")
        await self.run_clawgw("pairing", "approve", "ABCDEFGH")
        self.assertEqual(
            self.gateway.requests("channel.pair.approve"),
            [{"code": "ABCDEFGH", "channel": "telegram"}] * 2 + [{"code": "ABCDEFGH"}],
        )

    async def test_rejects_and_removes(self) -> None:
        self.answers("channel.pair.reject", {**self.ROW, "decision": "rejected"})
        result = await self.run_clawgw("pairing", "reject", "ABCDEFGH")
        self.assertIn("was turned away", result.out)
        self.answers("channel.pair.remove", {**self.ROW, "decision": "removed"})
        result = await self.run_clawgw("pairing", "remove", "telegram", "1001")
        self.assertIn("may no longer write", result.out)
        [params] = self.gateway.requests("channel.pair.remove")
        self.assertEqual(params, {"channel": "telegram", "sender": "1001"})

    async def test_nobody_is_let_in_by_guessing(self) -> None:
        for words in ((), ("fax", "ABCDEFGH"), ("a", "b", "c")):
            result = await self.run_clawgw("pairing", "approve", *words)
            self.assertEqual(result.code, 2)
        self.refuses("channel.pair.approve", "INVALID_REQUEST", "code: nobody waits")
        result = await self.run_clawgw("pairing", "approve", "ABCDEFGH")
        self.assertEqual(result.code, 1)


def _deferred(result: Any) -> Deferred[Any]:
    return ensureDeferred(result) if hasattr(result, "send") else maybeDeferred(lambda: result)
