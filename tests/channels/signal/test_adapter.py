"""The Signal adapter against the fake of `signal-cli`."""

from __future__ import annotations

import json
import os
import shutil
import signal as signals
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import ProcessProtocol

from clawgw.channels.adapter import (
    Fatal,
    Fault,
    LoggedOut,
    SendLater,
    SendRefused,
    SendUnknown,
    Unsupported,
)
from clawgw.channels.messages import Media, OutMedia
from clawgw.channels.signal import adapter as module
from clawgw.channels.signal import outgoing
from tests.channels.fake_host import Running
from tests.channels.fake_rpc import Refusal
from tests.channels.signal.cases import BOT, SignalCase
from tests.channels.signal.fake import unsuccessful


class Receiving(SignalCase):
    """From Signal to the host."""

    async def test_a_direct_message_and_one_of_a_group(self) -> None:
        _, host = await self.connected()
        first = self.fake.write(self.alice, "hello")
        self.fake.write(self.alice, "all of you", group=self.group)
        await host.until(lambda: len(host.messages) == 2)
        direct, grouped = host.messages
        self.assertEqual(direct.message_id, f"{self.alice.uuid}:{first}")
        self.assertEqual((direct.chat.kind, direct.chat.id), ("direct", self.alice.uuid))
        self.assertEqual(direct.sender.names, ("+15552222222", f"uuid:{self.alice.uuid}"))
        self.assertEqual((grouped.chat.kind, grouped.chat.id), ("group", self.group.id))
        self.assertEqual(grouped.chat.title, "Friends")
        self.assertEqual(host.details[0]["name"], BOT)

    async def test_what_waited_comes_in_order_and_in_batches(self) -> None:
        for number in range(3000):
            self.fake.write(self.alice, f"m{number}")
        _, host = await self.connected()
        await host.until(lambda: len(host.messages) == 3000)
        self.assertEqual(host.texts, [f"m{number}" for number in range(3000)])
        self.assertEqual(host.again, [])
        self.assertLess(len(host.batches), 500)

    async def test_nonsense_is_stepped_over(self) -> None:
        _, host = await self.connected()
        self.fake.say_to_all('INFO something\n{"jsonrpc"\n{"method": "receive", "params": 7}\n')
        self.fake.say_to_all('{"method": "receive", "params": {"envelope": {"timestamp": "x"}}}\n')
        self.fake.say_to_all('{"method": "unheardOf", "params": {}}\n')
        self.fake.write(self.alice, "x" * 3_000_000)
        self.fake.write(self.alice, "still there")
        await host.until(lambda: len(host.messages) == 2)
        self.assertEqual(host.texts[1], "still there")

    async def test_one_that_cannot_be_read_is_a_note(self) -> None:
        _, host = await self.connected()
        content = {"sourceUuid": self.alice.uuid, "timestamp": 7, "dataMessage": {"message": [1]}}
        params = {"account": BOT, "envelope": content}
        self.fake.say_to_all(json.dumps({"method": "receive", "params": params}) + "\n")
        self.fake.write(self.alice, "still there")
        await host.until(lambda: len(host.messages) == 2)
        self.assertEqual(host.texts, ["[a message that cannot be read here]", "still there"])

    async def test_a_child_that_dies_is_made_again_and_nothing_is_lost(self) -> None:
        adapter = self.adapter()
        host: Any = adapter.host
        for life in range(4):
            running = await self.start(adapter)
            for number in range(50):
                self.fake.write(self.alice, f"{life}.{number}")
            if life < 3:
                self.fake.cut()
                problem = await running.ended()
                self.assertIsInstance(problem, Fault)
                self.assertNotIsInstance(problem, Fatal)
                self.assertIn("signal-cli: it ended with exit code 137", str(problem))
        await host.until(lambda: len(host.messages) == 200)
        self.assertEqual(len(set(host.texts)), 200)
        left = list((self.directory / "spool").iterdir())
        self.assertEqual(len(left), 1)
        self.assertEqual(left[0].stat().st_mode & 0o777, 0o600)

    async def test_what_could_not_be_stored_is_there_the_next_time(self) -> None:
        await self.check_a_full_disk(lambda text: self.fake.write(self.alice, text))

    async def test_a_file_that_has_become_too_large_is_replaced(self) -> None:
        self.patch(module, "SPOOL_LIMIT", 100_000)
        adapter = self.adapter()
        host: Any = adapter.host
        running = await self.start(adapter)
        for number in range(300):
            self.fake.write(self.alice, f"m{number}")
        self.assertIsNone(await running.ended())
        await self.start(adapter)
        await host.until(lambda: len(host.messages) == 300)
        self.assertEqual(host.texts, [f"m{number}" for number in range(300)])

    async def test_messages_from_our_other_devices_are_our_own(self) -> None:
        _, host = await self.connected()
        sent = {
            "destinationNumber": self.alice.number,
            "destinationUuid": self.alice.uuid,
            "timestamp": 5,
            "message": "from my phone",
        }
        self.fake.envelope(self.account.person, syncMessage={"sentMessage": sent})
        await host.until(lambda: bool(host.messages))
        (message,) = host.messages
        self.assertEqual((message.own, message.chat.id), (True, self.alice.uuid))

    async def test_being_mentioned(self) -> None:
        _, host = await self.connected()
        bot = self.account.person
        hidden = {"number": None, "uuid": bot.uuid, "name": "The bot", "start": 0, "length": 1}
        self.fake.write(self.alice, "\ufffc what is up?", group=self.group, mentions=[hidden])
        await host.until(lambda: bool(host.messages))
        (message,) = host.messages
        self.assertEqual((message.mentioned, message.text), (True, "what is up?"))

    async def test_files(self) -> None:
        adapter, host = await self.connected()
        picture = self.fake.attachment("cat.png", "image/png", b"png" * 1000)
        self.fake.write(self.alice, "look", attachments=[picture])
        await host.until(lambda: bool(host.messages))
        (media,) = host.messages[0].media
        self.assertEqual((media.kind, media.name, media.size), ("image", "cat.png", 3000))
        path = self.directory / "file"
        fetched = await adapter.fetch(media, path, 10_000)
        self.assertEqual(path.read_bytes(), b"png" * 1000)
        self.assertEqual((fetched.path, fetched.size), (str(path), 3000))
        said = await self.fails(adapter.fetch(media, path, 100), SendRefused)
        self.assertIn("more than 100", str(said))
        gone = Media(kind="file", ref={"id": "gone.bin", "recipient": self.alice.uuid})
        await self.fails(adapter.fetch(gone, path, 100), SendRefused)

    async def test_files_on_this_machine_are_copied(self) -> None:
        data = self.directory / ".local/share/signal-cli/attachments"
        data.mkdir(parents=True)
        (data / "abc.png").write_bytes(b"here")
        (data.parent / "secret").write_bytes(b"secret")
        adapter = self.adapter()
        path = self.directory / "file"
        media = Media(kind="image", ref={"id": "abc.png", "recipient": self.alice.uuid})
        self.assertEqual((await adapter.fetch(media, path, 10)).size, 4)
        outside = Media(kind="image", ref={"id": "../secret", "recipient": self.alice.uuid})
        await self.fails(adapter.fetch(outside, path, 10), SendLater)
        self.assertEqual(path.read_bytes(), b"here")


class Sending(SignalCase):
    """From the outbox to Signal."""

    async def test_to_people_and_groups(self) -> None:
        adapter, _ = await self.connected()
        for chat, to in (
            (self.alice.uuid, self.alice.number),
            (self.alice.number or "", self.alice.number),
            (self.group.id, self.group.id),
        ):
            made = await adapter.send(self.target(chat), self.part(chat[:8], "hi"))
            sent = self.fake.sent[-1]
            self.assertEqual((sent.to, sent.text), (to, "hi"))
            self.assertEqual(made, f"{BOT}:{sent.timestamp}")

    async def test_styles_and_what_it_replies_to(self) -> None:
        adapter, host = await self.connected()
        timestamp = self.fake.write(self.alice, "what is bold?")
        await host.until(lambda: bool(host.messages))
        part = self.part(1, "this is", styles=("0:4:BOLD",), reply_to=host.messages[0].message_id)
        await adapter.send(self.target(self.alice.uuid), part)
        (sent,) = self.fake.sent
        self.assertEqual(sent.styles, ["0:4:BOLD"])
        self.assertEqual(sent.quote, (timestamp, self.alice.uuid, "what is bold?"))

    async def test_files(self) -> None:
        adapter, _ = await self.connected()
        path = self.directory / "x1"
        path.write_bytes(b"\x00data")
        media = OutMedia(path=str(path), kind="file", mime_type="text/x-y", name="ä b;c,.txt")
        await adapter.send(self.target(self.alice.uuid), self.part(1, "see", media=media))
        (sent,) = self.fake.sent
        self.assertEqual(sent.attachments, [("ä b;c,.txt", "text/x-y", b"\x00data")])
        path.unlink()
        refused = adapter.send(self.target(self.alice.uuid), self.part(2, "see", media=media))
        self.assertIn("cannot be read", str(await self.fails(refused, SendRefused)))

    async def test_typing_and_receipts(self) -> None:
        adapter, host = await self.connected(send_read_receipts=True)
        timestamp = self.fake.write(self.alice, "hi", group=self.group)
        await host.until(lambda: bool(host.messages))
        await adapter.seen(host.messages[0])
        await adapter.typing(self.target(self.group.id))
        self.assertEqual(self.fake.receipts[0]["targetTimestamp"], [timestamp])
        self.assertEqual(self.fake.typing[0]["groupId"], [self.group.id])

    async def test_no_receipts_unless_wanted(self) -> None:
        adapter, host = await self.connected()
        self.fake.write(self.alice, "hi")
        await host.until(lambda: bool(host.messages))
        await adapter.seen(host.messages[0])
        self.assertEqual(self.fake.called("sendReceipt"), [])

    async def test_refusals(self) -> None:
        adapter, _ = await self.connected()
        to_alice = self.target(self.alice.uuid)
        address = {"uuid": self.alice.uuid, "number": None}
        table: list[tuple[Any, type[Exception], str]] = [
            (unsuccessful(address, "UNREGISTERED_FAILURE"), SendRefused, "not at Signal"),
            (unsuccessful(address, "IDENTITY_FAILURE"), SendRefused, "safety number"),
            (unsuccessful(address, "NETWORK_FAILURE"), SendLater, "cannot reach"),
            (unsuccessful(address, "RATE_LIMIT_FAILURE"), SendLater, "no more messages"),
        ]
        for number, (error, kind, says) in enumerate(table):
            self.fake.fault("send", "refuse", error=error)
            problem = await self.fails(adapter.send(to_alice, self.part(number, "x")), kind)
            self.assertIn(says, str(problem))
        self.assertEqual((problem.retry_after, problem.account_wide), (60.0, True))
        self.assertEqual(self.fake.sent, [])
        unknown = adapter.send(self.target("+15557777777"), self.part(9, "x"))
        await self.fails(unknown, SendRefused)

    async def test_a_group_of_which_some_do_not_get_it(self) -> None:
        """Those who have it would get it twice, so it is sent, and the log tells of the others."""
        adapter, _ = await self.connected()
        results = [{"type": "SUCCESS"}, {"type": "NETWORK_FAILURE"}]
        self.patch(self.fake, "_do_send", lambda *_: {"timestamp": 7, "results": results})
        told = self.said("did not reach")
        made = await adapter.send(self.target(self.group.id), self.part(1, "x"))
        self.assertEqual(made, f"{BOT}:7")
        await told

    async def test_a_captcha_is_asked_for(self) -> None:
        adapter = self.adapter()
        await self.start(adapter)
        error = unsuccessful({}, "RATE_LIMIT_FAILURE", token="tok-1", retryAfterSeconds=86400)
        self.fake.fault("send", "refuse", error=error)
        problem = await self.fails(
            adapter.send(self.target(self.alice.uuid), self.part(1, "x")), SendLater
        )
        self.assertEqual(problem.retry_after, 86400)
        host: Any = adapter.host
        self.assertIn("--challenge tok-1 --captcha", host.warnings[0])

    async def test_nothing_runs(self) -> None:
        adapter = self.adapter()
        await self.fails(adapter.send(self.target(BOT), self.part(1, "x")), SendLater)
        await self.fails(adapter.find(self.target(BOT), self.part(1, "x")), SendLater)
        await self.fails(adapter.typing(self.target(BOT)), SendLater)
        await self.fails(adapter.probe(), Fault)


class Unknowns(SignalCase):
    """A send whose answer does not come, or comes late."""

    async def test_the_answer_comes_late(self) -> None:
        self.patch(outgoing, "SEND_SECONDS", 0.2)
        adapter, _ = await self.connected()
        self.fake.fault("send", "hold")
        target, part = self.target(self.alice.uuid), self.part(1, "x")
        await self.fails(adapter.send(target, part), SendUnknown)
        await self.fails(adapter.find(target, part), SendLater)
        await self.fails(adapter.send(target, part), SendLater)
        await self.fake.until(lambda: len(self.fake.sent) == 1)
        self.fake.release()
        found = None
        while found is None:
            try:
                found = await adapter.find(target, part)
            except SendLater:
                pause: Deferred[None] = Deferred()
                self.reactor.callLater(0.05, pause.callback, None)
                await pause
        self.assertEqual(found, f"{BOT}:{self.fake.sent[0].timestamp}")

    async def test_an_answer_that_never_comes_ends_the_child(self) -> None:
        self.patch(outgoing, "SEND_SECONDS", 0.1)
        self.patch(outgoing, "HUNG_SECONDS", 0.1)
        adapter = self.adapter()
        running = await self.start(adapter)
        self.fake.fault("send", "silence")
        target, part = self.target(self.alice.uuid), self.part(1, "x")
        await self.fails(adapter.send(target, part), SendUnknown)
        ended = Deferred.fromCoroutine(running.ended())
        while not ended.called:
            await self.fails(adapter.find(target, part), (SendLater, Unsupported))
            pause: Deferred[None] = Deferred()
            self.reactor.callLater(0.05, pause.callback, None)
            await pause
        self.assertIsInstance(await ended, Fault)
        await self.start(adapter)
        await self.fails(adapter.find(target, part), Unsupported)

    async def test_an_answer_that_leaves_it_open(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        target = self.target(self.alice.uuid)
        self.patch(self.fake, "_do_send", lambda *_: {"results": []})
        await self.fails(adapter.send(target, self.part(1, "x")), SendUnknown)
        self.fake.fault("send", "refuse", error=unsuccessful({}, "NETWORK_FAILURE"))
        await self.fails(adapter.send(target, self.part(2, "x")), SendLater)
        broken = Refusal(-32603, "Index 0 out of bounds (IndexOutOfBoundsException)")
        self.fake.fault("send", "refuse", error=broken)
        await self.fails(adapter.send(target, self.part(3, "x")), SendUnknown)
        for again in (None, self.adapter()):  # the Gateway's next life knows it, too
            if again is not None:
                await running.stop()
                adapter = again
                await self.start(adapter)
            await self.fails(adapter.find(target, self.part(1, "x")), Unsupported)
            self.assertIsNone(await adapter.find(target, self.part(2, "x")))
            await self.fails(adapter.find(target, self.part(3, "x")), Unsupported)

    async def test_the_child_is_killed_in_the_middle(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        self.fake.fault("send", "act-and-die")
        target, part = self.target(self.alice.uuid), self.part(1, "x")
        await self.fails(adapter.send(target, part), SendUnknown)
        await running.ended()
        for again in (adapter, self.adapter()):  # the Gateway's next life knows it, too
            running = await self.start(again)
            await self.fails(again.find(target, part), Unsupported)
            self.assertIsNone(await again.find(target, self.part(2, "never tried")))
            await running.stop()

    async def test_stopped_while_the_child_is_ending(self) -> None:
        """What it was sending is in doubt, and not under way for ever."""
        adapter = self.adapter()
        running = await self.start(adapter)
        self.fake.fault("send", "hold")
        target, part = self.target(self.alice.uuid), self.part(1, "x")
        sending = Deferred.fromCoroutine(adapter.send(target, part))
        await self.fake.until(lambda: bool(self.fake.called("send")))
        running.cancel()
        await running.stop()
        await self.fails(sending, SendUnknown)
        await self.start(adapter)
        await self.fails(adapter.find(target, part), Unsupported)

    async def test_what_a_kill_of_the_gateway_leaves_behind(self) -> None:
        """The real thing: kill -9 of a process that runs the adapter and stores nothing."""
        victim = await Victim.start(self.reactor, self.fake.command, self.directory)
        self.addCleanup(victim.end)
        texts = [f"m{number}" for number in range(200)]
        for text in texts:
            self.fake.write(self.alice, text)
        await self.fake.until(lambda: len(self.fake.calls) >= 2)
        # Both are under way when the Gateway is killed: signal-cli answers to nobody.
        self.fake.fault("send", "hold", times=2)
        victim.send(self.alice.uuid, "a" * 32)
        victim.send(self.alice.uuid, "b" * 32)
        await self.fake.until(lambda: len(self.fake.sent) == 2)
        await victim.kill()
        self.fake.release()
        adapter, host = await self.connected()
        await host.until(lambda: len(host.messages) >= 200)
        self.assertEqual(host.texts, texts)
        for number, name in enumerate("ab"):
            found = await adapter.find(self.target(self.alice.uuid), self.part(name * 32))
            self.assertEqual(found, f"{BOT}:{self.fake.sent[number].timestamp}")
        missing = await adapter.find(self.target(self.alice.uuid), self.part("c" * 32))
        self.assertIsNone(missing)
        self.assertEqual(len(self.fake.sent), 2)


class Victim(ProcessProtocol):
    """A process that runs an adapter, to be killed."""

    def __init__(self) -> None:
        self.up: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.said = b""

    @classmethod
    async def start(cls, reactor: Any, command: list[str], directory: Path) -> Victim:
        victim = cls()
        root = Path(__file__).parents[3]
        words = [sys.executable, "-m", "tests.channels.signal.victim", BOT, str(directory)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
        reactor.spawnProcess(
            victim, sys.executable, [*words, *command], env=environment, path=str(root)
        )
        await victim.up
        return victim

    def outReceived(self, data: bytes) -> None:
        self.said += data
        if b"up\n" in self.said and not self.up.called:
            self.up.callback(None)

    def errReceived(self, data: bytes) -> None:
        sys.stderr.write(data.decode())  # it has nothing to complain of

    def send(self, chat: str, key: str) -> None:
        line = json.dumps({"chat": chat, "key": key}) + "\n"
        self.transport.write(line.encode())  # type: ignore[union-attr]

    async def kill(self) -> None:
        self.transport.signalProcess(signals.SIGKILL)  # type: ignore[union-attr]
        await self.gone

    def end(self) -> Any:
        if not self.gone.called:
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]
            return self.gone
        return None

    def processEnded(self, reason: Any) -> None:
        if not self.up.called:
            self.up.errback(AssertionError("the victim did not start"))
        self.gone.callback(None)


class Daemons(SignalCase):
    """A daemon of the operator's."""

    async def test_over_tcp(self) -> None:
        adapter = self.adapter(socket=self.fake.listen_daemon())
        self.assertFalse(adapter.capabilities.finds)
        running = await self.start(adapter)
        host: Any = adapter.host
        self.fake.write(self.alice, "hi")
        await host.until(lambda: bool(host.messages))
        await adapter.send(self.target(self.alice.uuid), self.part(1, "yo"))
        self.assertEqual(self.fake.calls[-1].params["account"], BOT)
        self.fake.cut()
        self.assertIn("connection", str(await running.ended()))

    async def test_what_cannot_be_stored_at_once_is_stored_later(self) -> None:
        self.patch(module, "STORE_PAUSE", 0.05)
        adapter = self.adapter(socket=self.fake.listen_daemon())
        running = await self.start(adapter)
        host: Any = adapter.host
        for text in ("at last", "and when it is stopped"):
            host.broken = True
            self.fake.write(self.alice, text)
            await self.said("tried again")
            host.broken = False
            if text == "at last":
                await host.until(lambda: host.texts == ["at last"])
        await running.stop()
        self.assertEqual(host.texts, ["at last", "and when it is stopped"])

    async def test_stopped_while_the_last_words_are_stored(self) -> None:
        self.patch(module, "STORE_PAUSE", 0.05)
        adapter = self.adapter(socket=self.fake.listen_daemon())
        running = await self.start(adapter)
        host: Any = adapter.host
        host.broken = True
        self.fake.write(self.alice, "the last words")
        await self.said("tried again")
        running.cancel()
        await self.said("tried again")
        stopped = Deferred.fromCoroutine(running.stop())
        host.broken = False
        await stopped
        self.assertEqual(host.texts, ["the last words"])

    async def test_over_a_unix_socket_in_manual_mode(self) -> None:
        short = tempfile.mkdtemp()  # as the path of a socket must be
        path = Path(short, "socket")
        adapter = self.adapter(
            socket=self.fake.listen_socket(str(path)), receive_mode="manual", account=None
        )
        running = await self.start(adapter)
        host: Any = adapter.host
        await self.fake.until(lambda: bool(self.fake.called("subscribeReceive")))
        self.fake.write(self.alice, "hi")
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.messages[0].text, "hi")
        await running.stop()
        await self.fake.stop()
        shutil.rmtree(short)

    async def test_what_a_daemon_says_before_it_says_who_it_is(self) -> None:
        for number in range(20):
            self.fake.write(self.alice, f"m{number}")
        _, host = await self.connected(socket=self.fake.listen_daemon(), account=None)
        await host.until(lambda: len(host.messages) == 20)
        self.assertEqual(host.texts, [f"m{number}" for number in range(20)])

    async def test_what_a_daemon_says_at_once_may_be_meant_for_us(self) -> None:
        """Who we are was learned the last time."""
        bot = self.account.person
        self.values["uuid"] = bot.uuid
        hidden = {"number": None, "uuid": bot.uuid, "name": "The bot", "start": 0, "length": 1}
        self.fake.write(self.alice, "\ufffc what is up?", group=self.group, mentions=[hidden])
        _, host = await self.connected(socket=self.fake.listen_daemon())
        await host.until(lambda: bool(host.messages))
        self.assertEqual(host.messages[0].mentioned, True)

    async def test_messages_for_other_accounts_are_not_ours(self) -> None:
        self.fake.account("+15553333333")
        _, host = await self.connected(socket=self.fake.listen_daemon())
        self.fake.write(self.alice, "one")
        self.fake.write(self.alice, "two")
        await host.until(lambda: len(host.messages) == 2)
        self.assertEqual(host.again, [])

    async def test_one_that_runs_for_one_account(self) -> None:
        self.fake.daemon_account = BOT
        adapter, host = await self.connected(socket=self.fake.listen_daemon())
        self.fake.write(self.alice, "hi")
        await host.until(lambda: bool(host.messages))
        await adapter.send(self.target(self.alice.uuid), self.part(1, "yo"))
        self.assertNotIn("account", self.fake.calls[-1].params)
        nameless = self.adapter(socket=self.fake.listen_daemon(), account=None)
        self.assertIn("does not tell its number", str(await Running(nameless).ended()))

    async def test_a_socket_that_is_none(self) -> None:
        problem = await Running(self.adapter(socket="tcp:host:99999")).ended()
        self.assertIsInstance(problem, Fatal)
        self.assertIn("channels.signal.socket: 'tcp:host:99999' is neither", str(problem))

    async def test_nothing_listens(self) -> None:
        running = Running(self.adapter(socket="tcp:127.0.0.1:1"))
        problem = await running.ended()
        self.assertIsInstance(problem, Fault)
        self.assertIn("nothing answers at tcp:127.0.0.1:1", str(problem))

    async def test_another_account(self) -> None:
        running = Running(self.adapter(socket=self.fake.listen_daemon(), account="+4915111111111"))
        self.assertIsInstance(await running.ended(), LoggedOut)
        self.fake.account("+15553333333")
        running = Running(self.adapter(socket=self.fake.listen_daemon(), account=None))
        self.assertIn("several accounts", str(await running.ended()))


class Accounts(SignalCase):
    """Which account, and whether it is linked."""

    async def test_the_program_is_not_there(self) -> None:
        running = Running(self.adapter(command=("no-such-program-here",)))
        problem = await running.ended()
        self.assertIsInstance(problem, Fatal)
        self.assertIn("install signal-cli", str(problem))

    async def test_the_account_is_not_linked(self) -> None:
        running = Running(self.adapter(account="+4915111111111"))
        problem = await running.ended()
        self.assertIsInstance(problem, LoggedOut)
        self.assertIn("clawgw channels login signal", str(problem))

    async def test_there_is_no_account(self) -> None:
        self.fake.accounts.clear()
        problem = await Running(self.adapter(account=None)).ended()
        self.assertIsInstance(problem, LoggedOut)
        self.assertIn("no account is linked: run", str(problem))

    async def test_the_only_account_needs_no_name(self) -> None:
        adapter = self.adapter(account=None)
        running = await self.start(adapter)
        self.assertEqual((await adapter.probe())["number"], BOT)
        await running.stop()
        self.fake.account("+15553333333")
        self.assertIn("several", str(await Running(adapter).ended()))

    async def test_it_ends_while_it_is_asked_for_its_accounts(self) -> None:
        self.fake.fault("listAccounts", "die")
        problem = await Running(self.adapter(account=None)).ended()
        self.assertEqual(str(problem), "signal-cli: it ended with exit code 137")
        problem = await Running(self.adapter(account=None, command=("no-such-one",))).ended()
        self.assertIn("install signal-cli", str(problem))

    async def test_it_ends_before_it_is_up(self) -> None:
        self.fake.fault("version", "die")
        problem = await Running(self.adapter()).ended()
        self.assertEqual(str(problem), "signal-cli: it ended with exit code 137")
        self.assertNotIsInstance(problem, LoggedOut)

    async def test_it_does_not_start_in_time(self) -> None:
        self.fake.fault("version", "silence")
        running = Running(self.adapter(startup_timeout_ms=1000))
        self.assertIn("did not start within 1 s", str(await running.ended()))

    async def test_unlinked_at_the_phone(self) -> None:
        adapter = self.adapter()
        running = await self.start(adapter)
        self.fake.unlink(BOT)
        self.assertIsInstance(await running.ended(), Fault)
        self.assertIsInstance(await Running(adapter).ended(), LoggedOut)

    async def test_checking_before_it_is_configured(self) -> None:
        for settings in ({}, {"account": None}, {"socket": self.fake.listen_daemon()}):
            self.assertEqual(await self.adapter(**settings).check(), {"number": BOT})
        await self.fails(self.adapter(account="+4915111111111").check(), LoggedOut)
        await self.fails(self.adapter(command=("no-such-program-here",)).check(), Fatal)
        self.fake.fault("listAccounts", "die")
        await self.fails(self.adapter().check(), Fault)


class Throughput(SignalCase):
    """Many at once."""

    async def test_many_sends_at_the_same_time(self) -> None:
        adapter, _ = await self.connected()
        work = [
            Deferred.fromCoroutine(
                adapter.send(self.target(self.alice.uuid), self.part(number, f"m{number}"))
            )
            for number in range(300)
        ]
        results = await DeferredList(work)
        self.assertTrue(all(ok for ok, _ in results))
        self.assertEqual(len({made for _, made in results}), 300)
        self.assertEqual(len(self.fake.sent), 300)
