"""The parts that need no sidecar: addresses, settings, the lock, the installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.whatsapp import exclusive
from clawgw.channels.whatsapp.addresses import chat_of, jid_of, parse_chat
from clawgw.channels.whatsapp.contract import Identity, Key, Message, Person
from clawgw.channels.whatsapp.inbound import inbound, quote, reply_id
from clawgw.channels.whatsapp.install import SOURCES, Installation
from clawgw.channels.whatsapp.run import run_program
from clawgw.channels.whatsapp.session import child_environment
from clawgw.channels.whatsapp.settings import WhatsAppSettings, locks_of

ME = Identity(jid="4915100000001@s.whatsapp.net", lid="999@lid", phone="+4915100000001")


class AddressTests(SynchronousTestCase):
    """How people write addresses."""

    def test_what_is_understood(self) -> None:
        for text, chat, jid in (
            ("+49 170 1234567", "+491701234567", "491701234567@s.whatsapp.net"),
            ("0049 (170) 123-4567", "+491701234567", "491701234567@s.whatsapp.net"),
            ("491701234567", "+491701234567", "491701234567@s.whatsapp.net"),
            ("whatsapp:+491701234567", "+491701234567", "491701234567@s.whatsapp.net"),
            ("491701234567@s.whatsapp.net", "+491701234567", "491701234567@s.whatsapp.net"),
            ("491701234567:12@s.whatsapp.net", "+491701234567", "491701234567@s.whatsapp.net"),
            ("123-456@g.us", "123-456@g.us", "123-456@g.us"),
            ("12345@lid", "12345@lid", "12345@lid"),
        ):
            self.assertEqual(parse_chat(text), chat)
            self.assertEqual(jid_of(chat), jid)
            self.assertEqual(chat_of(jid), chat)

    def test_what_is_not(self) -> None:
        for text in ("", "Anna", "+0170123456", "12", "1@newsletter", "a b@g.us", "٤٩١٧٠١٢٣٤٥٦٧"):
            with self.assertRaises(ValueError) as caught:
                parse_chat(text)
            self.assertIn("country code", str(caught.exception))


class InboundTests(SynchronousTestCase):
    """Messages whose writers hide their number."""

    def message(self, **more: Any) -> Message:
        """A message of somebody without a number."""
        fields: dict[str, Any] = {
            "seq": 1,
            "key": Key(id="A1", chat="12345@lid"),
            "chat": "12345@lid",
            "sender": Person(jid="12345@lid", lid="12345@lid"),
            "kind": "message",
            "text": "hello",
        }
        return Message(**{**fields, **more})

    def test_without_a_number(self) -> None:
        got = inbound(self.message(), ME)
        self.assertEqual((got.chat.id, got.sender.id), ("12345@lid", "12345@lid"))
        self.assertEqual(got.message_id, "12345@lid:A1")

    def test_the_number_becoming_known_makes_no_other_message(self) -> None:
        known = "491701234567@s.whatsapp.net"
        person = Person(jid=known, lid="12345@lid", phone="+491701234567")
        before = inbound(self.message(), ME)
        after = inbound(self.message(chat=known, sender=person), ME)
        self.assertEqual(before.message_id, after.message_id)
        self.assertEqual(after.chat.id, "+491701234567")
        self.assertIn("12345@lid", after.sender.names)

    def test_a_quote_names_the_writer_in_a_group(self) -> None:
        key = Key(id="A1", chat="1-2@g.us", participant="12345@lid")
        self.assertEqual(quote(reply_id(key)), {"id": "A1", "participant": "12345@lid"})
        self.assertEqual(quote(reply_id(Key(id="A1", chat="12345@lid"))), {"id": "A1"})
        self.assertEqual(quote("12345@lid:A1"), {"id": "A1"})

    def test_a_mention_of_somebody_else_stays(self) -> None:
        message = self.message(text="@12345 hello", mentions=("12345@lid",))
        got = inbound(message, ME)
        self.assertEqual((got.text, got.mentioned), ("@12345 hello", False))


class SettingsTests(SynchronousTestCase):
    """`channels.whatsapp`."""

    def test_node_is_missing(self) -> None:
        settings = WhatsAppSettings()
        missing = settings.configured({"PATH": "/nowhere"})
        self.assertIn("Node.js 20", missing or "")
        self.assertIsNone(settings.configured(os.environ))

    def test_openclaws_keys(self) -> None:
        section = {
            "dmPolicy": "allowlist",
            "allowFrom": ["+15551234567"],
            "selfChatMode": True,
            "sendReadReceipts": False,
            "textChunkLimit": 2000,
            "mediaMaxMb": 10,
            "ackReaction": {"emoji": "👀", "direct": True, "group": "mentions"},
            "groups": {"*": {"requireMention": True}},
            "accounts": {"work": {"authDir": "/somewhere"}},
        }
        settings = msgspec.convert(section, WhatsAppSettings)
        self.assertEqual(settings.ack_reaction.emoji, "👀")
        self.assertEqual(settings.accounts["work"].auth_dir, "/somewhere")

    def test_a_session_holds_its_login_and_is_the_only_one_of_the_host(self) -> None:
        login, home = Path("/login"), {"HOME": "/home/me"}
        own = login / "session.lock"
        for section, locks in (
            ({}, (Path("/home/me/.clawgw-whatsapp.lock"), own)),
            ({"socketUrl": "ws://127.0.0.1:1"}, (own,)),
            ({"command": ["sidecar"]}, (own,)),
        ):
            settings = msgspec.convert(section, WhatsAppSettings)
            self.assertEqual(locks_of(login, settings, home), locks)

    def test_an_empty_command_is_none(self) -> None:
        with self.assertRaises(msgspec.ValidationError):
            msgspec.convert({"command": []}, WhatsAppSettings)

    def test_the_sidecar_gets_no_secrets(self) -> None:
        environ = {
            "PATH": "/bin",
            "NODE_OPTIONS": "--x",
            "npm_config_registry": "https://npm.example",
            "CLAWGW_GATEWAY_TOKEN": "secret",
            "SLACK_BOT_TOKEN": "secret",
        }
        passed = {"PATH", "NODE_OPTIONS", "npm_config_registry"}
        self.assertEqual(set(child_environment(environ)), passed)


class LockTests(TestCase):
    """One process at a time, for as long as it lives."""

    timeout = 240

    def command(self, lock: str, *program: str) -> list[str]:
        """What runs a program under the lock."""
        return [sys.executable, "-I", exclusive.__file__, lock, *program]

    async def test_the_next_one_waits_for_the_end_of_the_first(self) -> None:
        lock, trace = os.path.abspath(self.mktemp()), Path(self.mktemp()).absolute()
        write = "import sys, time; f = open(sys.argv[1], 'a'); f.write(sys.argv[2]); f.flush();"
        first = f"{write} time.sleep(0.5); f.write(sys.argv[2])"
        words = [sys.executable, "-I", "-c"]
        running = [
            self.run_program(self.command(lock, *words, first, str(trace), letter))
            for letter in "aba"
        ]
        for each in running:
            done = await each
            self.assertTrue(done.well, done.words)
        self.assertIn(trace.read_text(), ("aabbaa", "aaaabb", "bbaaaa"))

    async def test_several_locks_are_held_together(self) -> None:
        one, other = os.path.abspath(self.mktemp()), os.path.abspath(self.mktemp())
        held = (
            "import fcntl, sys\n"
            "for path in sys.argv[1:]:\n"
            "    try: fcntl.flock(open(path), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "    except BlockingIOError: print('held')"
        )
        words = [sys.executable, "-I", "-c", held, one, other]
        done = await self.run_program(self.command(one, *self.command(other, *words)))
        self.assertTrue(done.well, done.words)
        self.assertEqual(done.output.split(), ["held", "held"])

    def run_program(self, command: list[str]) -> Any:
        """Run a program."""
        return ensureDeferred(run_program(reactor, command, env=os.environ, seconds=120))

    async def test_a_program_that_is_not_there(self) -> None:
        lock = os.path.abspath(self.mktemp())
        done = await self.run_program(self.command(lock, "/nowhere/node"))
        self.assertFalse(done.well)
        self.assertIn("cannot start /nowhere/node", done.output)


class InstallTests(TestCase):
    """The sidecar is installed once, with npm."""

    timeout = 600

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.bin = Path(self.mktemp()).absolute()
        self.bin.mkdir(parents=True)
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin"}

    def program(self, name: str, script: str) -> None:
        """Put a program on the PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def installation(self, environ: dict[str, str] | None = None) -> Installation:
        """An installation in this test's directory."""
        return Installation(
            reactor,
            self.directory,
            environ or self.environ,
            lambda function, *args, **named: succeed(function(*args, **named)),
            Logger(),
        )

    async def test_with_the_real_npm(self) -> None:
        environ = child_environment(os.environ)
        installation = self.installation(environ)
        self.assertIsNone(await installation.find())
        command = await installation.install()
        self.assertEqual(await installation.find(), command)
        ask = '{"jsonrpc":"2.0","id":1,"method":"status"}'
        script = f'echo \'{ask}\' | exec "$0" "$1"'
        done = await run_program(
            reactor, ["/bin/sh", "-c", script, *command], env=environ, seconds=240
        )
        self.assertIn('"linked":false', done.output)
        self.assertFalse((Path(command[1]).parent / "node_modules" / "jest").exists())

    async def test_once_per_version(self) -> None:
        self.program("node", "echo v22.0.0")
        self.program("npm", 'echo "$@" > npm-was-here; mkdir node_modules')
        installation = self.installation()
        command = await installation.install()
        self.assertEqual(await installation.find(), command)
        place = Path(command[1]).parent
        self.assertIn("ci --omit=dev --ignore-scripts", (place / "npm-was-here").read_text())
        self.assertTrue((place / "package-lock.json").is_file())
        self.patch(sys.modules["clawgw.channels.whatsapp.install"], "SOURCES", self.other_version())
        self.assertIsNone(await installation.find())
        other = await installation.install()
        self.assertNotEqual(other, command)
        self.assertFalse(place.exists())

    async def test_it_is_on_the_disk_before_it_has_its_name(self) -> None:
        self.program("node", "echo v22.0.0")
        self.program("npm", "mkdir node_modules")
        places: list[bool] = []
        installation = self.installation()

        def sync() -> None:
            [fresh] = self.directory.glob("sidecar/.*")
            places.append((fresh / "node_modules").is_dir())
            places.append(any(self.directory.glob("sidecar/[0-9a-f]*")))

        self.patch(os, "sync", sync)
        command = await installation.install()
        self.assertEqual(places, [True, False])
        self.assertTrue(Path(command[1]).is_file())

    def other_version(self) -> Path:
        """The sources of another version of the sidecar."""
        other = Path(self.mktemp()).absolute()
        other.mkdir(parents=True)
        for source in SOURCES.glob("*.*"):
            if source.is_file():
                (other / source.name).write_bytes(source.read_bytes() + b"\n")
        return other

    async def test_npm_fails(self) -> None:
        self.program("node", "echo v22.0.0")
        self.program("npm", "echo no network >&2; exit 1")
        with self.assertRaises(Fault) as caught:
            await self.installation().install()
        self.assertIn("no network", str(caught.exception))
        self.assertIsNone(await self.installation().find())

    async def test_node_is_too_old(self) -> None:
        self.program("node", "echo v18.19.0")
        with self.assertRaises(Fatal) as caught:
            await self.installation().find()
        self.assertIn("v18.19.0", str(caught.exception))

    async def test_node_or_npm_is_missing(self) -> None:
        nothing = {"PATH": str(self.bin)}
        with self.assertRaises(Fatal) as caught:
            await self.installation(nothing).find()
        self.assertIn("install them", str(caught.exception))
        self.program("node", "echo v22.0.0")
        with self.assertRaises(Fatal):
            await self.installation(nothing).install()

    async def test_a_program_that_does_not_end_is_killed(self) -> None:
        done = await run_program(reactor, ["/bin/sleep", "30"], env=self.environ, seconds=0.1)
        self.assertFalse(done.well)
        self.assertIn("more than", done.words)
        await deferLater(reactor, 0)
