"""The wire: newline-delimited JSON-RPC between this process and the Gateway.

Before anything else runs, the two pipes are moved to private descriptors; descriptor 0 becomes
the null device and descriptor 1 stderr. A library that prints, in Python or in C, can therefore
not damage the protocol, and no child process can read from it.

The peer is not trusted to be well-behaved. A line that is no JSON, no object or no sensible
JSON-RPC message gets an error response and is forgotten; a line longer than the limit is skipped
without being held in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from typing import Any

_LONGEST_LINE = 64 * 1024 * 1024
_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600


class NotAPipe(Exception):
    """Stdin or stdout is a file or a device, so nobody can be talking to us."""


def claim_stdio() -> tuple[int, int]:
    """Take the protocol's descriptors away from everything else in the process.

    :returns: the descriptors to read from and to write to.
    :raises NotAPipe: stdin or stdout is neither a pipe nor a socket nor a terminal.
    """
    for fd in (0, 1):
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)):
            raise NotAPipe
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(sys.stderr.fileno(), 1)
    return reading, writing


class Wire:
    """The message transport that :mod:`acp` runs on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, reading: int, writing: int) -> Wire:
        """Attach to two descriptors, which are closed with the wire."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
            os.fdopen(writing, "wb", buffering=0),
        )
        return cls(reader, asyncio.StreamWriter(transport, protocol, None, loop))

    async def receive(self) -> dict[str, Any] | None:
        """The next message, or nothing when the peer has gone."""
        while True:
            line = await self._read_line()
            if line is None:
                return None
            if not line.strip():
                continue
            message, complaint = _parse(line)
            if complaint is None:
                return message
            await self.send(complaint)

    async def send(self, message: dict[str, Any]) -> None:
        """Write one message, waiting while the peer is slow.

        :raises ConnectionError: the peer has gone.
        """
        self._writer.write(json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n")
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()

    async def _read_line(self) -> bytes | None:
        skipping = False
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return None
            except asyncio.LimitOverrunError as overrun:
                await self._reader.readexactly(overrun.consumed)
                skipping = True
                continue
            if not skipping:
                return line
            skipping = False
            await self.send(_error(_INVALID_REQUEST, f"A message over {_LONGEST_LINE} bytes"))


def _parse(line: bytes) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """A message, or the error response to something that is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None, _error(_PARSE_ERROR, "The line is not JSON")
    if not isinstance(message, dict):
        return None, _error(_INVALID_REQUEST, "A message must be a JSON object")
    if not isinstance(message.get("id"), str | int | None):
        return None, _error(_INVALID_REQUEST, "id must be a string or an integer")
    if not isinstance(message.get("method"), str | None):
        return None, _error(_INVALID_REQUEST, "method must be a string")
    if "method" not in message and "id" not in message:
        return None, _error(_INVALID_REQUEST, "A message must have a method or an id")
    return message, None


def _error(code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
