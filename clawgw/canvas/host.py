"""The canvas host: what belongs to it, put together, and what the rest of the Gateway asks of it.

It is made whether or not its port can be had; `problem` says why it is not served. Listening is
the service's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.web.server import Site

from clawgw.agents.runs import RunManager
from clawgw.canvas.a2ui import Board, Change, Surface
from clawgw.canvas.access import surface_url
from clawgw.canvas.actions import Actions
from clawgw.canvas.capability import Capabilities
from clawgw.canvas.reload import Watcher
from clawgw.canvas.root import CanvasRoot
from clawgw.canvas.site import SiteParts, make_site
from clawgw.canvas.socket import PageFactory, Screens
from clawgw.sessions.keys import SessionKeys
from clawgw.store import surfaces as table
from clawgw.store.database import Connection, Database
from clawgw.trust.peers import PeerPolicy

_surface = msgspec.json.Decoder(Surface).decode


class CanvasHost:
    """The canvas.

    Args:
        reactor: the one reactor.
        root: what agents write; it exists.
        key: 32 secret bytes of this state directory, for capabilities.
        lifetime_ms: how long an address holds.
        database: where surfaces are kept.
        runs: who takes actions in.
        keys: whose sessions they go to.
        peer_policy: who counts as local.
        in_thread: runs a function in the thread pool.
        now_ms: the time, in milliseconds since the epoch.
        live_reload: whether pages reload when files change.
        secure: whether the listener speaks TLS.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        root: CanvasRoot,
        key: bytes,
        lifetime_ms: int,
        database: Database,
        runs: RunManager,
        keys: SessionKeys,
        peer_policy: PeerPolicy,
        in_thread: Callable[..., Deferred[Any]],
        now_ms: Callable[[], int],
        live_reload: bool,
        secure: bool,
    ) -> None:
        self.root = root
        self.problem: str | None = "it is starting"
        self.port = 0
        self.lifetime_ms = lifetime_ms
        self._secure = secure
        self._database = database
        self._capabilities = Capabilities(key, lifetime_ms, now_ms)
        self.board = Board(_surface(row.body) for row in database.read(table.everything))
        self.screens = Screens(self.board)
        self.watcher = Watcher(reactor, in_thread, root, now_ms) if live_reload else None
        self.pages = PageFactory(
            reactor,
            self._capabilities,
            peer_policy,
            self.watcher,
            self.screens,
            Actions(self.board, runs, keys, now_ms),
            now_ms,
            secure=secure,
        )
        self.site: Site = make_site(
            reactor,
            SiteParts(
                root=root,
                renderer=CanvasRoot(renderer_directory()),
                capabilities=self._capabilities,
                peer_policy=peer_policy,
                live_reload=live_reload,
                secure=secure,
                in_thread=in_thread,
                now_ms=now_ms,
            ),
        )

    # Addresses

    def serving(self, port: int) -> None:
        """It listens on this port."""
        self.port = port
        self.problem = None

    def url_for(self, host_header: str) -> str | None:
        """A new address for a client that reached the Gateway under this `Host`."""
        if self.problem is not None:
            return None
        capability = self._capabilities.mint("canvas")
        return surface_url(host_header, self.port, capability, secure=self._secure)

    # A2UI

    async def push(
        self, messages: Sequence[Any], session_key: str, *, takes_over: bool = True
    ) -> None:
        """Show A2UI messages on every screen; returns when they are stored.

        Raises:
            A2uiError: one is wrong; nothing has changed.
        """
        await self._carry_out(self.board.push(messages, session_key, takes_over=takes_over))

    async def reset(self, session_key: str | None, surface_id: str | None) -> None:
        """End surfaces on every screen: all, or those of a session, or one."""
        await self._carry_out(self.board.reset(session_key, surface_id))

    async def _carry_out(self, change: Change) -> None:
        rows = [
            table.SurfaceRow(one.surface_id, one.session_key, msgspec.json.encode(one))
            for one in change.changed
        ]

        def store(connection: Connection) -> None:
            for name in change.gone:
                table.remove(connection, name)
            for row in rows:
                table.put(connection, row)

        self.screens.show(change.messages)
        await self._database.write(store)

    # Files

    def files_changed(self) -> None:
        """Somebody wrote through the Gateway: pages need not wait for the next look."""
        if self.watcher is not None:
            self.watcher.changed()


def renderer_directory() -> Path:
    """Where the built A2UI renderer is, if it was built."""
    return Path(str(resources.files("clawgw.canvas").joinpath("static")))
