"""No formatting at all: iMessage, and every provider that did not take the formatted text.

Addresses stand after what links to them, and tables are aligned for a fixed-width font.
"""

from __future__ import annotations

from clawgw.channels.formats.dialect import Dialect

__all__ = ["Plain"]


class Plain(Dialect):
    """Text."""

    links_inside = False
    quote_prefix = "> "
