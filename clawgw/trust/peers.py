"""Who is at the other end of a connection: its address, whether it is local, where its page is.

*Local* means a process of this host that did not come through a proxy: the address is loopback,
the `Host` header names this host, and no forwarding header is there unless a trusted proxy set
it. An SSH tunnel ends here as such a process, on purpose. A browser page of another site that has
its name point at 127.0.0.1 does not: its `Host` header gives it away.

*Origin* is what a browser says of the page that connects; other clients have none. Our own page's
origin has the same authority as the `Host` header, which must itself be a name nobody else can
own: loopback, an IP address, or the host's name. Other origins must be listed in
`gateway.controlUi.allowedOrigins`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

_FORWARDING_PREFIX = "x-forwarded-"
_FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)
_LOCAL_NAMES = ("localhost",)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Peer(NamedTuple):
    """The other end. `origin` is None where no browser is.

    `tools_only`: it came to the port that is for tools of agents and nobody else.
    """

    address: str
    is_local: bool
    origin: str | None = None
    origin_allowed: bool = True
    tls_pinned: bool = False
    tools_only: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether the address is loopback, proxied or not."""
        return is_loopback(self.address)


class PeerPolicy(NamedTuple):
    """What the operator said of proxies and pages, and what this host is called."""

    trusted_proxies: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    host_names: Sequence[str] = ()


def is_loopback(address: str) -> bool:
    """Whether this text is a loopback IP address (also mapped into IPv6)."""
    parsed = _ip(address)
    return parsed is not None and parsed.is_loopback


def identify(
    address: str,
    headers: Mapping[str, str],
    policy: PeerPolicy,
    *,
    secure: bool = False,
    tls_pinned: bool = False,
) -> Peer:
    """Who is connecting, from the socket's address and the upgrade request's headers.

    Args:
        address: the socket's peer, an IP address.
        headers: header names in lower case.
        secure: whether the connection is TLS (it decides the default port of an origin).
    """
    forwarded = any(
        name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIX) for name in headers
    )
    through_proxy = forwarded and _in_networks(address, policy.trusted_proxies)
    client = (
        (_forwarded_client(headers, policy.trusted_proxies) or "") if through_proxy else address
    )
    host = headers.get("host", "")
    # A proxy elsewhere has processes of its own host on loopback; those are not of this one.
    direct = through_proxy or not forwarded
    local = direct and is_loopback(address) and is_loopback(client) and _is_local_host(host)
    origin = headers.get("origin")
    return Peer(
        address=client or address,
        is_local=local,
        origin=origin,
        origin_allowed=origin is None or origin_is_allowed(origin, host, policy, secure=secure),
        tls_pinned=tls_pinned,
    )


def origin_is_allowed(origin: str, host: str, policy: PeerPolicy, *, secure: bool = False) -> bool:
    """Whether a page of this origin may connect to us under this `Host`."""
    wanted = origin.rstrip("/").lower()
    if any(wanted == allowed.rstrip("/").lower() for allowed in policy.allowed_origins):
        return True
    page = _authority(wanted)
    own = _authority(f"{'https' if secure else 'http'}://{host.lower()}")
    return page is not None and page == own and _names_us(page[0], policy.host_names)


def _authority(url: str) -> tuple[str, int] | None:
    """Host name and port of `scheme://host[:port]`; None for anything else, or more than that."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    bare = url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
    return (parts.hostname, port) if bare and parts.hostname and port else None


def _names_us(name: str, host_names: Iterable[str]) -> bool:
    if name in _LOCAL_NAMES or _ip(name) is not None:
        return True
    return any(name in (own.lower(), f"{own.lower()}.local") for own in host_names)


def _is_local_host(host: str) -> bool:
    authority = _authority(f"http://{host.lower()}")
    return authority is not None and (authority[0] in _LOCAL_NAMES or is_loopback(authority[0]))


def _forwarded_client(headers: Mapping[str, str], proxies: Sequence[str]) -> str | None:
    """The nearest address in the forwarding chain that is no trusted proxy.

    `X-Real-IP` counts only without a chain: a proxy that writes the one may pass on the other.
    """
    chain = headers.get("x-forwarded-for")
    if chain is not None:
        hops = [part.strip() for part in reversed(chain.split(","))]
        outside = next((hop for hop in hops if not _in_networks(hop, proxies)), "")
        return outside if _ip(outside) is not None else None
    real = headers.get("x-real-ip", "").strip()
    return real if _ip(real) is not None else None


@lru_cache(maxsize=1024)
def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _in_networks(address: str, networks: Iterable[str]) -> bool:
    parsed = _ip(address)
    if parsed is None:
        return False
    for text in networks:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        if parsed.version == network.version and parsed in network:
            return True
    return False
