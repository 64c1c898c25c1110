"""Receiving by being called: Telegram posts every update to a public address of ours.

The address (`webhookUrl`) is that of a reverse proxy or tunnel that leads here, since Telegram
wants HTTPS on one of a few ports. What proves that a post is Telegram's is a secret that goes with
it in a header. A post is answered with 200 when its update is stored, and otherwise with 500;
Telegram then sends it again (core.telegram.org/bots/api, "setWebhook").
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.web.http import (
    FORBIDDEN,
    INTERNAL_SERVER_ERROR,
    NOT_FOUND,
    SERVICE_UNAVAILABLE,
    Request,
)
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.server import Request as SiteRequest

from clawgw.channels.adapter import Fault
from clawgw.channels.telegram.updates import Update, mended, read_update

SECRET_HEADER = b"X-Telegram-Bot-Api-Secret-Token"
MOST_BYTES = 1024 * 1024
MOST_CONNECTIONS = 20
IDLE_SECONDS = 120

Store = Callable[[Update, msgspec.Raw], Awaitable[None]]


class WebhookListener:
    """Listens for Telegram's posts.

    Args:
        host, port, path: where.
        secret: what has to come with each.
        store: stores an update; when it returns it is safe.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        path: str,
        secret: str,
        store: Store,
        log: Logger,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._page = _Page(path.encode(), secret.encode(), store, log)
        self._listening: Any = None

    def start(self) -> int:
        """Begin to listen; returns the port.

        Raises:
            Fault: the port cannot be had.
        """
        site = Site(self._page, timeout=IDLE_SECONDS)
        site.requestFactory = _BoundedRequest
        site.displayTracebacks = False
        site.log = _no_log  # type: ignore[method-assign]
        try:
            self._listening = self._reactor.listenTCP(self._port, site, interface=self._host)
        except CannotListenError as error:
            raise Fault(
                f"cannot listen for Telegram on {self._host}:{self._port} "
                f"({error.socketError}); set webhookHost and webhookPort"
            ) from None
        return int(self._listening.getHost().port)

    async def stop(self) -> None:
        """Listen no more, and give up what is under way; Telegram sends it again."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
        self._page.cancel()


class _BoundedRequest(SiteRequest):
    """A request whose body does not grow for ever, and is not read as a form.

    Anybody may post here, and a form of a megabyte takes long to take apart.
    """

    _received = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See `Request.requestReceived`."""
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """See `Request.handleContentChunk`."""
        self._received += len(data)
        if self._received > MOST_BYTES:
            self.loseConnection()  # type: ignore[no-untyped-call]
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class _Page(Resource):
    isLeaf = True

    def __init__(self, path: bytes, secret: bytes, store: Store, log: Logger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path
        self._secret = secret
        self._store = store
        self._log = log
        self._storing: set[Deferred[None]] = set()
        self._is_over = False

    def render(self, request: Any) -> bytes | int:
        if request.path != self._path or request.method != b"POST":
            return _refused(request, NOT_FOUND)
        given = request.getHeader(SECRET_HEADER) or b""
        if not hmac.compare_digest(given, self._secret):
            return _refused(request, FORBIDDEN)
        if self._is_over:  # the connection outlives the listener
            return _refused(request, SERVICE_UNAVAILABLE)
        raw = msgspec.Raw(request.content.read())
        update = read_update(raw)
        if update is None and (better := mended(raw)) is not None:
            raw = msgspec.Raw(better)
            update = read_update(raw)
        if update is None:
            self._log.warn("Telegram posted an update that cannot be read; it is skipped")
            return b""
        self._keep(request, update, raw)
        return NOT_DONE_YET

    def cancel(self) -> None:
        """Give up what is being stored, and take no more."""
        self._is_over = True
        for storing in list(self._storing):
            storing.cancel()

    def _keep(self, request: Request, update: Update, raw: msgspec.Raw) -> None:
        gone = [False]
        request.notifyFinish().addErrback(lambda _: gone.__setitem__(0, True))
        storing: Deferred[None] = Deferred.fromCoroutine(self._store(update, raw))  # type: ignore[arg-type]
        self._storing.add(storing)

        def failed(failure: Any) -> None:
            request.setResponseCode(INTERNAL_SERVER_ERROR)
            if failure.check(CancelledError) is None:
                self._log.failure("a post of Telegram's could not be stored", failure)

        def answer(_: object) -> None:
            self._storing.discard(storing)
            if not gone[0]:
                request.finish()

        storing.addErrback(failed).addCallback(answer)


def _refused(request: Any, code: int) -> bytes:
    request.setResponseCode(code)
    return b""


def _no_log(request: object) -> None:
    """Posts are not worth a line each."""
