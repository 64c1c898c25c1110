"""TCP ports on loopback for tests, which run in several processes at the same time."""

from __future__ import annotations

import contextlib
import random
import socket
import weakref


def free_port() -> int:
    """A TCP port nobody has right now, below those that outgoing connections get."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def hold_port(owner: object) -> int:
    """A TCP port that is its owner's as long as that exists.

    It is bound here, but not listened on: whoever connects is refused. A server that sets
    SO_REUSEADDR may listen on it, also after a restart; nobody else is given it in between.
    """
    held = socket.socket()
    weakref.finalize(owner, held.close)
    while True:
        port = free_port()
        with contextlib.suppress(OSError):
            held.bind(("127.0.0.1", port))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return port
