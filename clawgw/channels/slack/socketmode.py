"""Socket Mode: the WebSocket over which Slack tells what happens.

`apps.connections.open` gives an address that works once; Slack greets with `hello`, then sends
envelopes, each to be acknowledged on the socket it came by, else it is sent again. A socket lives
for some hours. Before its end Slack says `disconnect`: the next socket is opened while the old one
still works, so that there is no gap, and the old one stays until its envelopes are acknowledged.
(https://docs.slack.dev/apis/events-api/using-socket-mode/)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.logger import Logger

from clawgw.channels.adapter import Fatal, Fault
from clawgw.channels.slack.api import Json, SlackApi, SlackError, as_fault
from clawgw.channels.websocket import Closed, Socket, SocketUnreachable, open_socket

HELLO_SECONDS = 10.0
PING_SECONDS = 15.0
RETIRE_SECONDS = 30.0
"""How long a replaced socket is kept for its acknowledgements, when Slack does not end it."""

MOST_OPENINGS, OPENINGS_SECONDS = 6, 10.0
"""More sockets in so short a time are not a refresh but trouble."""

KINDS = ("events_api", "interactive", "slash_commands")

Acknowledge = Callable[[], None]


class Envelope(NamedTuple):
    """What Slack sent, and how to say that it has arrived."""

    kind: str
    payload: Json
    acknowledge: Acknowledge


class SocketMode:
    """Keeps one socket open, or two while one replaces the other.

    Args:
        api: with the app's token.
        warn: shows a trouble in the status.
    """

    def __init__(
        self, reactor: Any, api: SlackApi, warn: Callable[[str], None], log: Logger
    ) -> None:
        self._reactor = reactor
        self._api = api
        self._warn = warn
        self._log = log
        self._lines: set[_Line] = set()
        self._opened: deque[float] = deque(maxlen=MOST_OPENINGS)
        self._paused = False
        self._crowded = False

    async def run(
        self, on_envelope: Callable[[Envelope], None], on_connected: Callable[[], None]
    ) -> None:
        """Stay connected until that is no longer possible; cancelled to stop.

        Args:
            on_envelope: takes each envelope, in order; must not raise.
            on_connected: called once, when the first socket is greeted.

        Raises:
            Fault, Fatal: why it is not.
        """
        self._on_envelope = on_envelope
        try:
            line = await self._open()
            on_connected()
            self._look_around(line)
            while True:
                reason = await line.leaving()
                if line.ended is not None:
                    raise Fault(f"the connection to Slack ended: {_words(line.ended)}")
                trouble = _trouble(reason)
                if trouble is not None:
                    raise trouble
                line, old = await self._successor(line), line
                self._look_around(line)
                old.retire(RETIRE_SECONDS)
        finally:
            await self._close()

    def pause(self, paused: bool) -> None:
        """Whether to stop reading, because there is more than can be stored."""
        if paused != self._paused:
            self._paused = paused
            for line in self._lines:
                line.pause(paused)

    async def _successor(self, old: _Line) -> _Line:
        """A socket in place of one that will end; as long as that one works, it can take a while.

        Raises:
            Fault, Fatal
        """
        while True:
            try:
                return await self._open()
            except Fatal:
                raise
            except Fault as problem:
                if old.ended is not None:
                    raise
                self._log.info("no new connection to Slack yet: {why}", why=str(problem))
                await old.gone_within(self._reactor, problem.retry_after or 1.0)

    async def _open(self) -> _Line:
        """A greeted socket.

        Raises:
            Fault, Fatal
        """
        now = self._reactor.seconds()
        if len(self._opened) == MOST_OPENINGS and now - self._opened[0] < OPENINGS_SECONDS:
            raise Fault("Slack ends every connection at once")
        self._opened.append(now)
        line = _Line(self._on_envelope, self._log)
        try:
            await line.open(self._reactor, await self.address())
        except SocketUnreachable as problem:
            raise Fault(str(problem)) from None
        self._lines.add(line)
        line.when_ended(lambda: self._lines.discard(line))
        if self._paused:
            line.pause(True)
        await line.greeted(self._reactor)
        return line

    def _look_around(self, line: _Line) -> None:
        """Whether somebody else is connected with the same token, when this line was greeted."""
        others = line.count - len(self._lines)
        if others > 0:
            self._crowded = True
            self._warn(
                f"Slack counts {others} other connection(s) of this app; if another program uses "
                "the same app token, each gets only a part of the messages"
            )
        elif self._crowded:
            self._crowded = False
            self._warn("")

    async def address(self) -> str:
        """An address to connect to, good for once.

        Raises:
            Fault, Fatal: there is none.
        """
        try:
            answer = await self._api.call("apps.connections.open")
        except SlackError as problem:
            raise as_fault(problem, "appToken") from None
        url = answer.get("url")
        if not isinstance(url, str):
            raise Fault("Slack gave no address for the connection")
        return url

    async def _close(self) -> None:
        await DeferredList([line.close() for line in tuple(self._lines)])


class _Line:
    """One socket; `count` is how many of the app there are, this one included."""

    count = 1

    def __init__(self, on_envelope: Callable[[Envelope], None], log: Logger) -> None:
        self._on_envelope = on_envelope
        self._log = log
        self._socket: Socket
        self._retiring: Any = None
        self._hello: Deferred[None] = Deferred()
        self._leaving: Deferred[str] = Deferred()
        self.ended: Closed | None = None

    async def open(self, reactor: Any, url: str) -> None:
        """Connect; raises `SocketUnreachable`."""
        self._reactor = reactor
        self._socket = await open_socket(
            reactor, url, on_message=self._message, ping_interval=PING_SECONDS
        )
        self._socket.closed.addCallback(self._closed)

    async def greeted(self, reactor: Any) -> None:
        """Wait for `hello`; raises `Fault`."""
        self._hello.addTimeout(HELLO_SECONDS, reactor)
        try:
            await self._hello
        except TimeoutError:
            await self.close()
            raise Fault("Slack did not greet the connection") from None
        except Fault:
            await self.close()
            raise

    async def leaving(self) -> str:
        """Wait until Slack says that it will end the socket, and why; or until it has ended."""
        return await self._leaving

    async def gone_within(self, reactor: Any, seconds: float) -> None:
        """Wait so long, or until the socket has ended."""
        gone = self._socket.closed
        gone.addTimeout(seconds, reactor, onTimeoutCancel=lambda _, __: None)
        await gone

    def when_ended(self, tell: Callable[[], object]) -> None:
        self._socket.closed.addCallback(lambda _: tell())

    def pause(self, paused: bool) -> None:
        if paused:
            self._socket.pause()
        else:
            self._socket.resume()

    def retire(self, seconds: float) -> None:
        """End it after a while, if Slack does not."""
        if self.ended is None:
            self._retiring = self._reactor.callLater(seconds, self._socket.close)

    def close(self) -> Deferred[Closed]:
        """End it; fires when it is gone."""
        return self._socket.close()

    def _closed(self, closed: Closed) -> None:
        self.ended = closed
        if self._retiring is not None and self._retiring.active():
            self._retiring.cancel()
        if not self._hello.called:
            self._hello.errback(Fault(f"Slack ended the connection at once: {_words(closed)}"))
        self._leave("closed")

    def _leave(self, reason: str) -> None:
        if not self._leaving.called:
            self._leaving.callback(reason)

    def _message(self, raw: str | bytes, is_binary: bool) -> None:
        try:
            message = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._log.warn("Slack sent something that is not a JSON object; ignored")
            return
        kind = message.get("type")
        if kind == "hello":
            if not self._hello.called:
                count = message.get("num_connections")
                self.count = count if isinstance(count, int) else 1
                self._hello.callback(None)
        elif kind == "disconnect":
            self._goodbye(str(message.get("reason")))
        else:
            self._envelope(str(kind), message)

    def _goodbye(self, reason: str) -> None:
        """Slack will end the socket, perhaps before it has greeted it."""
        if not self._hello.called:
            other = Fault(f"Slack ended the connection at once: {reason[:80]}")
            self._hello.errback(_trouble(reason) or other)
        self._leave(reason)

    def _envelope(self, kind: str, message: Json) -> None:
        identifier, payload = message.get("envelope_id"), message.get("payload")
        if not isinstance(identifier, str):
            return
        acknowledgement = msgspec.json.encode({"envelope_id": identifier}).decode()

        def acknowledge() -> None:
            self._socket.send(acknowledgement)

        if kind in KINDS and isinstance(payload, dict):
            self._on_envelope(Envelope(kind, payload, acknowledge))
        else:
            acknowledge()  # what is not known now will not be known the next time


def _trouble(reason: str) -> Fault | None:
    """What is wrong when Slack says `disconnect` for a reason; None: it only wants another socket.

    Another one would be one too many as well, where there are too many
    (github.com/slackapi/node-slack-sdk, issue 1654).
    """
    if reason == "link_disabled":
        return Fatal("Socket Mode is switched off for the app; switch it on again")
    if reason == "too_many_websockets":
        return Fault(
            "Slack says that there are too many connections of this app; "
            "stop the other programs that use the same app token"
        )
    return None


def _words(closed: Closed) -> str:
    return f"{closed.reason or 'no reason given'} ({closed.code})"
