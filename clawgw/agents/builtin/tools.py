"""The tool servers of a session: MCP, over stdio or HTTP.

They are started at a session's first turn, kept for the following ones, and stopped when the
session has been quiet for a while, because each is a process. They belong to one task, which
opens them, waits, and closes them in the reverse order.

A tool that fails is told to the model, which may find another way. A server that does not start
fails the turn and is named. One that died between two turns is started again: each turn asks
them all for a sign of life first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from typing import Any

from acp import RequestError
from acp.schema import AcpMcpServer, HttpMcpServer, McpServerStdio, SseMcpServer

from .errors import TurnError

Server = HttpMcpServer | SseMcpServer | AcpMcpServer | McpServerStdio

_START_SECONDS = 30.0
_CALL_SECONDS = 600.0  # a tool may wait for a person's approval
_CLOSE_SECONDS = 5.0
_SIGN_OF_LIFE_SECONDS = 5.0
_QUIET_SECONDS = 300.0
_log = logging.getLogger("clawgw.agent.tools")


class ToolServers:
    """The tool servers of one session. :meth:`toolsets` starts them, :meth:`close` stops them."""

    def __init__(self, servers: Sequence[Server], cwd: str) -> None:
        """:raises RequestError: a server's transport is one that is not spoken here."""
        for server in servers:
            if isinstance(server, AcpMcpServer):
                raise RequestError(
                    -32602, f"mcpServers: {server.name}: expected stdio, http or sse"
                )
        self._servers = list(servers)
        self._cwd = cwd if os.path.isdir(cwd) else None
        self._holder: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[list[Any]] | None = None
        self._connected: list[Any] = []
        self._release = asyncio.Event()
        self._quiet: asyncio.TimerHandle | None = None

    async def toolsets(self) -> list[Any]:
        """The pydantic-ai toolsets, connected.

        :raises TurnError: a server does not start.
        """
        self._stop_clock()
        if not self._servers:
            return []
        if self._ready is None or not await self._alive():
            await self.close()
            self._release = asyncio.Event()
            self._ready = asyncio.get_running_loop().create_future()
            self._holder = asyncio.create_task(self._hold(self._ready, self._release))
        return await asyncio.shield(self._ready)

    def rest(self) -> None:
        """A turn has ended: close the servers if no other follows soon."""
        self._stop_clock()
        if self._holder is not None:
            self._quiet = asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._release.set)

    async def close(self) -> None:
        """Stop the servers; returns when they have gone, or after a moment."""
        self._stop_clock()
        self._release.set()
        holder, self._holder = self._holder, None
        if holder is None:
            return
        _done, late = await asyncio.wait({holder}, timeout=_CLOSE_SECONDS)
        for task in late:
            task.cancel()

    async def _alive(self) -> bool:
        if self._holder is None or self._holder.done() or self._release.is_set():
            return False
        try:
            async with asyncio.timeout(_SIGN_OF_LIFE_SECONDS):
                for toolset in self._connected:
                    await toolset.client.list_tools()
        except Exception:  # noqa: BLE001 - whatever it is, it is not alive
            return False
        return True

    async def _hold(self, ready: asyncio.Future[list[Any]], release: asyncio.Event) -> None:
        await asyncio.to_thread(_import_client)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(lambda: None if ready.done() else ready.cancel())
            self._connected = []
            toolsets = []
            for server in self._servers:
                try:
                    toolset = _toolset(server, self._cwd)
                    await stack.enter_async_context(toolset)
                except Exception as error:  # noqa: BLE001 - any failure to start has one meaning
                    _log.warning("tool server %s: %s", server.name, type(error).__name__)
                    ready.set_exception(_not_started(server))
                    ready.exception()  # the turn may be cancelled by now
                    return
                self._connected.append(toolset)
                several = len(self._servers) > 1
                toolsets.append(toolset.prefixed(server.name) if several else toolset)
            ready.set_result(toolsets)
            await release.wait()

    def _stop_clock(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None


def _import_client() -> None:
    # late: the MCP client takes a second and 40 MiB, and a session may have no tools
    import fastmcp.client.transports  # noqa: F401
    import pydantic_ai.mcp  # noqa: F401


def _toolset(server: Server, cwd: str | None) -> Any:
    from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
    from pydantic_ai.mcp import MCPToolset

    transport: Any
    if isinstance(server, McpServerStdio):
        env = {variable.name: variable.value for variable in server.env}
        transport = StdioTransport(
            server.command, list(server.args), env=env, cwd=cwd, keep_alive=False
        )
    else:
        kind = StreamableHttpTransport if isinstance(server, HttpMcpServer) else SSETransport
        headers = {header.name: header.value for header in getattr(server, "headers", ())}
        transport = kind(getattr(server, "url", ""), headers=headers)
    return MCPToolset(
        transport,
        id=server.name,
        tool_error_behavior="failed",
        init_timeout=_START_SECONDS,
        read_timeout=_CALL_SECONDS,
    )


def _not_started(server: Server) -> TurnError:
    what = f" ({server.command})" if isinstance(server, McpServerStdio) else ""
    return TurnError(
        "tool_server",
        f"The tool server {server.name!r}{what} cannot be started: "
        "check its command or address, or take it out of the configuration.",
    )
