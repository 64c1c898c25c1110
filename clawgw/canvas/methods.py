"""Methods of the canvas: `canvas.a2ui.*` and `canvas.files.*`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import UNSET
from twisted.internet.defer import Deferred

from clawgw.canvas.a2ui import A2uiError, parse_lines
from clawgw.canvas.host import CanvasHost
from clawgw.canvas.root import BadPath, Entry, NotThere
from clawgw.methods import Caller, MethodTable
from clawgw.protocol import canvas as wire
from clawgw.protocol.base import NoParams, given
from clawgw.protocol.errors import RequestError, invalid, unavailable
from clawgw.sessions.keys import SessionKeys, SessionName
from clawgw.trust.scopes import NODE, READ, WRITE

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_LINES_CHARS = 4 * 1024 * 1024
DEFAULT_LIMIT = 1000
SURFACE = "canvas"


@dataclass(frozen=True)
class CanvasMethods:
    """The handlers.

    Attributes:
        keys: how clients name sessions.
        in_thread: runs a function in the thread pool.
        now_ms: the time, in milliseconds since the epoch.
    """

    host: CanvasHost
    keys: SessionKeys
    in_thread: Callable[..., Deferred[Any]]
    now_ms: Callable[[], int]

    def register(self, table: MethodTable) -> None:
        """Add them to the table."""
        for name, handler in (
            ("canvas.a2ui.push", self.push),
            ("canvas.a2ui.pushJSONL", self.push_lines),
            ("canvas.a2ui.reset", self.reset),
            ("canvas.files.write", self.write),
            ("canvas.files.read", self.read),
            ("canvas.files.list", self.list_files),
            ("canvas.files.delete", self.delete),
            ("canvas.files.reset", self.reset_files),
        ):
            table.add(name, handler, scope=WRITE, agents=True)
        table.add("plugin.surface.refresh", self.refresh, scope=READ)
        table.add("node.pluginSurface.refresh", self.refresh, scope=None, roles=(NODE,))

    # Its address

    def refresh(self, caller: Caller, params: wire.SurfaceRefreshParams) -> wire.SurfaceRefreshed:
        """Another address, for a client that stays connected longer than one is good."""
        expires_at_ms = self.now_ms() + self.host.lifetime_ms
        url = self.host.url_for(caller.host) if params.surface == SURFACE else None
        if url is None:
            raise unavailable(f"{params.surface} plugin surface unavailable")
        return wire.SurfaceRefreshed(
            surface=SURFACE, plugin_surface_urls={SURFACE: url}, expires_at_ms=expires_at_ms
        )

    # A2UI

    async def push(self, caller: Caller, params: wire.A2uiPushParams) -> wire.A2uiState:
        """Show messages on every screen."""
        messages, lines = given(params.messages, None), given(params.jsonl, None)
        if (messages is None) == (lines is None):
            raise invalid("expected either messages or jsonl")
        if messages is not None:
            return await self._push(caller, messages, "messages", params.session_key)
        return await self._push_lines(caller, lines or "", params.session_key)

    async def push_lines(self, caller: Caller, params: wire.A2uiPushLinesParams) -> wire.A2uiState:
        """The same, with the messages as JSON lines."""
        return await self._push_lines(caller, params.jsonl, params.session_key)

    async def reset(self, caller: Caller, params: wire.A2uiResetParams) -> wire.A2uiState:
        """End surfaces."""
        self._check_running()
        of_one = caller.bound_session is not None or params.session_key is not UNSET
        session = self._session(caller, params.session_key).key if of_one else None
        await self.host.reset(session, given(params.surface_id, None))
        return self._state(caller)

    def _session(self, caller: Caller, key: Any) -> SessionName:
        """The session surfaces belong to: for an agent's tool its own, or one it may see."""
        bound = caller.bound_session
        if key is UNSET:
            return self.keys.main() if bound is None else SessionName(bound.key, bound.agent_id)
        session = self.keys.parse(key)
        if bound is not None:
            bound.check(*session)
        return session

    async def _push_lines(self, caller: Caller, lines: str, key: Any) -> wire.A2uiState:
        if len(lines) > MAX_LINES_CHARS:
            raise invalid(f"jsonl: expected at most {MAX_LINES_CHARS} characters")
        try:
            messages = parse_lines(lines)
        except A2uiError as problem:
            raise invalid(f"jsonl: {problem}") from None
        return await self._push(caller, messages, "jsonl", key)

    async def _push(
        self, caller: Caller, messages: list[Any], field: str, key: Any
    ) -> wire.A2uiState:
        self._check_running()
        session = self._session(caller, key)
        try:
            await self.host.push(messages, session.key, takes_over=caller.bound_session is None)
        except A2uiError as problem:
            raise invalid(f"{field}: {problem}") from None
        return self._state(caller)

    def _check_running(self) -> None:
        if self.host.problem is not None:
            raise unavailable(f"the canvas is not served: {self.host.problem}")

    def _state(self, caller: Caller) -> wire.A2uiState:
        """What there is now; an agent's tool sees the surfaces of its session."""
        bound = caller.bound_session
        names = [
            name
            for name, surface in self.host.board.surfaces().items()
            if bound is None or surface.session_key == bound.key
        ]
        return wire.A2uiState(surfaces=names, screens=len(self.host.screens))

    # Files

    async def write(self, _: Caller, params: wire.FileWriteParams) -> wire.FileWritten:
        """Put a file there."""

        def work() -> Entry:
            content = _decoded(params.content, given(params.encoding, "utf8"))
            return self.host.root.write(params.path, content)

        entry = await self._file_work(work, params.path)
        self.host.files_changed()
        return wire.FileWritten(file=_entry(entry))

    async def read(self, _: Caller, params: wire.FileReadParams) -> wire.FileContent:
        """A file's content."""

        def work() -> wire.FileContent:
            entry, content = self.host.root.read(params.path, MAX_FILE_BYTES)
            text, encoding = _encoded(content, given(params.encoding, None))
            return wire.FileContent(file=_entry(entry), content=text, encoding=encoding)

        found: wire.FileContent = await self._file_work(work, params.path)
        return found

    async def list_files(self, _: Caller, params: wire.FileListParams) -> wire.FileList:
        """The files there are."""
        path, limit = given(params.path, ""), given(params.limit, DEFAULT_LIMIT)
        entries, more = await self._file_work(
            lambda: self.host.root.entries(path, limit), path or "the canvas"
        )
        return wire.FileList(files=[_entry(entry) for entry in entries], truncated=more)

    async def delete(self, _: Caller, params: wire.FileDeleteParams) -> wire.FilesDeleted:
        """Delete a file or a directory."""
        count = await self._file_work(lambda: self.host.root.delete(params.path), params.path)
        self.host.files_changed()
        return wire.FilesDeleted(deleted=count)

    async def reset_files(self, _: Caller, __: NoParams) -> wire.FilesDeleted:
        """Delete everything."""
        count = await self._file_work(self.host.root.reset, "the canvas")
        self.host.files_changed()
        return wire.FilesDeleted(deleted=count)

    async def _file_work(self, work: Callable[[], Any], path: str) -> Any:
        """Do something with a file in a thread, and say what went wrong in a sentence."""
        try:
            return await self.in_thread(work)
        except BadPath as problem:
            raise invalid(f"path: {problem}") from None
        except (NotThere, FileNotFoundError):
            raise RequestError("NOT_FOUND", f"path: there is no {path!r}") from None
        except IsADirectoryError:
            raise invalid(f"path: {path!r} is a directory") from None
        except BufferError:
            raise invalid(f"path: the file has more than {MAX_FILE_BYTES} bytes") from None
        except OSError as problem:
            raise unavailable(f"the canvas directory refuses: {problem.strerror}") from None


def _decoded(content: str, encoding: str) -> bytes:
    if encoding == "utf8":
        try:
            raw = content.encode()
        except UnicodeEncodeError:
            raise invalid("content: expected Unicode text without lone surrogates") from None
    else:
        try:
            raw = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            raise invalid("content: expected base64 text") from None
    if len(raw) > MAX_FILE_BYTES:
        raise invalid(f"content: expected at most {MAX_FILE_BYTES} bytes")
    return raw


def _encoded(content: bytes, wanted: str | None) -> tuple[str, Literal["utf8", "base64"]]:
    if wanted != "base64":
        try:
            return content.decode(), "utf8"
        except UnicodeDecodeError:
            if wanted == "utf8":
                raise invalid("encoding: the file is not UTF-8; ask for base64") from None
    return base64.b64encode(content).decode(), "base64"


def _entry(entry: Entry) -> wire.FileEntry:
    path = entry.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return wire.FileEntry(
        path=path, size=entry.size, modified_at_ms=max(0, entry.modified_ns // 1_000_000)
    )
