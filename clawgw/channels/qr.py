"""QR codes for login: in a terminal, and as a picture for a web page.

A code that links a device is as good as a password for as long as it holds: show it to whoever
asked to log in, and to nobody else, and write it in no log.
"""

from __future__ import annotations

import segno

__all__ = ["png_data_url", "terminal"]

_QUIET = 2
"""Modules of margin. Four are recommended, two are enough for every phone and fit more screens."""

_HALVES = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
"""Two modules, one above the other, as a terminal with light text on a dark ground shows them."""


def terminal(content: str) -> str:
    """A code made of half blocks, for a dark terminal; every line is equally wide.

    :raises ValueError: when there is too much for a code (about 2,900 bytes).
    """
    rows = [[bool(module) for module in row] for row in _code(content).matrix_iter(border=_QUIET)]
    if len(rows) % 2:
        rows.append([True] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join(
        "".join(_HALVES[both] for both in zip(upper, lower, strict=True)) for upper, lower in pairs
    )


def png_data_url(content: str, *, scale: int = 6) -> str:
    """A code as a ``data:image/png;base64,`` URL; ``scale`` is the pixels of a module's side.

    :raises ValueError: as ``terminal``.
    """
    return _code(content).png_data_uri(scale=scale, border=_QUIET)


def _code(content: str) -> segno.QRCode:
    return segno.make_qr(content, error="l", boost_error=False)
