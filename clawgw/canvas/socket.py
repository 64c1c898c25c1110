"""The WebSocket side of the canvas host: one protocol for live reload and for A2UI.

A *canvas page* connects with the time it was served (`?at=`), and is told `reload`. It says
nothing; whatever it says is ignored. Its origin must be this host's, like the page's.

An *A2UI page* connects with its ticket (`?ticket=`), from the opaque origin of its sandbox. It gets
`{"type": "state", "edition", "messages": […]}` with everything there is, and `{"type": "push", …}`
with every change. When it comes back and says the edition we have (`?edition=`), it keeps what it
has, so that a lost connection does not empty a form. It sends `{"userAction": …}`, which is
answered with `{"type": "action-status", "id", "ok", "error"?}`; `{"error": …}` reports what could
not be drawn.

A page that does not read is cut off when something is waiting for it; it comes back and gets the
state.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, cast

import msgspec
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from clawgw.canvas.a2ui import Board, Message
from clawgw.canvas.access import may_enter, route
from clawgw.canvas.actions import ActionRefused, Actions, Allowance, UserAction
from clawgw.canvas.capability import Capabilities
from clawgw.canvas.reload import Watcher
from clawgw.trust.peers import PeerPolicy, identify

MAX_PAGES = 128
MAX_FRAME = 64 * 1024
OPEN_SECONDS = 10
PING_SECONDS = 25
PONG_SECONDS = 60
MAX_PENDING_ACTIONS = 16
COMPLAINTS = 10
MAX_COMPLAINT = 500


class _FromPage(msgspec.Struct, frozen=True, rename="camel"):
    user_action: Any = None
    error: Any = None


class _ActionId(msgspec.Struct, frozen=True):
    id: str = ""


class Screens:
    """All A2UI pages that are open."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._pages: set[PageProtocol] = set()
        self._start = secrets.token_hex(8)
        self._changes = 0

    def __len__(self) -> int:
        return len(self._pages)

    def opened(self, page: PageProtocol) -> None:
        """A page came: show it what there is, unless it has that already."""
        self._pages.add(page)
        if page.edition != self._edition:
            page.tell(self._frame("state", self.board.messages()))

    def closed(self, page: PageProtocol) -> None:
        """A page went."""
        self._pages.discard(page)

    def show(self, messages: list[Message]) -> None:
        """Tell every page of a change."""
        if messages:
            self._changes += 1
            text = self._frame("push", messages)
            for page in list(self._pages):
                page.tell(text)

    @property
    def _edition(self) -> str:
        return f"{self._start}.{self._changes}"

    def _frame(self, kind: str, messages: list[Message]) -> str:
        frame = {"type": kind, "edition": self._edition, "messages": messages}
        return msgspec.json.encode(frame).decode()


@implementer(IPushProducer)
class PageProtocol(WebSocketServerProtocol):
    """One page's WebSocket."""

    canvas_log = Logger()  # not `log`: Autobahn writes its own remarks to that one
    transport: Any
    served_ms = 0
    edition = ""
    _role = ""
    _counted = False
    _slow = False
    _pending = 0

    def onConnect(self, request: ConnectionRequest) -> None:
        """The upgrade request is there: decide."""
        factory: PageFactory = self.factory
        address = getattr(self.transport.getPeer(), "host", "") or "unknown"
        headers = dict(request.headers)
        peer = identify(address, headers, factory.peer_policy, secure=factory.isSecure)
        where = route(request.path)
        if where.kind != "socket" or not may_enter(where, peer, factory.capabilities):
            raise ConnectionDeny(403)
        ticket = _first(request.params, "ticket")
        if ticket:
            # "null" is what a sandboxed page is; a program of no browser has no origin at all.
            if peer.origin not in (None, "null") or not factory.capabilities.holds("a2ui", ticket):
                raise ConnectionDeny(403)
            self._role = "a2ui"
            self.edition = _first(request.params, "edition")
        elif peer.origin_allowed and factory.watcher is not None:
            self._role = "live"
            at = _first(request.params, "at")
            self.served_ms = int(at) if at.isdecimal() and len(at) < 16 else 0
        else:
            raise ConnectionDeny(403)
        if factory.count >= MAX_PAGES:
            raise ConnectionDeny(503)

    def onOpen(self) -> None:
        """The page listens."""
        factory: PageFactory = self.factory
        factory.count += 1
        self._counted = True
        self.transport.registerProducer(self, True)
        if self._role == "a2ui":
            self._complaints = Allowance(COMPLAINTS, 0.1, factory.now_ms)
            factory.screens.opened(self)
        elif factory.watcher is not None:
            factory.watcher.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Something from the page."""
        if self._role != "a2ui" or isBinary:
            return
        try:
            said = msgspec.json.decode(payload, type=_FromPage)
        except (msgspec.DecodeError, RecursionError):
            return
        if said.user_action is not None:
            self._take(said.user_action)
        elif said.error is not None and self._complaints.take():
            text = msgspec.json.encode(said.error).decode()[:MAX_COMPLAINT]
            self.canvas_log.info("an A2UI page could not draw something: {what}", what=text)

    def _take(self, value: Any) -> None:
        try:
            action = msgspec.convert(value, UserAction)
        except msgspec.ValidationError as problem:
            self._status(_id_of(value), f"not an action: {problem}")
            return
        if self._pending >= MAX_PENDING_ACTIONS:
            self._status(action.id, "too many actions at once; wait a moment")
            return
        self._pending += 1
        done = Deferred.fromCoroutine(self._pass_on(action))
        done.addErrback(lambda failure: self.canvas_log.failure("passing on an action", failure))

    async def _pass_on(self, action: UserAction) -> None:
        error: str | None = "the Gateway failed; its log says why"
        try:
            await self.factory.actions.take(action)
            error = None
        except ActionRefused as refused:
            error = str(refused)
        finally:
            self._pending -= 1
            self._status(action.id, error)

    def _status(self, action_id: str, error: str | None) -> None:
        answer: dict[str, Any] = {"type": "action-status", "id": action_id, "ok": error is None}
        if error is not None:
            answer["error"] = error
        self.tell(msgspec.json.encode(answer).decode())

    def tell(self, text: str) -> None:
        """Send a text; a page that does not read is cut off."""
        if self.state != self.STATE_OPEN:
            return
        if self._slow:
            self.transport.abortConnection()
        else:
            self.sendMessage(text.encode())  # type: ignore[no-untyped-call]

    # The page's reading speed (IPushProducer)

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._slow = True

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._slow = False

    def stopProducing(self) -> None:
        """The transport is gone; `onClose` follows."""

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The page is gone."""
        factory: PageFactory = self.factory
        if not self._counted:
            return
        self._counted = False
        factory.count -= 1
        if self._role == "a2ui":
            factory.screens.closed(self)
        elif factory.watcher is not None:
            factory.watcher.closed(self)

    def _closeConnection(self, abort: bool = False) -> None:
        # Autobahn closes the transport here; over TLS that waits for a producer that stays.
        self.transport.unregisterProducer()
        super()._closeConnection(abort)


def _first(params: dict[str, list[str]], name: str) -> str:
    values = params.get(name) or [""]
    return values[0]


def _id_of(value: Any) -> str:
    try:
        return msgspec.convert(value, _ActionId).id[:64]
    except msgspec.ValidationError:
        return ""


class PageFactory(WebSocketServerFactory):
    """Makes a `PageProtocol` per page.

    Args:
        reactor: for time limits.
        capabilities: who may come in.
        watcher: tells pages to reload; None where live reload is off.
        screens: the A2UI pages.
        actions: where actions go.
    """

    protocol = PageProtocol
    noisy = False
    count = 0

    def __init__(
        self,
        reactor: Any,
        capabilities: Capabilities,
        peer_policy: PeerPolicy,
        watcher: Watcher | None,
        screens: Screens,
        actions: Actions,
        now_ms: Callable[[], int],
        *,
        secure: bool,
    ) -> None:
        super().__init__(reactor=reactor)  # type: ignore[no-untyped-call]
        self.isSecure = secure
        self.capabilities = capabilities
        self.peer_policy = peer_policy
        self.watcher = watcher
        self.screens = screens
        self.actions = actions
        self.now_ms = now_ms
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            webStatus=False,
            maxFramePayloadSize=MAX_FRAME,
            maxMessagePayloadSize=MAX_FRAME,
            openHandshakeTimeout=OPEN_SECONDS,
            closeHandshakeTimeout=2,
            tcpNoDelay=True,
            autoPingInterval=PING_SECONDS,
            autoPingTimeout=PONG_SECONDS,
            allowNullOrigin=True,
        )

    def buildProtocol(self, addr: IAddress | None) -> PageProtocol | None:
        """A protocol for a connection."""
        return cast("PageProtocol | None", super().buildProtocol(addr))
