"""``clawgw mcp``: the Gateway's tools for one agent session, as an MCP server."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from clawgw.cli.runner import CANNOT_CONNECT, INTERRUPTED, NOT_AUTHORISED, USAGE


@click.command()
def mcp() -> None:
    """Serve the Gateway's tools to an agent, by MCP.

    Agents start this by themselves: the Gateway tells them how, with a token of the session in the
    environment (CLAWGW_MCP_URL, CLAWGW_MCP_TOKEN, CLAWGW_MCP_TLS_FINGERPRINT, CLAWGW_MCP_SESSION).
    """
    from clawgw.mcp.servers import PIN_VARIABLE, SESSION_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE

    url, token = os.environ.get(URL_VARIABLE), os.environ.pop(TOKEN_VARIABLE, None)
    if not (url and token):
        _end(
            USAGE,
            f"{URL_VARIABLE} and {TOKEN_VARIABLE} are not set. The Gateway gives them to the "
            "agents it starts; there is no need to start this by hand.",
        )
    try:
        _serve(url, token, os.environ.get(PIN_VARIABLE), os.environ.get(SESSION_VARIABLE, ""))
    except ImportError as problem:
        _end(USAGE, f"{problem.name} is not installed: pip install 'clawgw[agent]'.")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _serve(url: str, token: str, pin: str | None, session: str) -> None:
    # Late: the MCP library takes most of a second, and no other command needs it.
    import asyncio
    import logging

    from clawgw.mcp.gateway import Failure, Gateway, Over
    from clawgw.mcp.server import serve

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")

    async def work() -> None:
        await serve(Gateway(url, token, pin), session)

    try:
        asyncio.run(work())
    except Over as problem:
        _end(NOT_AUTHORISED, str(problem))
    except Failure as problem:
        _end(CANNOT_CONNECT, str(problem))


def _end(code: int, sentence: str) -> NoReturn:
    print(f"clawgw: {sentence}", file=sys.stderr)
    sys.exit(code)
