"""Telegram's HTML (Bot API, "Formatting options"): few tags, all properly nested.

The limit is on the text that is left when the tags are taken out.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import ClassVar

from clawgw.channels.formats.dialect import Around, Dialect, Escapes, Mark, units
from clawgw.channels.markdown import Link, Span, Style

__all__ = ["Telegram"]

_TAG = re.compile(r"<[^>]*>")
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


class Telegram(Dialect):
    """``parse_mode`` HTML."""

    around: ClassVar[Around] = {
        Style.BOLD: ("<b>", "</b>"),
        Style.ITALIC: ("<i>", "</i>"),
        Style.STRIKE: ("<s>", "</s>"),
        Style.SPOILER: ("<tg-spoiler>", "</tg-spoiler>"),
        Style.CODE: ("<code>", "</code>"),
    }
    escapes: ClassVar[Escapes] = _ESCAPES
    code_escapes: ClassVar[Escapes] = _ESCAPES
    quote_prefix = ""
    counts_markup = False
    schemes = ("http:", "https:", "mailto:", "tg:")

    def link(self, link: Link) -> tuple[str, str]:
        return f'<a href="{escape(link.url)}">', "</a>"

    def fence(self, language: str) -> tuple[str, str]:
        if not language:
            return "<pre>", "</pre>"
        return f'<pre><code class="language-{escape(language)}">', "</code></pre>"

    def quotation(self) -> tuple[str, str]:
        return "<blockquote>", "</blockquote>"

    def marks(self, span: Span) -> list[Mark]:
        marks = super().marks(span)
        # Code cannot be anything else at the same time.
        return [Style.CODE] if Style.CODE in marks else marks

    def length(self, text: str) -> int:
        return units(unescape(_TAG.sub("", text)))

    def allows_code(self, text: str) -> bool:
        return True
