"""The Signal channel with the real signal-cli: as far as one comes without an account at Signal.

It is started, talked to, followed through its file and ended by the same code as in the Gateway.
Nothing here goes out to the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from clawgw.channels.adapter import LoggedOut
from clawgw.channels.child import RpcLink, open_link, parse_address
from clawgw.channels.signal.adapter import SignalAdapter
from clawgw.channels.signal.settings import SignalAccount
from clawgw.channels.signal.spool import Spool, SpooledProcess
from clawgw.jsonrpc import RpcError
from tests.channels.fake_host import FakeHost, Running
from tests.channels.signal import fake
from tests.interop import signal_cli
from tests.support.ports import free_port

STRANGER = "+15550001111"
VERSION = "0.13.19"


class SignalCli(TestCase):
    """One data directory, without accounts."""

    timeout = 300

    def setUp(self) -> Any:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.host = FakeHost(reactor, self.directory)
        self.host.environ = signal_cli.environment(self.directory)
        work = self.host.in_thread(signal_cli.program)
        return work.addCallback(lambda path: setattr(self, "program", path))

    program: str

    def nothing(self, method: str, params: dict[str, Any]) -> None:
        """Nothing is received without an account."""
        raise AssertionError(f"signal-cli says {method}")

    async def link(self, where: Any) -> RpcLink:
        link = await open_link(
            self.reactor,
            where,
            name="signal-cli",
            env=self.host.environ,
            on_request=lambda *_: None,
            on_notification=self.nothing,
            connect_timeout=30,
        )
        self.addCleanup(link.stop)
        return link

    async def spooled(self) -> tuple[SpooledProcess, Path, Spool]:
        """A child that writes to a file, not started yet."""
        spool = Spool(self.reactor, self.directory / "spool", self.host.in_thread)
        path, descriptor = await spool.new()
        child = SpooledProcess(
            self.reactor,
            "signal-cli",
            self.host.in_thread,
            path,
            descriptor,
            on_request=lambda *_: None,
            on_notification=self.nothing,
        )
        return child, path, spool

    async def refused(self, work: Any) -> RpcError:
        with self.assertRaises(RpcError) as caught:
            await work
        return caught.exception

    async def talk(self, link: RpcLink) -> None:
        """What a `signal-cli` without accounts answers, whatever the link is made of."""
        self.assertEqual(await link.request("version", {}, timeout=120), {"version": VERSION})
        self.assertEqual(await link.request("listAccounts", {}, timeout=60), [])
        params = {"account": STRANGER, "recipient": ["+15550002222"], "message": "x"}
        error = await self.refused(link.request("send", params, key="a" * 32, timeout=60))
        self.assertEqual((error.code, str(error)), (-32602, "Specified account does not exist"))

    async def test_as_a_child(self) -> None:
        link = await self.link([self.program, "jsonRpc", "--receive-mode", "manual"])
        await self.talk(link)
        await link.stop()

    async def test_it_knows_every_method_we_and_our_fake_know(self) -> None:
        link = await self.link([self.program, "jsonRpc", "--receive-mode", "manual"])
        for method in sorted(set(fake.METHODS) - {*fake.WITHOUT_ACCOUNT, "subscribeReceive"}):
            error = await self.refused(link.request(method, {"account": STRANGER}, timeout=120))
            self.assertEqual((method, error.code), (method, -32602))
        unknown = await self.refused(link.request("finishLink", {"deviceLinkUri": "sgnl://x"}))
        self.assertEqual((unknown.code, str(unknown)), (-1, "Unknown device link uri."))
        nothing = await self.refused(link.request("noSuchMethod", {}))
        self.assertEqual(nothing.code, -32601)

    async def test_as_a_child_that_writes_to_a_file(self) -> None:
        child, path, _ = await self.spooled()
        words = [self.program, "jsonRpc", "--ignore-attachments", "--ignore-stories"]
        child.start(words, env=self.host.environ)
        self.addCleanup(child.stop)
        await self.talk(child)
        await child.stop()
        self.assertEqual(path.read_bytes().count(b'"id":"' + b"a" * 32), 1)

    async def test_what_was_asked_is_still_answered_when_the_asker_is_gone(self) -> None:
        """Our promise after a kill rests on this: it does what is in its input, then ends."""
        child, path, spool = await self.spooled()
        child.start([self.program, "jsonRpc"], env=self.host.environ)
        for number in range(20):
            child.request("version", {}, key=f"k{number}").addErrback(lambda _: None)
        child.transport.closeStdin()  # type: ignore[union-attr]
        self.assertEqual(await child.ended, "it ended with exit code 0")
        await spool.complete(path)
        lines, _ = await spool.lines(path, 0)
        self.assertEqual(len(lines), 20)

    async def test_the_adapter_says_that_nothing_is_linked(self) -> None:
        for account, says in ((None, "no account is linked"), (STRANGER, "+15550001111 is not")):
            settings = SignalAccount(account=account, cli_path=self.program)
            running = Running(SignalAdapter("default", settings, self.host))
            problem = await running.ended()
            self.assertIsInstance(problem, LoggedOut, repr(problem))
            self.assertIn(says, str(problem))

    async def test_as_a_daemon(self) -> None:
        socket = f"/tmp/clawgw-{free_port()}"  # the path of a socket must be short
        address = f"tcp:127.0.0.1:{free_port()}"
        daemon = Daemon()
        words = [self.program, "daemon", "--tcp", address[4:], "--socket", socket]
        self.reactor.spawnProcess(daemon, words[0], words, env=self.host.environ)
        self.addCleanup(daemon.stop)
        await daemon.up
        for where in (address, f"unix:{socket}"):
            await self.talk(await self.link(parse_address(where)))
            settings = SignalAccount(socket=where)
            problem = await Running(SignalAdapter("default", settings, self.host)).ended()
            self.assertIsInstance(problem, LoggedOut, repr(problem))


class Daemon(ProcessProtocol):
    """A `signal-cli daemon` of the operator's."""

    def __init__(self) -> None:
        self.up: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.said = b""

    def errReceived(self, data: bytes) -> None:
        self.said += data
        if self.said.count(b"Started JSON-RPC server") == 2 and not self.up.called:
            self.up.callback(None)

    def processEnded(self, reason: Failure) -> None:
        reason.trap(ProcessDone, ProcessTerminated)
        if not self.up.called:
            self.up.errback(AssertionError(f"the daemon did not start: {self.said!r}"))
        self.gone.callback(None)

    def stop(self) -> Deferred[None]:
        if not self.gone.called:
            self.transport.signalProcess("TERM")  # type: ignore[union-attr]
        return self.gone
