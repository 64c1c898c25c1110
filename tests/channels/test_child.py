"""A channel's JSON-RPC link: the same to an adapter, whether a child or a daemon is behind it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from clawgw import jsonrpc
from clawgw.channels import child
from clawgw.channels.child import Address, RpcLink, open_link, parse_address
from clawgw.jsonrpc import ProcessGone, RpcError, RpcTimeout
from tests.support.ports import hold_port

ECHO = """
import json, sys
print(json.dumps({"jsonrpc": "2.0", "method": "up", "params": {"pid": 1}}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"id": message["id"], "result": message["params"]}), flush=True)
"""


class Daemon(LineOnlyReceiver):
    """The other end of a socket: says `up`, then answers as the test wants."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 26

    def connectionMade(self) -> None:
        self.factory.connections.append(self)  # type: ignore[union-attr]
        self.say({"method": "up", "params": {}})

    def lineReceived(self, line: bytes) -> None:
        message = json.loads(line)
        self.factory.heard.append(message)  # type: ignore[union-attr]
        if "method" in message:
            self.factory.answer(self, message)  # type: ignore[union-attr]

    def say(self, message: dict[str, Any]) -> None:
        self.sendLine(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.lost.callback(None)  # type: ignore[union-attr]


class DaemonFactory(Factory):
    """All connections to it, all it heard."""

    protocol = Daemon

    def __init__(self) -> None:
        self.connections: list[Daemon] = []
        self.heard: list[dict[str, Any]] = []
        self.lost: Deferred[None] = Deferred()
        self.answer: Callable[[Daemon, dict[str, Any]], None] = echo


def echo(daemon: Daemon, message: dict[str, Any]) -> None:
    if "id" in message:
        daemon.say({"id": message["id"], "result": message["params"]})


class Addresses(SynchronousTestCase):
    """What may stand in the configuration."""

    def test_the_two_kinds(self) -> None:
        for text, address in (
            ("tcp:127.0.0.1:7583", Address(host="127.0.0.1", port=7583)),
            ("tcp:[::1]:7583", Address(host="::1", port=7583)),
            ("tcp:signal.example.org:1", Address(host="signal.example.org", port=1)),
            ("unix:/run/signal cli/socket", Address(path="/run/signal cli/socket")),
        ):
            self.assertEqual(parse_address(text), address)
            self.assertEqual(str(address), text)

    def test_anything_else(self) -> None:
        for text in (
            *("", "tcp:", "tcp::1", "tcp:host", "tcp:host:", "tcp:host:0", "tcp:host:70000"),
            *("tcp:host:٣", "unix:", "unix:relative", "http://host:1", "signal-cli jsonRpc"),
        ):
            with self.assertRaises(ValueError) as caught:
                parse_address(text)
            self.assertIn("'tcp:host:port' nor 'unix:/path'", str(caught.exception))


class LinkTestCase(TestCase):
    """A link, and all it said."""

    timeout = 120

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.heard: list[str] = []
        self.up: Deferred[None] = Deferred()

    def hear(self, method: str, _: dict[str, Any]) -> None:
        self.heard.append(method)
        if not self.up.called:
            self.up.callback(None)

    async def open(self, where: list[str] | Address, **more: Any) -> RpcLink:
        link = await open_link(
            self.reactor,
            where,
            name="the link",
            env=more.pop("env", {"PATH": os.environ["PATH"]}),
            on_request=more.pop("on_request", lambda *_: None),
            on_notification=self.hear,
            connect_timeout=more.pop("connect_timeout", 20.0),
            **more,
        )
        self.addCleanup(link.stop)
        return link

    async def fails(self, work: Any, kind: type[Exception]) -> str:
        with self.assertRaises(kind) as caught:
            await work
        return str(caught.exception)


class ToAChild(LinkTestCase):
    """A command."""

    async def test_talking_and_stopping(self) -> None:
        link = await self.open([sys.executable, "-u", "-c", ECHO])
        await self.up
        self.assertEqual(await link.request("m", {"n": 1}, timeout=20), {"n": 1})
        first, second = link.ended, link.ended
        await link.stop()
        self.assertEqual((await first, await second), ("it was stopped", "it was stopped"))
        self.assertEqual(await link.ended, "it was stopped")

    async def test_its_end_is_told_with_the_reason(self) -> None:
        link = await self.open([sys.executable, "-c", "import sys; input(); sys.exit(4)"])
        said = await self.fails(link.request("m", {}), ProcessGone)
        self.assertEqual(said, "it ended with exit code 4")
        self.assertEqual(await link.ended, said)

    async def test_where_it_runs(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        script = "import json, os; print(json.dumps({'id': 1, 'result': os.getcwd()})); input()"
        link = await self.open(
            [sys.executable, "-u", "-c", f"input(); {script}"], cwd=str(directory)
        )
        self.assertEqual(await link.request("m", {}, timeout=20), str(directory))

    async def test_what_opens_the_gateway_is_withheld(self) -> None:
        script = "import json, os; print(json.dumps({'id': 1, 'result': sorted(os.environ)}))"
        env = {
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "CLAWGW_GATEWAY_TOKEN": "x",
            "OPENCLAW_GATEWAY_PASSWORD": "x", "TELEGRAM_BOT_TOKEN": "x",
        }  # fmt: skip
        link = await self.open([sys.executable, "-u", "-c", f"input(); {script}; input()"], env=env)
        self.assertEqual(await link.request("m", {}, timeout=20), ["LC_ALL", "PATH"])

    async def test_no_such_program(self) -> None:
        said = await self.fails(self.open(["no-such-program-here"]), ProcessGone)
        self.assertEqual(said, "there is no program 'no-such-program-here'")


class ToADaemon(LinkTestCase):
    """An address."""

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        self.daemon = DaemonFactory()
        self.port = self.reactor.listenTCP(0, self.daemon, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.address = Address(host="127.0.0.1", port=self.port.getHost().port)

    async def test_talking_and_stopping(self) -> None:
        link = await self.open(self.address)
        await self.up
        self.assertEqual(await link.request("m", {"text": "ü\n"}, timeout=20), {"text": "ü\n"})
        link.notify("told", {"n": 1})
        ended = link.ended
        await link.stop()
        self.assertEqual(await ended, "it was stopped")
        await self.daemon.lost
        self.assertEqual(
            self.daemon.heard[-1], {"jsonrpc": "2.0", "method": "told", "params": {"n": 1}}
        )
        self.assertIn("stopped", await self.fails(link.request("m", {}), ProcessGone))
        await link.stop()

    async def test_by_a_unix_socket(self) -> None:
        with tempfile.TemporaryDirectory() as directory:  # a UNIX socket's path must be short
            path = os.path.join(directory, "socket")
            port = self.reactor.listenUNIX(path, self.daemon)
            link = await self.open(Address(path=path))
            self.assertEqual(await link.request("m", {"n": 2}, timeout=20), {"n": 2})
            await link.stop()
            await port.stopListening()

    async def test_being_asked(self) -> None:
        def answer(method: str, params: dict[str, Any]) -> Any:
            if method == "good":
                return params
            raise RpcError(jsonrpc.METHOD_NOT_FOUND, "no")

        link = await self.open(self.address, on_request=answer)
        await self.up
        (daemon,) = self.daemon.connections
        daemon.say({"id": "a", "method": "good", "params": {"n": 1}})
        daemon.say({"id": "b", "method": "bad"})
        await link.request("m", {}, timeout=20)
        await link.request("m", {}, timeout=20)  # our answers have passed it by now
        by_id = {message["id"]: message for message in self.daemon.heard}
        self.assertEqual(by_id["a"]["result"], {"n": 1})
        self.assertEqual(by_id["b"]["error"]["code"], jsonrpc.METHOD_NOT_FOUND)

    async def test_a_daemon_that_does_not_answer(self) -> None:
        self.daemon.answer = lambda *_: None
        link = await self.open(self.address)
        said = await self.fails(link.request("send", {}, timeout=0.05), RpcTimeout)
        self.assertIn("no answer to send", said)

    async def test_a_daemon_that_closes(self) -> None:
        self.daemon.answer = lambda daemon, _: daemon.transport.loseConnection()  # type: ignore[union-attr]
        link = await self.open(self.address)
        said = await self.fails(link.request("m", {}, timeout=20), ProcessGone)
        self.assertEqual(said, "it closed the connection")
        self.assertEqual(await link.ended, said)

    async def test_a_connection_that_is_cut(self) -> None:
        self.daemon.answer = lambda daemon, _: daemon.transport.abortConnection()  # type: ignore[union-attr]
        link = await self.open(self.address)
        said = await self.fails(link.request("m", {}, timeout=20), ProcessGone)
        self.assertEqual(said, "the connection was lost")

    async def test_a_line_that_is_too_long(self) -> None:
        self.patch(jsonrpc, "MAX_LINE", 100_000)
        self.daemon.answer = lambda daemon, _: daemon.transport.write(b"x" * 1_000_000)  # type: ignore[union-attr]
        link = await self.open(self.address)
        said = await self.fails(link.request("m", {}, timeout=20), ProcessGone)
        self.assertEqual(said, "it wrote a line of more than 100000 bytes")
        await self.daemon.lost

    async def test_a_daemon_that_does_not_read(self) -> None:
        self.patch(jsonrpc, "MAX_UNREAD", 200_000)
        link = await self.open(self.address)
        await self.up
        self.daemon.connections[0].transport.pauseProducing()  # type: ignore[union-attr]
        ended = link.ended
        # More than a loopback's buffers hold.
        for _ in range(200):
            link.notify("m", {"text": "x" * 100_000})
        self.assertEqual(await ended, "it does not read what it is sent")

    async def test_stopping_does_not_wait_for_one_that_does_not_read(self) -> None:
        self.patch(child, "CLOSE_SECONDS", 0.1)
        link = await self.open(self.address)
        await self.up
        self.daemon.connections[0].transport.pauseProducing()  # type: ignore[union-attr]
        link.notify("m", {"text": "x" * 20_000_000})
        ended = link.ended
        await link.stop()
        self.assertEqual(await ended, "it was stopped")

    async def test_nothing_listens_there(self) -> None:
        address = Address("127.0.0.1", hold_port(self))
        said = await self.fails(self.open(address), ProcessGone)
        self.assertEqual(said, f"nothing answers at {address}: the connection was refused")
        said = await self.fails(self.open(Address(path="/no/such/socket")), ProcessGone)
        self.assertIn("nothing answers at unix:/no/such/socket: ", said)

    async def test_the_connection_takes_too_long(self) -> None:
        # 192.0.2.0/24 is for documentation; where even that is refused at once, the words differ.
        work = self.open(Address(host="192.0.2.1", port=9), connect_timeout=0.05)
        said = await self.fails(work, ProcessGone)
        self.assertIn("nothing answers at tcp:192.0.2.1:9: ", said)
