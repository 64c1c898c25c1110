"""Where a request goes, and whether it may: the addresses of the canvas host.

    /__openclaw__/canvas/<path>     a file that an agent wrote
    /__openclaw__/a2ui/             the A2UI page, and what belongs to it
    /__openclaw__/ws                the WebSocket of both
    /__openclaw__/cap/<capability>  before any of these: how it is reached from elsewhere

The names are those stock clients append to the address they are given in `hello-ok`. A process of
this host needs no capability. *Local* is what `trust.peers` says it is, so a web page that has its
name point at 127.0.0.1, or a proxy that forwards somebody, is not.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote

from clawgw.canvas.capability import Capabilities
from clawgw.trust.peers import Peer

BASE = "/__openclaw__"
CANVAS = f"{BASE}/canvas"
A2UI = f"{BASE}/a2ui"
SOCKET = f"{BASE}/ws"
CAPABILITY = f"{BASE}/cap"

_CAPABILITY = re.compile(rf"{CAPABILITY}/(?P<text>[A-Za-z0-9_-]{{1,200}})(?P<rest>/.*)?", re.DOTALL)
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")

Kind = Literal["canvas", "a2ui", "socket", "elsewhere"]


class Route(NamedTuple):
    """What a request's path means.

    Attributes:
        prefix: what stands before every address of this visitor, with the capability if any.
        path: the file, decoded and relative; for `elsewhere` the path as it came.
        bare: a directory asked for without its slash.
    """

    kind: Kind
    path: str
    prefix: str = ""
    capability: str | None = None
    bare: bool = False


def route(raw_path: str) -> Route:
    """The meaning of a path as it is in the request line."""
    prefix, capability, rest = "", None, raw_path
    match = _CAPABILITY.fullmatch(raw_path)
    if match is not None:
        capability = match["text"]
        prefix, rest = f"{CAPABILITY}/{capability}", match["rest"] or "/"
    if rest == SOCKET:
        return Route("socket", "", prefix, capability)
    places: tuple[tuple[Kind, str], ...] = (("canvas", CANVAS), ("a2ui", A2UI))
    for kind, base in places:
        if rest == base or rest.startswith(f"{base}/"):
            path = unquote(rest[len(base) + 1 :], errors="surrogateescape")
            return Route(kind, path, prefix, capability, bare=rest == base)
    return Route("elsewhere", rest, prefix, capability)


def may_enter(where: Route, peer: Peer, capabilities: Capabilities) -> bool:
    """Whether this visitor may have what it asks for."""
    if peer.is_local:
        return True
    return where.capability is not None and capabilities.holds("canvas", where.capability)


def host_name(header: str) -> str | None:
    """The name in a `Host` header, without the port; None where it is none."""
    match = _HOST.fullmatch(header)
    return match["name"] if match else None


def surface_url(host_header: str, port: int, capability: str, *, secure: bool) -> str | None:
    """The address of the canvas for a client that reached us under this `Host`.

    It has the form the public contract's recordings show (`pluginSurfaceUrls.canvas`).
    """
    name = host_name(host_header)
    if name is None:
        return None
    scheme = "https" if secure else "http"
    return f"{scheme}://{name}:{port}{CAPABILITY}/{capability}"
