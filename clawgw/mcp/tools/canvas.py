"""The canvas: pages and interfaces that every connected screen shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from clawgw.mcp.gateway import Failure
from clawgw.mcp.pictures import MAX_PICTURE_CHARS, kind_of
from clawgw.mcp.tool import (
    Arguments,
    Context,
    NoArguments,
    Picture,
    Piece,
    Tool,
    shortened,
)

MAX_CONTENT = 20_000_000
MAX_LISTED = 500

FilePath = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description="A path relative to the canvas, such as index.html or img/plan.png.",
    ),
]


class Write(Arguments, frozen=True):
    """Arguments of `canvas_write`."""

    path: FilePath
    content: Annotated[
        str, Meta(max_length=MAX_CONTENT, description="The whole file. It replaces what is there.")
    ]
    encoding: Annotated[
        Literal["utf8", "base64"], Meta(description="base64 for files that are not text.")
    ] = "utf8"


class Read(Arguments, frozen=True):
    """Arguments of `canvas_read`."""

    path: FilePath


class List(Arguments, frozen=True):
    """Arguments of `canvas_list`."""

    path: Annotated[
        str, Meta(max_length=1024, description="A directory of the canvas; all of it without.")
    ] = ""


class Delete(Arguments, frozen=True):
    """Arguments of `canvas_delete`."""

    path: FilePath


class Push(Arguments, frozen=True):
    """Arguments of `canvas_a2ui_push`."""

    messages: Annotated[
        list[dict[str, Any]], Meta(max_length=1000, description="A2UI messages, in their order.")
    ] = field(default_factory=list)
    reset: Annotated[
        bool, Meta(description="End the surfaces of this session first; alone, only that.")
    ] = False


async def write(context: Context, asked: Write) -> list[Piece]:
    """Put a file there."""
    answer = await context.gateway.request("canvas.files.write", msgspec.to_builtins(asked))
    file = answer["file"]
    return [f"Written: {file['path']}, {file['size']} bytes. Open pages reload by themselves."]


async def read(context: Context, asked: Read) -> list[Piece]:
    """A file: text as text, a picture as a picture."""
    answer = await context.gateway.request("canvas.files.read", {"path": asked.path})
    content, kind = answer["content"], kind_of(asked.path)
    if answer["encoding"] == "utf8":
        return [shortened(content)]
    if kind is None:
        raise Failure(f"{asked.path} is neither text nor a picture, so it cannot be shown.")
    if len(content) > MAX_PICTURE_CHARS:
        raise Failure(f"{asked.path} is too large a picture to be shown.")
    return [Picture(content, kind)]


async def list_files(context: Context, asked: List) -> list[Piece]:
    """What is there."""
    params = {"limit": MAX_LISTED, **({"path": asked.path} if asked.path else {})}
    answer = await context.gateway.request("canvas.files.list", params)
    lines = [f"{file['path']}  {file['size']} bytes" for file in answer["files"]]
    if answer["truncated"]:
        lines.append("… and more; name a directory to see the rest.")
    return [shortened("\n".join(lines)) if lines else "The canvas is empty."]


async def delete(context: Context, asked: Delete) -> list[Piece]:
    """Delete a file or a directory."""
    answer = await context.gateway.request("canvas.files.delete", {"path": asked.path})
    return [f"Deleted: {answer['deleted']} file(s)."]


async def reset(context: Context, _: NoArguments) -> list[Piece]:
    """Delete everything."""
    answer = await context.gateway.request("canvas.files.reset", {})
    return [f"The canvas is empty now; {answer['deleted']} file(s) are gone."]


async def push(context: Context, asked: Push) -> list[Piece]:
    """Show an interface, or end those that are shown."""
    if not (asked.messages or asked.reset):
        raise Failure("Give messages to show, or reset: true.")
    answer: dict[str, Any] = {}
    if asked.reset:
        answer = await context.gateway.request("canvas.a2ui.reset", {})
    if asked.messages:
        answer = await context.gateway.request("canvas.a2ui.push", {"messages": asked.messages})
    surfaces = ", ".join(answer.get("surfaces", ())) or "none"
    return [f"Surfaces: {surfaces}. Screens that show them: {answer.get('screens', 0)}."]


TOOLS = (
    Tool(
        "canvas_write",
        "Write a canvas file",
        "Write a file of the canvas, a small web site that the person's screens show. index.html "
        "is what they see first; other files (CSS, scripts, pictures) are reached by relative "
        "links. Screens reload by themselves when a file changes.",
        Write,
        write,
        destroys=True,
    ),
    Tool(
        "canvas_read",
        "Read a canvas file",
        "Read a file of the canvas. Pictures are returned as images.",
        Read,
        read,
        reads=True,
    ),
    Tool(
        "canvas_list",
        "List canvas files",
        "List the files of the canvas with their sizes.",
        List,
        list_files,
        reads=True,
    ),
    Tool(
        "canvas_delete",
        "Delete a canvas file",
        "Delete a file of the canvas, or a directory with everything in it.",
        Delete,
        delete,
        destroys=True,
    ),
    Tool(
        "canvas_reset",
        "Empty the canvas",
        "Delete every file of the canvas, those of other sessions too.",
        NoArguments,
        reset,
        destroys=True,
    ),
    Tool(
        "canvas_a2ui_push",
        "Show an A2UI interface",
        "Show an interface made of A2UI messages (forms, lists, buttons) on the person's screens. "
        'Version 0.9: {"version": "v0.9", "createSurface": {...}}, updateComponents, '
        "updateDataModel, deleteSurface; version 0.8: surfaceUpdate, dataModelUpdate, "
        "beginRendering. What the person does there comes back to this session as a message.",
        Push,
        push,
    ),
)
