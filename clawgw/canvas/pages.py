"""What the canvas host itself says: an empty canvas, a listing, a link that no longer opens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from clawgw.canvas.root import Entry

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 12vh auto 2rem; padding: 0 1.25rem; }
h1 { font-size: 1.4rem; font-weight: 650; }
code { padding: .1em .35em; border-radius: .3em; background: color-mix(in srgb, currentColor 12%,
  transparent); overflow-wrap: anywhere; }
li { margin: .3rem 0; }
.quiet { opacity: .7; font-size: .9rem; }
"""


def document(title: str, body: str) -> bytes:
    """A page of ours; `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    ).encode()


def empty_canvas(directory: str) -> bytes:
    """The index of a canvas without a file."""
    return document(
        "This canvas is empty",
        "<p>It shows what your agent draws. Ask it for a page, a chart, a small tool. The first "
        "file appears here by itself; so does every change after it.</p>\n"
        f"<p>Files come from <code>{escape(directory)}</code> on the Gateway's machine. Put an "
        "<code>index.html</code> there, or send one:</p>\n"
        "<p><code>clawgw canvas push index.html</code></p>\n"
        '<p class="quiet">Interfaces made of <a href="../a2ui/">A2UI components</a> have a page '
        "of their own.</p>",
    )


def listing(path: str, entries: Sequence[Entry], more: bool) -> bytes:
    """The index of a directory without an `index.html`; links are relative to it."""
    rows = "\n".join(_row(entry.path[len(path) :]) for entry in entries)
    note = '<p class="quiet">There are more.</p>' if more else ""
    return document(
        f"Files in {path or 'the canvas'}",
        f"<ul>\n{rows}\n</ul>\n{note}"
        '<p class="quiet">A file called <code>index.html</code> would be shown instead.</p>',
    )


def _row(name: str) -> str:
    # "./" because a name may contain a colon, and would then be read as a scheme
    return f'<li><a href="./{escape(quote(name))}">{escape(name)}</a></li>'


def link_refused() -> bytes:
    """The answer to somebody from elsewhere without a capability that holds."""
    return document(
        "This link no longer opens the canvas",
        "<p>Links to the canvas hold for a limited time, and only whole. Get a new one from the "
        "app you came from, or on the Gateway's machine with <code>clawgw canvas url</code>.</p>",
    )


def not_found(name: str) -> bytes:
    """The answer to a name that is not there. The page reloads when the file appears."""
    return document("There is no such file", f"<p>The canvas has no <code>{escape(name)}</code>.")


def renderer_missing() -> bytes:
    """Instead of the A2UI page, where its script was never built."""
    return document(
        "The A2UI renderer is not built",
        "<p>It is made once, with Node, from the published package <code>@a2ui/lit</code>. In "
        "clawgw's source directory run</p>\n<p><code>make a2ui</code></p>\n"
        "<p>It needs <code>npm</code> 10 or newer (Debian and Ubuntu: <code>apt install npm"
        "</code>, macOS: <code>brew install node</code>). Then load this page again. Everything "
        'else, also the <a href="../canvas/">canvas</a>, works without it.</p>',
    )


def a2ui_page(ticket: str, socket: str) -> bytes:
    """The A2UI page; its script reads the ticket and the WebSocket's address from its own tag."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">\n'
        '<title>Canvas</title>\n<link rel="icon" href="data:,">\n</head>\n<body>\n'
        f'<script src="a2ui.js" data-ticket="{escape(ticket)}" data-socket="{escape(socket)}">'
        "</script>\n</body>\n</html>\n"
    ).encode()
