"""Linking a phone: a conversation of `login_start` and `login_wait` over a session.

The phone is linked by scanning a QR code, which WhatsApp replaces every so often, or by typing a
code of eight letters at the phone. Somebody who goes away leaves it to end by itself: WhatsApp
stops offering codes after some minutes, and the adapter waits for no phone longer than ten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from clawgw.channels.adapter import Fault, LoginProblem, LoginStep
from clawgw.channels.whatsapp.session import Session
from clawgw.jsonrpc import ProcessGone, RpcError, RpcTimeout

CODE_SECONDS = 75.0
INSTALLING = (
    "Installing what WhatsApp needs (Baileys, about 50 MB) with npm; this happens once and takes "
    "a minute or so."
)
SCAN = "In WhatsApp on the phone: Settings, Linked devices, Link a device; then scan this code."
TYPE = (
    "In WhatsApp on the phone: Settings, Linked devices, Link a device, Link with phone number; "
    "then type this code."
)
WAITING = "Waiting for the phone."


async def cancelled(work: Deferred[None]) -> None:
    """Cancel something, and wait until it has cleaned up; how it ended is of no interest."""
    over: Deferred[None] = Deferred()
    work.addBoth(lambda _: over.callback(None))
    work.cancel()
    await over


class Login:
    """One attempt.

    Args:
        reactor: knows the time.
        begin: gives an unlinked session.
        phone: the number to link with a code; None: with a QR code.
    """

    def __init__(
        self, reactor: Any, begin: Callable[[], Awaitable[Session]], phone: str | None
    ) -> None:
        self._reactor = reactor
        self._phone = phone
        self._session: Session | None = None
        self._problem: str | None = None
        self._code: str | None = None
        self._code_shown = False
        self._message: str | None = None
        self._waiting: list[Deferred[None]] = []
        self._begin = begin
        self._work: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._work = Deferred.fromCoroutine(self._ask())

    @property
    def over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        session = self._session
        has_ended = session is not None and session.end is not None
        return self._problem is not None or self.connected or has_ended

    @property
    def connected(self) -> bool:
        """Whether a phone is linked and the connection stands."""
        return self._session is not None and self._session.connected

    async def give_up(self) -> None:
        """Another login begins, or nobody wants it any more; returns when nothing is going on."""
        self._problem = self._problem or "the login was given up"
        if self._work is not None:
            await cancelled(self._work)
        self._wake()

    def say(self, message: str) -> None:
        """Show this to whoever waits, once."""
        self._message = message
        self._wake()

    async def wait(self, seconds: float, shown: str | None = None) -> LoginStep:
        """Wait for something to show that is not shown, or for the end.

        Raises:
            LoginProblem: it failed.
        """
        deadline = self._reactor.seconds() + seconds
        while True:
            step = self._step(shown)
            left = deadline - self._reactor.seconds()
            if step is not None:
                return step
            if left <= 0:
                return LoginStep(message=WAITING, qr=self._qr, code=self._code)
            await self._news(left)

    @property
    def _params(self) -> dict[str, str]:
        return {"kind": "qr"} if self._phone is None else {
            "kind": "code", "phoneNumber": self._phone,
        }  # fmt: skip

    @property
    def _qr(self) -> str | None:
        return self._session.qr if self._session is not None else None

    def _step(self, shown: str | None) -> LoginStep | None:
        session = self._session
        if self._problem is not None:
            raise LoginProblem(self._problem)
        if self.connected and session is not None:
            phone = session.me.phone if session.me is not None else None
            return LoginStep(
                message=f"WhatsApp is linked as {phone or 'this account'}.", connected=True
            )
        if session is not None and session.end is not None:
            raise LoginProblem(str(session.end))
        if self._message is not None:
            message, self._message = self._message, None
            return LoginStep(message=message)
        if self._code is not None and not self._code_shown:
            self._code_shown = True
            return LoginStep(message=TYPE, code=self._code)
        if self._qr is not None and self._qr != shown:
            return LoginStep(message=SCAN, qr=self._qr)
        return None

    async def _ask(self) -> None:
        try:
            self._session = session = await self._begin()
            session.watch(self._wake)
            if not session.linked:  # else it only has to connect
                session.qr = None  # of an earlier login
                answer = await session.request("login", self._params, CODE_SECONDS)
                self._code = answer.get("code")
        except (Fault, RpcError, RpcTimeout) as problem:
            self._problem = str(problem)
        except ProcessGone as problem:
            self._problem = f"the WhatsApp sidecar has ended: {problem}"
        self._wake()

    async def _news(self, seconds: float) -> None:
        """Returns after a change of the session or of ours."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        timer = self._reactor.callLater(seconds, self._wake)
        try:
            await waiting
        finally:
            if timer.active():
                timer.cancel()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
