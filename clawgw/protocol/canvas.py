"""The canvas: A2UI surfaces and the files agents write.

`canvas.a2ui.*` have the names and parameters of the commands of a stock node (protocol 3
documentation, "Canvas"); `sessionKey`, and all of `canvas.files.*`, are ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta

from clawgw.protocol.base import Count, Maybe, Name, Open, Params

FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]
"""A path relative to the canvas, with slashes."""


class A2uiPushParams(Params, frozen=True):
    """`canvas.a2ui.push`: A2UI messages, as a list or as JSON lines; actions go to the session."""

    messages: Maybe[list[Any]] = UNSET
    jsonl: Maybe[str] = UNSET
    session_key: Maybe[Name] = UNSET


class A2uiPushLinesParams(Params, frozen=True):
    """`canvas.a2ui.pushJSONL`."""

    jsonl: Name
    session_key: Maybe[Name] = UNSET


class A2uiResetParams(Params, frozen=True):
    """`canvas.a2ui.reset`: end all surfaces, or those of a session, or one."""

    session_key: Maybe[Name] = UNSET
    surface_id: Maybe[Name] = UNSET


class A2uiState(Open, frozen=True):
    """Result of `canvas.a2ui.*`: the surfaces there are, and how many screens show them."""

    surfaces: list[str]
    screens: Count
    ok: bool = True


class FileWriteParams(Params, frozen=True):
    """`canvas.files.write`: put a file there, whole."""

    path: FilePath
    content: str
    encoding: Maybe[Literal["utf8", "base64"]] = UNSET


class FileReadParams(Params, frozen=True):
    """`canvas.files.read`; without `encoding` text comes as text and anything else as base64."""

    path: FilePath
    encoding: Maybe[Literal["utf8", "base64"]] = UNSET


class FileListParams(Params, frozen=True):
    """`canvas.files.list`: the files under a directory."""

    path: Maybe[Annotated[str, Meta(max_length=1024)]] = UNSET
    limit: Maybe[Annotated[int, Meta(ge=1, le=10_000)]] = UNSET


class FileDeleteParams(Params, frozen=True):
    """`canvas.files.delete`: a file, or a directory with everything in it."""

    path: FilePath


class FileEntry(Open, frozen=True):
    """A file of the canvas; `size` in bytes."""

    path: Name
    size: Count
    modified_at_ms: Count


class FileContent(Open, frozen=True):
    """Result of `canvas.files.read`."""

    file: FileEntry
    content: str
    encoding: Literal["utf8", "base64"]


class FileWritten(Open, frozen=True):
    """Result of `canvas.files.write`."""

    file: FileEntry
    ok: bool = True


class FileList(Open, frozen=True):
    """Result of `canvas.files.list`; `truncated`: there are more."""

    files: list[FileEntry]
    truncated: bool


class FilesDeleted(Open, frozen=True):
    """Result of `canvas.files.delete` and `canvas.files.reset`: how many files went."""

    deleted: Count
    ok: bool = True


class SurfaceRefreshParams(Open, frozen=True):
    """`plugin.surface.refresh` and `node.pluginSurface.refresh` (version 4): a new address.

    The contract leaves the parameters open; this Gateway has one surface, `canvas`.
    """

    surface: Name


class SurfaceRefreshed(Open, frozen=True):
    """Their result: the address by the surface's name, and until when it is good."""

    surface: Name
    plugin_surface_urls: dict[str, str]
    expires_at_ms: Count
