"""One connection to Discord's Gateway: greeting, signs of life, and why it ended.

Hello comes first; then the session is resumed, or a new one begun. A heartbeat follows after a
random part of the interval and then every interval; when one is due and the last was not
acknowledged, the line is dead, whatever TCP says. Every end leaves the session at Discord as it is,
to be resumed; only Discord itself gives it up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from clawgw.channels.discord.protocol import (
    KEEPS_SESSION,
    BadStream,
    Frame,
    Inflater,
    Meaning,
    Op,
    Session,
    address,
    heartbeat,
    identify,
    meaning,
    resume,
)
from clawgw.channels.websocket import Closed, Socket, open_socket

HELLO_SECONDS = 20.0
BEGIN_SECONDS = 60.0
MAX_MESSAGE = 32 * 1024 * 1024

_decode = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Ending:
    """How a connection ended.

    Attributes:
        begun: whether the session had been begun or resumed.
        asked: Discord wants to be connected to again at once.
    """

    meaning: Meaning
    begun: bool
    asked: bool = False


class Conversation:
    """One connection.

    Args:
        token: the bot's token.
        session: what is to be resumed, None to begin anew.
        on_dispatch: given every event, in order.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        token: str,
        session: Session | None,
        on_dispatch: Callable[[Frame], None],
    ) -> None:
        self._reactor = reactor
        self._token = token
        self._session = session
        self._on_dispatch = on_dispatch
        self._seq = session.seq if session else None
        self._ended: Deferred[Ending] = Deferred()
        self._inflater = Inflater()
        self._socket: Socket | None = None
        self._early: list[bytes] = []
        self._timer: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._acknowledged = True
        self._begun = False
        self._paused = False

    async def run(self, url: str) -> Ending:
        """Connect, and talk until it ends.

        Raises:
            SocketUnreachable: it did not even begin.
            whatever `fail` was given.
        """
        socket = await open_socket(
            self._reactor, address(url), on_message=self._received, max_message=MAX_MESSAGE
        )
        self._socket = socket
        self._expect(HELLO_SECONDS, "Discord did not say hello")
        socket.closed.addCallback(self._closed)
        for message in self._early:
            self._received(message, True)
        try:
            return await self._ended
        finally:
            self._stop(self._timer, self._deadline)
            await socket.close(KEEPS_SESSION)

    def fail(self, failure: Failure) -> None:
        """End it, with an error from elsewhere."""
        if not self._ended.called:
            self._ended.errback(failure)

    def pause(self) -> None:
        """Read no more for now; acknowledgements cannot be read then either."""
        self._paused = True
        if self._socket is not None:
            self._socket.pause()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._acknowledged = True
        if self._socket is not None:
            self._socket.resume()

    # What comes

    def _received(self, message: str | bytes, _: bool) -> None:
        data = message.encode() if isinstance(message, str) else message
        if self._socket is None:
            self._early.append(data)
            return
        if self._ended.called:
            return
        text: bytes | None = data
        if not isinstance(message, str):
            try:
                text = self._inflater.feed(data)
            except BadStream as problem:
                self._end(Meaning(f"what Discord sent cannot be unpacked: {problem}", "resume"))
                return
        if text is not None:
            self._frame(text)

    def _frame(self, text: bytes) -> None:
        try:
            frame = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            self.log.warn("Discord sent {size} bytes that are no event; skipped", size=len(text))
            return
        if frame.op == Op.DISPATCH:
            self._dispatch(frame)
        elif frame.op == Op.HELLO:
            self._hello(frame.d)
        elif frame.op == Op.HEARTBEAT:
            self._say(heartbeat(self._seq))
        elif frame.op == Op.HEARTBEAT_ACK:
            self._acknowledged = True
        elif frame.op == Op.RECONNECT:
            self._end(Meaning("Discord asked to connect again", "resume"), asked=True)
        elif frame.op == Op.INVALID_SESSION:
            why = "Discord does not know the session"
            self._end(Meaning(why, "resume" if frame.d is True else "new"), asked=True)

    def _dispatch(self, frame: Frame) -> None:
        if frame.s is not None:
            self._seq = frame.s
        if frame.t in ("READY", "RESUMED"):
            self._begun = True
            self._stop(self._deadline)
        self._on_dispatch(frame)

    def _hello(self, data: Any) -> None:
        interval = data.get("heartbeat_interval") if isinstance(data, dict) else None
        if not isinstance(interval, int | float) or not 0 < interval < 3_600_000:
            self._end(Meaning("Discord said hello without a heartbeat interval", "resume"))
            return
        seconds = interval / 1000
        self._stop(self._timer)
        first = seconds * random.random()  # noqa: S311 - no secret
        self._timer = self._reactor.callLater(first, self._beat, seconds)
        self._expect(BEGIN_SECONDS, "Discord did not begin the session")
        if self._session is None:
            self._say(identify(self._token))
        else:
            self._say(resume(self._token, self._session))

    # Signs of life

    def _beat(self, seconds: float) -> None:
        if not self._acknowledged and not self._paused:
            self._end(Meaning("Discord no longer acknowledged our heartbeats", "resume"))
            return
        self._acknowledged = False
        self._say(heartbeat(self._seq))
        self._timer = self._reactor.callLater(seconds, self._beat, seconds)

    def _expect(self, seconds: float, why: str) -> None:
        self._stop(self._deadline)
        ending = Meaning(f"{why} within {seconds:g} s", "resume")
        self._deadline = self._reactor.callLater(seconds, self._end, ending)

    def _say(self, frame: dict[str, Any]) -> None:
        if self._socket is not None:
            self._socket.send(_encode(frame).decode())

    # The end

    def _closed(self, closed: Closed) -> None:
        self._end(meaning(closed.code))

    def _end(self, why: Meaning, *, asked: bool = False) -> None:
        if not self._ended.called:
            self._ended.callback(Ending(why, self._begun, asked))

    def _stop(self, *timers: IDelayedCall | None) -> None:
        for timer in timers:
            if timer is not None and timer.active():
                timer.cancel()
