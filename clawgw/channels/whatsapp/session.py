"""One life of the sidecar: started, heard, asked, stopped.

What it receives is handed over in batches in the order of arrival and confirmed when it has been
stored; what was not confirmed comes again with its next life. How it is doing is in plain
attributes; whoever waits for a change waits with `changed`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from clawgw.channels.adapter import Fatal, Fault, LoggedOut
from clawgw.channels.child import RpcLink, open_link
from clawgw.channels.messages import UNREADABLE
from clawgw.channels.whatsapp import exclusive
from clawgw.channels.whatsapp.contract import Connection, Identity, Message, Place, Started
from clawgw.jsonrpc import METHOD_NOT_FOUND, ProcessGone, RpcError, RpcTimeout
from clawgw.shield import to_its_end
from clawgw.store.database import StoreError

LINK_WORDS = "link a phone with: clawgw channels login whatsapp"
NOT_LINKED = f"no phone is linked; {LINK_WORDS}"
STOPPED = "it was stopped"
START_SECONDS = 60.0
BATCH = 500

_FATAL = {
    403: "WhatsApp has blocked this account or device",
    405: "WhatsApp does not accept this version of its client any more; update clawgw",
    411: "the phone's WhatsApp is too old for linked devices; update it",
    440: "another process has connected with the same WhatsApp login; stop it, then restart the "
    "Gateway",
}
_PASSED_ON = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CLAWGW_WHATSAPP_LOG",
)  # fmt: skip

Handler = Callable[[Sequence[Message]], Awaitable[None]]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the Gateway's environment the sidecar and npm get: nothing that may be a secret."""
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_ON or name.lower().startswith("npm_config_")
    }


class Session:
    """A running sidecar.

    Args:
        reactor: starts it and knows the time.
        log: the account's.
        on_messages: stores messages; when it returns they are confirmed.

    Attributes:
        linked: whether a phone is linked.
        me: the account, once it is known.
        connected: whether the connection to WhatsApp stands.
        qr: the code to scan at present.
        end: why it is over; None while it is not.
    """

    def __init__(self, reactor: Any, log: Logger, on_messages: Handler) -> None:
        self._reactor = reactor
        self._log = log
        self._on_messages = on_messages
        self._rpc: RpcLink | None = None
        self._gone: Deferred[str] | None = None
        self._waiting: list[Deferred[None]] = []
        self._watchers: list[Callable[[], None]] = []
        self._queue: list[Message] = []
        self._draining = False
        self.linked = False
        self.me: Identity | None = None
        self.connected = False
        self.qr: str | None = None
        self.end: Fault | StoreError | None = None

    async def open(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        directory: Path,
        locks: Sequence[Path],
        **options: Any,
    ) -> None:
        """Start it; it connects to WhatsApp if a phone is linked.

        Args:
            directory: holds the login; there.
            locks: what the sidecar has to hold for as long as it lives.
            options: of the request `start`.

        Raises:
            Fault: it does not start, and why.
        """
        where = [
            word for lock in locks for word in (sys.executable, "-I", exclusive.__file__, str(lock))
        ]
        try:
            self._rpc = await open_link(
                self._reactor,
                [*where, *command],
                name="whatsapp",
                env=env,
                on_request=_refuse,
                on_notification=self._heard,
                connect_timeout=START_SECONDS,
            )
            self._rpc.ended.addCallback(self._lost)
            params = {"authDir": str(directory), **options}
            answer = await self._rpc.request("start", params, timeout=START_SECONDS)
            started = msgspec.convert(answer, Started)
        except ProcessGone as problem:
            self._lost(str(problem))
            raise self.end or Fault(str(problem)) from None
        except (RpcError, RpcTimeout, msgspec.ValidationError) as problem:
            raise Fault(f"the WhatsApp sidecar does not start: {problem}") from None
        self.linked = started.linked
        self.me = started.me
        self._change()

    async def request(self, method: str, params: Mapping[str, Any], seconds: float) -> Any:
        """Ask the sidecar.

        Raises:
            RpcError, RpcTimeout: see `clawgw.jsonrpc`.
            ProcessGone: it has ended; `end` says why.
        """
        if self._rpc is None:
            raise ProcessGone("it is not running")
        try:
            return await self._rpc.request(method, params, timeout=seconds)
        except ProcessGone as problem:
            self._lost(str(problem))  # before whoever asked begins anew
            raise

    async def stop(self, why: str = STOPPED) -> None:
        """End it; returns when it is gone, also if it is cancelled meanwhile."""
        self._finish(Fault(why))
        if self._rpc is not None:
            await to_its_end(self._rpc.stop().addBoth(lambda _: self._change()))

    async def changed(self, seconds: float | None = None) -> None:
        """Returns after the next change of an attribute, or after so many seconds."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        timer = (
            None
            if seconds is None
            else self._reactor.callLater(max(seconds, 0), self._wake, waiting)
        )
        try:
            await waiting
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            if timer is not None and timer.active():
                timer.cancel()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Tell somebody of every change."""
        self._watchers.append(watcher)

    # What it says

    def _heard(self, method: str, params: dict[str, Any]) -> None:
        try:
            if method == "message":
                self._message(params)
            elif method == "connection":
                self._connection(msgspec.convert(params, Connection))
            elif method == "qr" and isinstance(params.get("qr"), str):
                self.qr = params["qr"]
                self._change()
        except msgspec.ValidationError as problem:
            self._log.error(
                "the sidecar said a {what} that is none: {why}", what=method, why=problem
            )

    def _message(self, params: dict[str, Any]) -> None:
        """A message, or a note for one that cannot be read: unconfirmed, it would come for ever.

        Raises:
            ValidationError: nobody knows whose it is.
        """
        try:
            message = msgspec.convert(params, Message)
        except msgspec.ValidationError as problem:
            place = msgspec.convert(params, Place)
            self._log.error("the sidecar told a message that cannot be read: {why}", why=problem)
            message = Message(
                seq=place.seq, key=place.key, chat=place.chat, sender=place.sender,
                group=place.group, kind="message", text=UNREADABLE,
            )  # fmt: skip
        self._queue.append(message)
        self._drain()

    def _connection(self, news: Connection) -> None:
        self.connected = news.state == "open"
        if news.state == "open":
            self.linked, self.qr = True, None
            self.me = news.me or self.me
            self._change()
        elif news.state == "loggedOut":
            self.linked = False
            self._finish(LoggedOut(f"WhatsApp: {news.reason or 'logged out'}; {LINK_WORDS}"))
        elif news.state == "closed":
            self._finish(_fault(news))

    def _lost(self, why: str) -> None:
        if f"exit code {exclusive.LOCKED}" in why:
            why = "another process holds this login, or this host's WhatsApp session; stop it"
        self.connected = False
        self._finish(Fault(f"the WhatsApp sidecar has ended: {why}"))

    def _finish(self, end: Fault | StoreError) -> None:
        if self.end is None:
            self.end = end
        self._change()

    def _change(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._wake(each)
        for watcher in list(self._watchers):
            watcher()

    @staticmethod
    def _wake(waiting: Deferred[None]) -> None:
        if not waiting.called:
            waiting.callback(None)

    # Messages, in order

    def _drain(self) -> None:
        if not self._draining:
            self._draining = True
            work = Deferred.fromCoroutine(self._hand_over())
            work.addErrback(self._not_stored)

    async def _hand_over(self) -> None:
        try:
            while self._queue and self.end is None:
                batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                await self._on_messages(batch)
                if self._rpc is not None:
                    self._rpc.notify("confirm", {"seqs": [message.seq for message in batch]})
        finally:
            self._draining = False

    def _not_stored(self, failure: Any) -> None:
        problem = failure.value
        if isinstance(problem, StoreError | Fault):
            self._finish(problem)
        elif not isinstance(problem, CancelledError):
            self._log.failure("while storing messages", failure)
            self._finish(Fault("received messages could not be stored"))


def _fault(news: Connection) -> Fault:
    code = news.status_code
    if code in _FATAL:
        return Fatal(_FATAL[code])
    words = news.reason or "without a reason"
    return Fault(f"the connection to WhatsApp ended: {words}")


def _refuse(method: str, params: dict[str, Any]) -> Any:
    raise RpcError(METHOD_NOT_FOUND, f"the Gateway has no method {method!r}")
