"""Names are looked up in threads of their own.

A lookup cannot be ended: while a name server is silent, each holds its thread for half a minute,
whoever still waits for it. In the reactor's few threads a broken network would so hold up files and
readings of the store, which have nothing to do with it.
"""

from __future__ import annotations

from socket import getaddrinfo
from threading import Thread
from typing import Any

from twisted.internet._resolver import GAIResolver  # the reactor's own; no public name
from twisted.python.threadpool import ThreadPool

THREADS = 4


class NameThreads:
    """Where a reactor looks names up, from now until `stop`.

    Args:
        reactor: what connects to hosts by their names.
        look_up: as `socket.getaddrinfo`.
    """

    def __init__(self, reactor: Any, look_up: Any = getaddrinfo) -> None:
        self._reactor = reactor
        self._pool = _Pool(0, THREADS, name="clawgw-names")
        self._pool.start()
        self._before = reactor.installNameResolver(
            GAIResolver(reactor, lambda: self._pool, look_up)
        )

    def stop(self) -> None:
        """As it was before; nobody waits for lookups that are going on."""
        self._reactor.installNameResolver(self._before)
        _Thread(target=self._pool.stop).start()


class _Thread(Thread):
    """A thread that does not keep the process from ending."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class _Pool(ThreadPool):
    threadFactory = _Thread
