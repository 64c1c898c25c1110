"""A tiny MCP server over stdio, run as a program: the tools of the tests' sessions."""

import base64
import os

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

# the smallest PNG there is
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

server = MCPServer("test-tools")


@server.tool()
def add(left: int, right: int) -> str:
    """Add two numbers."""
    return f"the sum is {left + right}"


@server.tool()
def photo() -> Image:
    """Take a photo."""
    return Image(data=PIXEL, format="png")


@server.tool()
def broken() -> str:
    """Always fails."""
    raise ToolError("the tool is out of order")


@server.tool()
def environment() -> str:
    """The names of the environment variables this server got."""
    return " ".join(sorted(os.environ))


@server.tool()
def die() -> str:
    """Ends this server."""
    os._exit(1)


if __name__ == "__main__":
    server.run("stdio")
