"""What the fakes of `signal-cli` and `imsg` have in common: JSON-RPC, over a child or a socket.

The fake lives in the test's process, so that its state survives whatever is killed. It is reached
in two ways, and answers the same on both: through `tests/channels/fake_child.py`, a program that a
Gateway starts as its child and that only carries lines between its pipes and the fake; and, for
`signal-cli`, on a port of its own like the daemon's.

It can be told to misbehave: see `Fault`.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

CHILD = Path(__file__).with_name("fake_child.py")


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


@dataclass
class Fault:
    """What goes wrong with the next calls of a method.

    Attributes:
        method: which, `*` for any.
        kind: `refuse`: answers `error` and does nothing; `silence`: does it, and never answers;
            `die`: goes away before doing it; `act-and-die`: does it, and goes away without an
            answer; `delay`: answers `seconds` later; `hold`: answers at `release`; `garbage`:
            writes lines that are no JSON-RPC before the answer; `twice`: answers two times.
        times: for how many calls.
        account: only calls for this account.
    """

    method: str
    kind: str
    times: int = 1
    error: Refusal | None = None
    seconds: float = 0.0


@dataclass
class Call:
    """A request as it came."""

    method: str
    params: dict[str, Any]
    id: Any
    session: Session


class Session:
    """One client: a child's pipes, or a connection to the daemon."""

    def __init__(self, fake: FakeRpc, argv: list[str]) -> None:
        self.fake = fake
        self.argv = argv
        self.open = True
        self.input_ended = False
        self.busy = 0
        self.queue: deque[Call] = deque()
        self.state: dict[str, Any] = {}

    # What a transport is

    def write(self, text: str, written: Callable[[], None] | None = None) -> None:
        """Write text; `written` is called when it is out of the child's hands."""
        raise NotImplementedError

    def end(self, code: int, complaint: str = "") -> None:
        """Go away; a child says `complaint` on its standard error first."""
        raise NotImplementedError

    def say(self, message: Mapping[str, Any], written: Callable[[], None] | None = None) -> None:
        """Write one JSON-RPC message."""
        if self.open:
            self.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n", written)

    def hear(self, line: str) -> None:
        """A line of input."""
        try:
            message = json.loads(line)
        except ValueError:
            error = {"code": -32700, "message": "Parse error", "data": None}
            self.say({"id": None, "error": error})
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            error = {"code": -32600, "message": "method field must be set", "data": None}
            self.say({"id": None, "error": error})
            return
        params = message.get("params")
        call = Call(
            message["method"],
            params if isinstance(params, dict) else {},
            message.get("id"),
            self,
        )
        self.busy += 1
        self.queue.append(call)
        if not self.fake.serial or self.busy == 1:
            self.fake.handle(self.queue.popleft())

    def done(self) -> None:
        """A request has been dealt with."""
        self.busy -= 1
        if self.queue and self.open:
            self.fake.handle(self.queue.popleft())
        self.input_closed()

    def input_closed(self) -> None:
        """No more input: go when everything has been answered, as these programs do."""
        if self.input_ended and self.open and self.busy == 0:
            self.end(0)


class FakeRpc(Factory):
    """The common part of a fake: sessions, faults, and what was asked.

    Attributes:
        calls: every request, in order.
        complaints: what a client got wrong that the real program would let pass.
        sessions: those that are open.
        serial: whether a request is only begun when the one before has been answered.
    """

    serial = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.calls: list[Call] = []
        self.complaints: list[str] = []
        self.sessions: list[Session] = []
        self.started = 0
        self.protocols: set[Protocol] = set()
        self._faults: list[Fault] = []
        self._held: list[tuple[Call, Any]] = []
        self._ports: list[Any] = []
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self.relay_port = 0

    # For tests

    async def start(self) -> None:
        """Begin to listen for children."""
        self.relay_port = self._listen(_Relay)

    async def stop(self) -> None:
        """Close everything."""
        self.cut()
        while self._ports:
            await maybeDeferred(self._ports.pop().stopListening)
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()  # type: ignore[union-attr]
        await self.until(lambda: not self.protocols)

    def listen_daemon(self) -> str:
        """Listen like a daemon; returns the address `tcp:host:port`."""
        return f"tcp:127.0.0.1:{self._listen(_Daemon)}"

    def listen_socket(self, path: str) -> str:
        """The same at a UNIX socket."""
        factory = Factory.forProtocol(_Daemon)
        factory.fake = self  # type: ignore[attr-defined]
        self._ports.append(self.reactor.listenUNIX(path, factory))
        return f"unix:{path}"

    @property
    def command(self) -> list[str]:
        """The words that start a child of this fake; a client's own arguments follow."""
        return [sys.executable, "-I", "-S", str(CHILD), str(self.relay_port), "--"]

    def fault(self, method: str, kind: str, **details: Any) -> None:
        """Let something go wrong; see `Fault`."""
        self._faults.append(Fault(method, kind, **details))

    def release(self) -> None:
        """Give the answers that were held."""
        held, self._held = self._held, []
        for call, result in held:
            self._reply(call, result)

    def cut(self) -> None:
        """Every child dies and every connection is lost, in the middle of whatever they do."""
        for session in list(self.sessions):
            session.end(137)

    def called(self, method: str) -> list[dict[str, Any]]:
        """The params of all calls of a method."""
        return [call.params for call in self.calls if call.method == method]

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when something happened that makes the condition true."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append((condition, deferred))
        self.changed()
        return deferred

    # For fakes

    def answer(self, call: Call) -> Any:
        """Do what is asked: a result, a Deferred, or `Refusal`."""
        raise NotImplementedError

    def opened(self, session: Session) -> None:
        """A client is there."""

    def closed(self, session: Session) -> None:
        """A client has gone."""

    def changed(self) -> None:
        """Something happened."""
        for condition, deferred in list(self._waiting):
            if not deferred.called and condition():  # one that goes on may change more
                self._waiting.remove((condition, deferred))
                deferred.callback(None)

    def handle(self, call: Call) -> None:
        """A request came in."""
        self.calls.append(call)
        fault = self._next_fault(call.method)
        kind = fault.kind if fault else ""
        if kind == "die":
            call.session.end(137)
        elif kind == "refuse":
            assert fault is not None
            self._reply(call, Failure(fault.error or Refusal(-1, "refused")))
        else:
            work = maybeDeferred(self.answer, call)
            work.addBoth(self._answered, call, fault)
        self.changed()

    def _answered(self, result: Any, call: Call, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if kind == "act-and-die":
            call.session.end(137)
        elif kind == "silence":
            call.session.done()
        elif fault is not None and kind == "delay":
            self.reactor.callLater(fault.seconds, self._reply, call, result)
        elif kind == "hold":
            self._held.append((call, result))
        else:
            if kind == "garbage":
                call.session.write('INFO  Starting\n{"jsonrpc": "2.0", "id"\n[]\n\u0000\udcff\n')
            self._reply(call, result)
            if kind == "twice":
                call.session.busy += 1
                self._reply(call, result)
        self.changed()

    def _reply(self, call: Call, result: Any) -> None:
        if not isinstance(result, Failure):
            call.session.say({"result": result, "id": call.id})
        elif result.check(Refusal):
            problem = result.value
            assert isinstance(problem, Refusal)
            error = {"code": problem.code, "message": str(problem), "data": problem.data}
            call.session.say({"error": error, "id": call.id})
        else:
            result.printTraceback()
            self.complaints.append(f"the fake itself failed: {result.value!r}")
        call.session.done()

    def _next_fault(self, method: str) -> Fault | None:
        for fault in self._faults:
            if fault.method in (method, "*"):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def _listen(self, protocol: type[Protocol]) -> int:
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        factory.fake = self  # type: ignore[attr-defined]
        port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self._ports.append(port)
        return int(port.getHost().port)

    def add(self, session: Session) -> None:
        """A transport has a client."""
        self.sessions.append(session)
        self.started += 1
        self.opened(session)
        self.changed()

    def remove(self, session: Session) -> None:
        """It is gone."""
        if session in self.sessions:
            session.open = False
            self.sessions.remove(session)
            self.closed(session)
            self.changed()


class _ChildSession(Session):
    def __init__(self, fake: FakeRpc, argv: list[str], relay: _Relay) -> None:
        super().__init__(fake, argv)
        self._relay = relay
        self._written: dict[int, Callable[[], None]] = {}
        self._count = 0

    def write(self, text: str, written: Callable[[], None] | None = None) -> None:
        self._count += 1
        if written is not None:
            self._written[self._count] = written
        self._relay.frame({"out": text, "n": self._count if written else 0})

    def wrote(self, number: int) -> None:
        written = self._written.pop(number, None)
        if written is not None:
            written()

    def end(self, code: int, complaint: str = "") -> None:
        if self.open:
            self._relay.frame({"exit": code, "err": complaint})
            self.fake.remove(self)


class _Relay(LineOnlyReceiver):
    """One child of somebody's: it says what its arguments are, then carries lines."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 28
    session: _ChildSession | None = None

    def frame(self, frame: dict[str, Any]) -> None:
        self.sendLine(json.dumps(frame).encode())

    def lineReceived(self, line: bytes) -> None:
        frame = json.loads(line)
        if self.session is None:
            fake: FakeRpc = self.factory.fake  # type: ignore[union-attr]
            self.session = _ChildSession(fake, frame["argv"], self)
            fake.add(self.session)
        elif not self.session.open:
            pass
        elif "in" in frame:
            self.session.hear(frame["in"])
        elif "wrote" in frame:
            self.session.wrote(frame["wrote"])
        elif "eof" in frame:
            self.session.input_ended = True
            self.session.input_closed()

    def connectionMade(self) -> None:
        self.factory.fake.protocols.add(self)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        fake: FakeRpc = self.factory.fake  # type: ignore[union-attr]
        if self.session is not None:
            fake.remove(self.session)
        fake.protocols.discard(self)
        fake.changed()


class _SocketSession(Session):
    def __init__(self, fake: FakeRpc, daemon: _Daemon) -> None:
        super().__init__(fake, ["daemon"])
        self._daemon = daemon

    def write(self, text: str, written: Callable[[], None] | None = None) -> None:
        self._daemon.transport.write(text.encode("utf-8", "surrogateescape"))  # type: ignore[union-attr]
        if written is not None:
            written()

    def end(self, code: int, complaint: str = "") -> None:
        if self.open:
            self._daemon.transport.abortConnection()  # type: ignore[union-attr]
            self.fake.remove(self)


class _Daemon(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 28

    def connectionMade(self) -> None:
        fake: FakeRpc = self.factory.fake  # type: ignore[union-attr]
        self.session = _SocketSession(fake, self)
        fake.protocols.add(self)
        fake.add(self.session)

    def lineReceived(self, line: bytes) -> None:
        if self.session.open:
            self.session.hear(line.decode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        fake = self.session.fake
        fake.remove(self.session)
        fake.protocols.discard(self)
        fake.changed()


@dataclass
class Check:
    """What a parameter may be."""

    kind: type | tuple[type, ...]
    required: bool = False
    many: bool = False
    names: tuple[str, ...] = field(default_factory=tuple)


def checked(
    params: dict[str, Any], checks: Mapping[str, Check], refuse: Callable[[str], Refusal]
) -> tuple[dict[str, Any], list[str]]:
    """The params by name with every type checked, and the names nobody knows."""
    known: dict[str, Any] = {}
    for name, check in checks.items():
        value = next((params[key] for key in (name, *check.names) if key in params), None)
        if value is None:
            if check.required:
                raise refuse(f"{name} is required")
            continue
        if check.many:
            value = value if isinstance(value, list) else [value]
        for item in value if check.many else [value]:
            if not isinstance(item, check.kind) or (
                isinstance(item, bool) and check.kind is not bool
            ):
                raise refuse(f"{name} has a wrong type")
        known[name] = value
    every = {name for key, check in checks.items() for name in (key, *check.names)}
    return known, sorted(set(params) - every)
