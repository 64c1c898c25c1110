"""Requests to a provider's HTTP API.

Policy:

- Every request has a time limit, from its first DNS question to the last byte of the answer, and
  every answer a size limit.
- A failure says what is known of the request. ``HttpUnreachable``: nothing was sent, so trying
  again cannot double anything. ``HttpLost``: it may have been acted on.
- An answer of any status is an answer; what it means is for the caller to say.
- Redirects are followed only when asked for; credentials do not go along to another host, and
  never from ``https`` to ``http``.
- What a person or the log gets to see is the provider's name, scheme, host, port and status: bot
  tokens are in paths, tickets in queries, keys in headers, and messages in bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
from hyperlink import EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted
from twisted.web.client import (  # type: ignore[attr-defined]
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestNotSent,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    _HTTP11ClientFactory,
)
from twisted.web.http_headers import Headers as TwistedHeaders
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IAgentEndpointFactory
from zope.interface import implementer

from clawgw import __version__
from clawgw.channels.dial import Dial, Peer, Unreachable
from clawgw.channels.transfer import (
    BodyReader,
    FileBody,
    IncomingFile,
    InThread,
    Sink,
    TooMuch,
    in_threads,
)
from clawgw.channels.tunnel import check_proxy

__all__ = [
    "DownloadInfo",
    "Headers",
    "Http",
    "HttpBadAnswer",
    "HttpError",
    "HttpLost",
    "HttpUnreachable",
    "Part",
    "Response",
    "TooLarge",
]

_CONNECT_TIMEOUT = 10.0
"""Seconds for DNS, TCP and TLS together."""

_IDLE = 30.0
"""Seconds an unused connection is kept: less than servers do, so that ours is not a dead one."""

_MAX_ANSWER = 16 * 1024 * 1024
_MAX_DOWNLOAD = 100 * 1024 * 1024

_T = TypeVar("_T")


class HttpError(Exception):
    """No usable answer. The text is for a person."""


class HttpUnreachable(HttpError):
    """Nothing was sent; the provider has certainly not acted on the request."""


class HttpLost(HttpError):
    """The answer did not come; the provider may have acted on the request."""


class HttpBadAnswer(HttpError):
    """The answer cannot be used; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TooLarge(HttpError):
    """The answer, or the file to fetch, is larger than allowed."""


class Headers:
    """The headers of an answer: one value for each name, in any case of letters."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def get(self, name: str) -> str | None:
        """The value of a header (the last, when it came more than once), or None."""
        return self._values.get(name.lower())


@dataclass(frozen=True)
class Response:
    """An answer, of any status."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    source: str = "the provider"

    def json(self) -> Any:
        """The body as JSON.

        :raises HttpBadAnswer: when it is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            raise HttpBadAnswer(
                f"{self.source} answered with status {self.status} and something that is not JSON.",
                self.status,
            ) from None


@dataclass(frozen=True)
class DownloadInfo:
    """A file that was fetched; ``size`` in bytes, ``mime_type`` as the server says."""

    size: int
    mime_type: str | None


@dataclass(frozen=True)
class Part:
    """A file in a multipart form: a path to read it from, or its bytes."""

    name: str
    filename: str
    content_type: str
    content: Path | bytes = field(repr=False)


class Http:
    """A client for one provider; ``name`` is what people call it ("Telegram").

    ``headers`` gives the headers, such as ``Authorization``, that go with every ``request`` (to
    any host: use another client for other hosts); ``download`` sends only what it is given.
    ``proxy`` is the URL of an HTTP proxy (``http://USER:PASSWORD@HOST:PORT``) to go through.
    ``allowed`` says whether anything may be sent to an IP address; where not given, to any.
    ``agent`` stands in for the network in tests.

    :raises ValueError: when ``proxy`` is no such URL.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        agent: IAgent | None = None,
        proxy: str | None = None,
        connect_timeout: float = _CONNECT_TIMEOUT,
        allowed: Callable[[str], bool] | None = None,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._headers = headers
        self._agent = agent
        if proxy is not None:
            check_proxy(proxy)
        self._dial = partial(Dial, reactor, timeout=connect_timeout, proxy=proxy, allowed=allowed)
        self._in_thread: InThread = in_threads(reactor)
        self._running: set[Deferred[Any]] = set()
        self._pool = _Pool(reactor, persistent=True)  # type: ignore[no-untyped-call]
        self._pool.cachedConnectionTimeout = _IDLE  # type: ignore[assignment]
        self._pool.maxPersistentPerHost = 4

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        files: Sequence[Part] = (),
        timeout: float = 30.0,
        max_bytes: int = _MAX_ANSWER,
        redirects: bool = False,
    ) -> Response:
        """Ask, with at most one of ``json`` and (``form`` and ``files``); times in seconds.

        :raises HttpUnreachable: nothing was sent.
        :raises HttpLost: the answer did not come, or not all of it.
        :raises TooLarge: the answer is larger than ``max_bytes``.
        :raises OSError: a file to send cannot be read.
        """
        peer = self._peer(url)
        sent = {**self._headers(), **(headers or {})}

        async def ask(client: HTTPClient) -> Response:
            async with _Opened(self._in_thread, files) as parts:
                content = {} if json is None else {"json": json}
                answer: Any = await client.request(
                    method,
                    url,
                    headers=_outgoing(sent),
                    data=dict(form) if form is not None else None,
                    files=parts or None,
                    allow_redirects=redirects,
                    unbuffered=True,
                    reactor=self._reactor,
                    **content,
                )
                memory = _Memory()
                await self._receive(answer, memory, max_bytes)
            return Response(
                answer.code, _incoming(answer.headers), bytes(memory.data), self._at(peer)
            )

        return await self._within(timeout, peer, ask)

    async def download(
        self,
        url: str,
        path: Path,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = _MAX_DOWNLOAD,
        timeout: float = 120.0,
        redirects: bool = False,
    ) -> DownloadInfo:
        """Fetch a file to ``path``, readable by its owner only; it is there whole or not at all.

        :raises HttpUnreachable, HttpLost: it could not be fetched; try again.
        :raises HttpBadAnswer: the server refused; its ``status`` tells.
        :raises TooLarge: the file is larger than ``max_bytes``.
        :raises OSError: the file cannot be written.
        """
        peer = self._peer(url)

        async def fetch(client: HTTPClient) -> DownloadInfo:
            answer: Any = await client.request(
                "GET",
                url,
                headers=_outgoing(headers or {}),
                allow_redirects=redirects,
                unbuffered=True,
                reactor=self._reactor,
            )
            if answer.code != 200:
                await self._refused(answer, peer)
            target = IncomingFile(self._in_thread, path)
            try:
                await target.open()
                size = await self._receive(answer, target, max_bytes)
                await target.keep()
            except BaseException:
                await target.discard()
                raise
            return DownloadInfo(size, _mime_type(_incoming(answer.headers)))

        return await self._within(timeout, peer, fetch)

    async def close(self) -> None:
        """End what is under way, and every connection."""
        for running in tuple(self._running):
            running.cancel()
        await self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]

    def _peer(self, url: str) -> Peer:
        try:
            peer = Peer.of(url)
            EncodedURL.from_text(url).to_uri()  # as treq does, in whose words it would show the URL
        except Unreachable as error:
            raise HttpUnreachable(f"{self._name}: {error}") from None
        except ValueError:
            raise HttpUnreachable(f"{self._name}: The address is not a URL.") from None
        return peer

    def _at(self, peer: Peer) -> str:
        return f"{self._name} at {peer}"

    async def _within(
        self, seconds: float, peer: Peer, work: Callable[[HTTPClient], Coroutine[Any, Any, _T]]
    ) -> _T:
        """Do the work in time; every way to fail becomes one of ours."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            running.cancel()

        agent = self._agent or Agent.usingEndpointFactory(
            self._reactor, _Endpoints(self._dial, peer), self._pool
        )
        timer = self._reactor.callLater(seconds, expire)
        running = Deferred.fromCoroutine(work(HTTPClient(agent)))
        self._running.add(running)
        try:
            return await running
        except Unreachable as error:
            if isinstance(error, CancelledError) and not expired:
                raise
            raise HttpUnreachable(f"{self._name}: {error}") from None
        except RequestNotSent:
            raise HttpUnreachable(f"{self._at(peer)} ended the connection.") from None
        except TooMuch:
            raise TooLarge(f"{self._at(peer)} sent more than is allowed here.") from None
        except _LOST as error:
            if expired:
                text = f"{self._at(peer)} did not answer within {seconds:g} s."
            elif _is_cancelled(error):
                raise CancelledError from None
            else:
                text = f"The connection to {self._at(peer)} was cut before the answer was complete."
            raise HttpLost(text) from None
        finally:
            self._running.discard(running)
            if timer.active():
                timer.cancel()

    async def _receive(self, answer: Any, sink: Sink, max_bytes: int) -> int:
        """Take the body of an answer to a sink; gives its size in bytes."""
        announced_too_much = answer.length != UNKNOWN_LENGTH and answer.length > max_bytes
        reader = BodyReader(sink, 0 if announced_too_much else max_bytes)
        answer.deliverBody(reader)
        await reader.finished
        return reader.size

    async def _refused(self, answer: Any, peer: Peer) -> NoReturn:
        # Read to its end, a small body leaves the connection fit for the next request.
        await self._receive(answer, _Memory(), _MAX_ANSWER)
        raise HttpBadAnswer(
            f"{self._at(peer)} refused a file with status {answer.code}.", answer.code
        )


_LOST = (
    CancelledError,
    ConnectionAborted,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
"""What Twisted fails with once a request is on its way."""


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, CancelledError) or any(
        reason.check(CancelledError) for reason in getattr(error, "reasons", ())
    )


class _QuietFactory(_HTTP11ClientFactory):
    """A connection is nothing to write a line about."""

    noisy = False


class _Pool(HTTPConnectionPool):
    _factory = _QuietFactory


class _Memory:
    """A sink for answers."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data


class _Opened:
    """The parts of a form with their files open, as treq takes them."""

    def __init__(self, in_thread: InThread, parts: Sequence[Part]) -> None:
        self._in_thread = in_thread
        self._parts = parts
        self._files: list[FileBody] = []

    async def __aenter__(self) -> list[tuple[str, tuple[str, str, Any]]]:
        try:
            return [
                (part.name, (part.filename, part.content_type, await self._body(part.content)))
                for part in self._parts
            ]
        except BaseException:
            await self.__aexit__()
            raise

    async def _body(self, content: Path | bytes) -> Any:
        if isinstance(content, bytes):
            return BytesIO(content)
        file = await FileBody.open(self._in_thread, content)
        self._files.append(file)
        return file

    async def __aexit__(self, *_: object) -> None:
        for file in self._files:
            await file.drop()


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """How one request, and the redirects it may follow, connects."""

    def __init__(self, dial: Callable[[Peer], Dial], peer: Peer) -> None:
        self._dial = dial
        self._peer = peer

    def endpointForURI(self, uri: URI) -> Dial:
        peer = Peer.of(uri.toBytes().decode("ascii"))
        if self._peer.secure and not peer.secure:
            raise Unreachable(f"{self._peer} leads to {peer}, which is not encrypted.")
        return self._dial(peer)


def _outgoing(headers: Mapping[str, str]) -> TwistedHeaders:
    given = TwistedHeaders({"User-Agent": [f"clawgw/{__version__}"]})
    for name, value in headers.items():
        given.setRawHeaders(name, [value])
    return given


def _incoming(headers: TwistedHeaders) -> Headers:
    return Headers(
        {
            name.decode("latin-1"): values[-1].decode("latin-1")
            for name, values in headers.getAllRawHeaders()
        }
    )


def _mime_type(headers: Headers) -> str | None:
    stated = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return stated or None
