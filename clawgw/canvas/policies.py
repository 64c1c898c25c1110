"""The headers that keep the canvas in its place.

The canvas is another origin than the API, and the API refuses it. Beyond that:

A *canvas page* may do what a page can: its own scripts and styles, media and data from the web. Its
connections go to canvas files and the web, neither to the API nor to the A2UI page.

The *A2UI page* runs in a sandbox, an origin that nothing else has. Only the renderer's script runs
there, and a canvas page can neither read it nor press its buttons, although both come from the
same port: what somebody pressed is what a person pressed.

No page tells others its address, because the capability is part of it.
"""

from __future__ import annotations

from clawgw.canvas.access import A2UI, CANVAS, SOCKET, host_name

COMMON = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-site",
}
PUBLIC = {
    # The renderer itself is published code; its page has an opaque origin and could not load it.
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
}


def canvas_policy(host: str, prefix: str, *, secure: bool) -> str:
    """`Content-Security-Policy` of everything an agent wrote."""
    web, socket, name = _sources(host, secure=secure)
    # A source list has no way to write an IPv6 address (CSP3, section 2.3.1).
    own = f"{web}{prefix}{CANVAS}/ {socket}{prefix}{SOCKET}" if name else "'self' ws: wss:"
    outside = "" if secure else " https:"  # over TLS it would mean the A2UI page too
    return "; ".join(
        (
            "default-src 'self' https: data: blob: 'unsafe-inline' 'unsafe-eval'",
            f"connect-src {own}{outside} data: blob:",
            "frame-src 'self' https: data: blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self' https:",
            _ancestors(name),
        )
    )


def a2ui_policy(host: str, prefix: str, *, secure: bool) -> str:
    """`Content-Security-Policy` of the A2UI page."""
    web, socket, name = _sources(host, secure=secure)
    files = f"{web}{prefix}{A2UI}/" if name else "'self'"
    line = f"{socket}{prefix}{SOCKET}" if name else "ws: wss:"
    return "; ".join(
        (
            "sandbox allow-scripts allow-forms allow-modals allow-popups "
            "allow-popups-to-escape-sandbox",
            "default-src 'none'",
            f"script-src {files}",
            "style-src 'unsafe-inline'",
            f"font-src {files} data:",
            "img-src http: https: data: blob:",
            "media-src http: https: data: blob:",
            "frame-src https:",
            f"connect-src {line}",
            "base-uri 'none'",
            "form-action 'none'",
            _ancestors(name),
        )
    )


def _sources(host: str, *, secure: bool) -> tuple[str, str, str | None]:
    """Our web origin, the same for WebSockets, and the host's name if a policy can say it."""
    name = host_name(host)
    if name is not None and name.startswith("["):
        name = None
    s = "s" if secure else ""
    return f"http{s}://{host}", f"ws{s}://{host}", name


def _ancestors(name: str | None) -> str:
    """Pages of this host, such as WebChat, may show the canvas in a frame."""
    hosts = f" http://{name}:* https://{name}:*" if name else ""
    return f"frame-ancestors 'self'{hosts}"
