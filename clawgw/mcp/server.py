"""The MCP server: lists the session's tools, runs them, and ends when there is nobody to work for.

It offers the tools whose methods the Gateway has and the session's policy allows; the Gateway says
which in `hello-ok`. It ends when its standard input is closed, or when the session's token counts
no more. Standard output belongs to MCP; everything there is to say goes to standard error.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import Any, cast

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from clawgw import __version__
from clawgw.mcp.gateway import Failure, Gateway
from clawgw.mcp.tool import Context, Picture, Piece, Tool
from clawgw.mcp.tools import canvas, messages, nodes, sessions
from clawgw.trust.tools import TOOLS as GRANTS

MAX_LINE = 32 * 1024 * 1024
INSTRUCTIONS = (
    "Tools of the clawgw Gateway: the devices paired with it (nodes), the canvas its screens show, "
    "and the other sessions."
)

_log = logging.getLogger("clawgw.mcp")


def all_tools() -> dict[str, Tool]:
    """Every tool there is, by name."""
    families = (nodes, canvas, sessions, messages)
    return {tool.name: tool for family in families for tool in family.TOOLS}


def offered(methods: frozenset[str]) -> dict[str, Tool]:
    """The tools for which the Gateway has every method."""
    return {name: tool for name, tool in all_tools().items() if methods.issuperset(_needs(name))}


def _needs(name: str) -> tuple[str, ...]:
    return GRANTS[name].methods


async def serve(gateway: Gateway, session: str) -> None:
    """Serve on standard input and output until one side has gone.

    Raises:
        Failure: the Gateway cannot be reached, or does not take the token.
    """
    await gateway.connect()
    server = make_server(gateway, session)
    options = server.create_initialization_options()
    reader = await _stdin()
    async with stdio_server(stdin=cast(Any, reader)) as (received, sent):
        ending = asyncio.create_task(_end_with(gateway, reader))
        try:
            await server.run(received, sent, options)
        finally:
            ending.cancel()
            await gateway.close()


async def _stdin() -> asyncio.StreamReader:
    """Standard input by line; unlike a thread that reads it, this can be ended."""
    reader = asyncio.StreamReader(limit=MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


async def _end_with(gateway: Gateway, reader: asyncio.StreamReader) -> None:
    """Let the input end when the Gateway has ended this session's tools."""
    await gateway.over.wait()
    reader.feed_eof()


def make_server(gateway: Gateway, session: str) -> Server[Any]:
    """The server of one session's tools."""
    context = Context(gateway, session)

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[_definition(tool) for tool in offered(gateway.methods).values()]
        )

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await call(context, params.name, params.arguments)

    return Server(
        "clawgw",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def call(
    context: Context, name: str, arguments: Mapping[str, Any] | None
) -> types.CallToolResult:
    """Run a tool. Never raises: a model is told in a sentence what went wrong."""
    tool = offered(context.gateway.methods).get(name)
    try:
        if tool is None:
            raise Failure(f"There is no tool {name[:80]!r} in this session.")
        pieces = await tool.run(context, tool.parse(dict(arguments or {})))
    except Failure as problem:
        return _failed(str(problem))
    except Exception as problem:  # noqa: BLE001 - whatever it is, the model has to go on
        _log.exception("%s failed", name)
        return _failed(f"{name} failed inside the tool server ({type(problem).__name__}).")
    return types.CallToolResult(content=[_content(piece) for piece in pieces])


def _failed(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=sentence)], is_error=True)


def _content(piece: Piece) -> types.TextContent | types.ImageContent:
    if isinstance(piece, Picture):
        return types.ImageContent(data=piece.data, mime_type=piece.mime_type)
    return types.TextContent(text=piece)


def _definition(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads, destructive_hint=tool.destroys, open_world_hint=False
        ),
    )
