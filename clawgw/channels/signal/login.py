"""Linking an account: `signal-cli` becomes one more device of somebody's phone.

`startLink` gives an address that is shown as a QR code; `finishLink` waits until it has been
scanned in Signal (Settings, Linked devices). An address is good for about a minute; when it runs
out another one is asked for, a few times. Only a `signal-cli` that runs for no account in
particular can do this, so it is one of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from clawgw.channels.adapter import Fault, LoginProblem, LoginStep
from clawgw.channels.child import RpcLink
from clawgw.channels.signal.sending import USER_ERROR
from clawgw.jsonrpc import ProcessGone, RpcError, RpcTimeout
from clawgw.store.database import StoreError

DEVICE_NAME = "clawgw"
START_SECONDS = 60.0
SCAN_SECONDS = 300.0
MOST_CODES = 6

SCAN = "Scan this code in Signal on your phone: Settings, Linked devices, Link new device."


class Login:
    """One attempt to link an account.

    Args:
        reactor: for time limits.
        open_link: starts a `signal-cli` for no account in particular.
        linked: told the number before the login is reported as done.
    """

    def __init__(
        self,
        reactor: Any,
        open_link: Callable[[], Awaitable[RpcLink]],
        linked: Callable[[str], Awaitable[None]],
    ) -> None:
        self._reactor = reactor
        self._open_link = open_link
        self._linked = linked
        self._address: str | None = None
        self._number: str | None = None
        self._problem: str | None = None
        self._watchers: list[Deferred[None]] = []
        self._life: Deferred[None] | None = None

    @property
    def under_way(self) -> bool:
        """Whether somebody may still scan a code."""
        return self._life is not None and not self._life.called

    async def start(self) -> LoginStep:
        """Begin; returns the first code.

        Raises:
            LoginProblem
        """
        self._life = Deferred.fromCoroutine(self._run())
        await self._change_from(lambda: self._address is None, START_SECONDS)
        return self._step()

    async def wait(self, seconds: float, shown: str | None) -> LoginStep:
        """How it is going, as soon as somebody has logged in, or another code is to be shown.

        Args:
            shown: the code that is shown; None: no other can be.

        Raises:
            LoginProblem
        """
        await self._change_from(lambda: shown in (None, self._address), seconds)
        return self._step()

    async def _change_from(self, still: Callable[[], bool], seconds: float) -> None:
        """Wait while the login is under way and something is still so."""
        until = self._reactor.seconds() + seconds
        while self.under_way and still() and (left := until - self._reactor.seconds()) > 0:
            change: Deferred[None] = Deferred()
            self._watchers.append(change)
            timer = self._reactor.callLater(left, self._tell, change)
            await change
            if timer.active():
                timer.cancel()

    def _step(self) -> LoginStep:
        if self._problem is not None:
            raise LoginProblem(self._problem)
        if self._number is not None:
            return LoginStep(message=f"{self._number} is linked.", connected=True)
        if self._address is None:
            raise LoginProblem("signal-cli gave no code in time")
        return LoginStep(message=SCAN, qr=self._address)

    def stop(self) -> None:
        """Give up."""
        if self._life is not None:
            self._life.addErrback(lambda failure: failure.trap(CancelledError) and None)
            self._life.cancel()

    async def ended(self) -> None:
        """Returns when nothing of it runs any more."""
        if self._life is not None:
            over: Deferred[None] = Deferred()
            self._life.addBoth(lambda _: over.callback(None))  # `called` is, once it is cancelled
            await over

    def _tell(self, *watchers: Deferred[None]) -> None:
        for watcher in watchers or tuple(self._watchers):
            if watcher in self._watchers:
                self._watchers.remove(watcher)
                watcher.callback(None)

    async def _run(self) -> None:
        number = None
        try:
            link = await self._open_link()
            try:
                number = await self._link(link)
                await self._linked(number)
            finally:
                await link.stop()
        except (ProcessGone, RpcTimeout, RpcError, LoginProblem, Fault, StoreError) as problem:
            self._problem = f"The account was not linked: {problem}"
        except CancelledError:
            self._problem = "The login was given up."
        self._number = number if self._problem is None else None
        # Whoever waits is told when this has returned.
        self._reactor.callLater(0, self._tell)

    async def _link(self, link: RpcLink) -> str:
        for _ in range(MOST_CODES):
            started = await link.request("startLink", {}, timeout=START_SECONDS)
            self._address = _text(started, "deviceLinkUri")
            self._reactor.callLater(0, self._tell)  # who is told may give this up at once
            try:
                done = await link.request(
                    "finishLink",
                    {"deviceLinkUri": self._address, "deviceName": DEVICE_NAME},
                    timeout=SCAN_SECONDS,
                )
            except RpcError as problem:
                if problem.code == USER_ERROR and "timed out" in str(problem):
                    continue
                raise
            return _text(done, "number")
        raise LoginProblem("nobody scanned the code")


def _text(answer: Any, field: str) -> str:
    value = answer.get(field) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise LoginProblem(f"signal-cli answered without {field}")
    return value
