"""Files that somebody asks to send: brought from where they say into the media store.

A file is given by an `http` or `https` address, by its path on this host, or in the request itself.
Of this host's files only those under directories that agents work in may be sent (their workspaces,
the canvas, received media): the right to send messages is not the right to read every file. Where
such a directory has the Gateway's own state in it, that is left out. An address must lead to the
public internet, unless the operator allows private ones (`channels.allowPrivateMediaUrls`), because
the Gateway stands where the asker may not.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred, DeferredSemaphore

from clawgw.channels.adapter import SendRefused
from clawgw.channels.media import MAX_BYTES, MediaStore, media_of, type_of
from clawgw.channels.messages import OutMedia
from clawgw.protocol.errors import RequestError, invalid, unavailable

LOOKUPS = 2
"""Names that are looked up at a time: where nobody answers, each holds a thread for long."""

_WITH_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


class MediaSources:
    """Brings files.

    Args:
        reactor: for fetching.
        roots: the directories whose files may be sent.
        private: the directory whose files may not, but for roots in it.
        allow_private: whether addresses in private networks may be fetched from.
    """

    def __init__(
        self,
        reactor: Any,
        store: MediaStore,
        in_thread: Callable[..., Deferred[Any]],
        roots: Sequence[Path],
        private: Path,
        *,
        allow_private: bool,
    ) -> None:
        self._reactor = reactor
        self._store = store
        self._in_thread = in_thread
        self._roots = roots
        self._private = private
        self.allow_private = allow_private
        self._lookups = DeferredSemaphore(LOOKUPS)
        self._http: Any = None

    async def bring(self, where: str, name: str | None, mime_type: str | None) -> OutMedia:
        """The file at an address or path.

        Raises:
            RequestError: it cannot be had; the message says why.
        """
        try:
            parts = urlsplit(where)
        except ValueError:
            raise _no_source() from None
        if parts.scheme in ("http", "https"):
            return await self._fetch(where, name, mime_type)
        path = unquote(parts.path) if parts.scheme == "file" else where
        return await self._copy(Path(path), name, mime_type)

    async def decode(self, content: str, name: str | None, mime_type: str | None) -> OutMedia:
        """A file that is in the request, as base64.

        Raises:
            RequestError: it is no base64, or cannot be kept.
        """
        if content.startswith("data:"):
            head, _, content = content.partition(",")
            mime_type = mime_type or head[5:].partition(";")[0]
        try:
            data = await self._in_thread(base64.b64decode, content, None, True)
        except (binascii.Error, ValueError):
            raise invalid("buffer: expected base64 text") from None
        name = name or "file"
        try:
            return await self._store.keep_bytes(data, name, mime_type or type_of(name))
        except SendRefused as problem:
            raise unavailable(f"buffer: {problem}", retryable=True) from None

    async def close(self) -> None:
        """End what is being fetched."""
        if self._http is not None:
            await self._http.close()

    async def _copy(self, path: Path, name: str | None, mime_type: str | None) -> OutMedia:
        real = await self._in_thread(self._permitted, path)
        name = name or path.name
        try:
            return await self._store.keep(real, name, mime_type or type_of(name))
        except SendRefused as problem:
            raise invalid(f"mediaUrl: {problem}") from None

    def _permitted(self, path: Path) -> Path:
        """Where a path really leads, if that may be sent; not for the reactor.

        Raises:
            RequestError: it may not.
        """
        try:
            real = Path(os.path.realpath(path.expanduser()))
        except (ValueError, RuntimeError):  # a NUL in it, or a home that nobody has
            raise _no_source() from None
        roots = [Path(os.path.realpath(root)) for root in self._roots]
        around = [
            one
            for one in (*roots, Path(os.path.realpath(self._private)))
            if real.is_relative_to(one)
        ]
        nearest = max(around, key=lambda one: len(one.parts), default=None)
        if nearest not in roots:
            raise invalid(
                "mediaUrl: only files in an agent's workspace, on the canvas or among received "
                "media can be sent"
            )
        return real

    async def _fetch(self, url: str, name: str | None, mime_type: str | None) -> OutMedia:
        # Not needed by a Gateway that sends no files, and slow to load.
        from clawgw.channels import http

        await self._lookups.run(self._in_thread, self._check_host, urlsplit(url).hostname or "")
        if self._http is None:
            # Asked again when it is connected: a name may lead elsewhere by then.
            self._http = http.Http(self._reactor, "mediaUrl", allowed=self._is_allowed)
        name = name or Path(unquote(urlsplit(url).path)).name or "file"
        path = self._store.outbound(name, mime_type or type_of(name))
        try:
            info = await self._http.download(url, path, max_bytes=MAX_BYTES)
        except (http.HttpUnreachable, http.HttpLost) as problem:
            raise unavailable(f"mediaUrl: {problem}", retryable=True) from None
        except http.HttpError as problem:
            raise invalid(f"mediaUrl: {problem}") from None
        except OSError as problem:
            raise unavailable(f"mediaUrl: cannot be kept: {problem.strerror}") from None
        return media_of(path, name, mime_type or info.mime_type or type_of(name))

    def _check_host(self, host: str) -> None:
        """Look a host up; not for the reactor.

        Raises:
            RequestError: it is not in the public internet.
        """
        if self.allow_private:
            return
        try:
            found = socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            raise invalid(f"mediaUrl: there is no host {host[:100]!r}") from None
        for *_, address in found:
            if not self._is_allowed(str(address[0])):
                raise invalid(
                    f"mediaUrl: {host[:100]!r} is in a private network; set "
                    "channels.allowPrivateMediaUrls to allow that"
                )

    def _is_allowed(self, address: str) -> bool:
        return self.allow_private or _is_public(address)


def _is_public(address: str) -> bool:
    """Whether an IP address is in the public internet, and what it may be translated to as well."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = _translated(found) if isinstance(found, ipaddress.IPv6Address) else None
    return all(one.is_global and not one.is_multicast for one in (found, inner) if one is not None)


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in an IPv6 one: 6to4 (RFC 3056), NAT64 (RFC 6052), the old `::a.b.c.d`."""
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _WITH_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _no_source() -> RequestError:
    return invalid("mediaUrl: expected an http(s) address, or a path on the Gateway's host")
