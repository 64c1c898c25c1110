"""Files that somebody asks to send: brought from where they say into the media store.

A file is given by an `http` or `https` address, by its path on this host, or in the request itself.
Of this host's files only those under directories that agents work in may be sent (their workspaces,
the canvas, received media): the right to send messages is not the right to read every file. An
address must lead to the public internet, unless the operator allows private ones
(`channels.allowPrivateMediaUrls`), because the Gateway stands where the asker may not.
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

from twisted.internet.defer import Deferred

from clawgw.channels.adapter import SendRefused
from clawgw.channels.media import MediaStore, media_of, type_of
from clawgw.channels.messages import OutMedia
from clawgw.protocol.errors import invalid, unavailable

MAX_BYTES = 100 * 1024 * 1024


class MediaSources:
    """Brings files.

    Args:
        reactor: for fetching.
        roots: the directories whose files may be sent.
        allow_private: whether addresses in private networks may be fetched from.
    """

    def __init__(
        self,
        reactor: Any,
        store: MediaStore,
        in_thread: Callable[..., Deferred[Any]],
        roots: Sequence[Path],
        *,
        allow_private: bool,
    ) -> None:
        self._reactor = reactor
        self._store = store
        self._in_thread = in_thread
        self._roots = roots
        self._allow_private = allow_private
        self._http: Any = None

    async def bring(self, where: str, name: str | None, mime_type: str | None) -> OutMedia:
        """The file at an address or path.

        Raises:
            RequestError: it cannot be had; the message says why.
        """
        scheme = urlsplit(where).scheme.lower()
        if scheme in ("http", "https"):
            return await self._fetch(where, name, mime_type)
        path = Path(unquote(urlsplit(where).path)) if scheme == "file" else Path(where)
        return await self._copy(path.expanduser(), name, mime_type)

    async def decode(self, content: str, name: str | None, mime_type: str | None) -> OutMedia:
        """A file that is in the request, as base64.

        Raises:
            RequestError: it is no base64.
        """
        if content.startswith("data:"):
            head, _, content = content.partition(",")
            mime_type = mime_type or head[5:].partition(";")[0]
        try:
            data = await self._in_thread(base64.b64decode, content, None, True)
        except (binascii.Error, ValueError):
            raise invalid("buffer: expected base64 text") from None
        name = name or "file"
        return await self._store.keep_bytes(data, name, mime_type or type_of(name))

    async def close(self) -> None:
        """End what is being fetched."""
        if self._http is not None:
            await self._http.close()

    async def _copy(self, path: Path, name: str | None, mime_type: str | None) -> OutMedia:
        real = await self._in_thread(os.path.realpath, path)
        roots = [await self._in_thread(os.path.realpath, root) for root in self._roots]
        if not any(os.path.commonpath([root, real]) == root for root in roots):
            raise invalid(
                "mediaUrl: only files in an agent's workspace, on the canvas or among received "
                "media can be sent"
            )
        name = name or path.name
        try:
            return await self._store.keep(Path(real), name, mime_type or type_of(name))
        except SendRefused as problem:
            raise invalid(f"mediaUrl: {problem}") from None

    async def _fetch(self, url: str, name: str | None, mime_type: str | None) -> OutMedia:
        # Not needed by a Gateway that sends no files, and slow to load.
        from clawgw.channels import http

        await self._in_thread(self._check_host, urlsplit(url).hostname or "")
        if self._http is None:
            self._http = http.Http(self._reactor, "mediaUrl")
        name = name or Path(unquote(urlsplit(url).path)).name or "file"
        path = self._store.outbound(name, mime_type or type_of(name))
        try:
            info = await self._http.download(url, path, max_bytes=MAX_BYTES)
        except (http.HttpUnreachable, http.HttpLost) as problem:
            raise unavailable(f"mediaUrl: {problem}", retryable=True) from None
        except http.HttpError as problem:
            raise invalid(f"mediaUrl: {problem}") from None
        return media_of(path, name, mime_type or info.mime_type or type_of(name))

    def _check_host(self, host: str) -> None:
        """Look a host up; not for the reactor.

        Raises:
            RequestError: it is not in the public internet.
        """
        if self._allow_private:
            return
        try:
            found = socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            raise invalid(f"mediaUrl: there is no host {host[:100]!r}") from None
        for *_, address in found:
            if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
                raise invalid(
                    f"mediaUrl: {host[:100]!r} is in a private network; set "
                    "channels.allowPrivateMediaUrls to allow that"
                )
