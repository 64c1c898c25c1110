"""Slack's mrkdwn ("Formatting text for app surfaces").

``&``, ``<`` and ``>`` are escaped, so that no text can mention anyone. There are no headings and
no tables. Delimiters count only beside a space or a punctuation mark, so a zero-width space is put
between them and a word.
"""

from __future__ import annotations

from typing import ClassVar

from clawgw.channels.formats.dialect import Around, Dialect, Escapes
from clawgw.channels.markdown import Link, Style

__all__ = ["Slack"]

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_ZERO_WIDTH_SPACE = "\u200b"


class Slack(Dialect):
    """``mrkdwn``."""

    around: ClassVar[Around] = {
        Style.BOLD: ("*", "*"),
        Style.ITALIC: ("_", "_"),
        Style.STRIKE: ("~", "~"),
        Style.CODE: ("`", "`"),
    }
    escapes: ClassVar[Escapes] = _ESCAPES
    code_escapes: ClassVar[Escapes] = {**_ESCAPES, ord("`"): f"`{_ZERO_WIDTH_SPACE}"}
    joint = _ZERO_WIDTH_SPACE

    def link(self, link: Link) -> tuple[str, str]:
        if link.bare:
            return "<", ">"
        url = link.url.replace("&", "&amp;").replace("|", "%7C").replace(">", "%3E")
        return f"<{url}|", ">"

    def escape_code(self, text: str) -> str:
        return text.translate(_ESCAPES).replace("```", f"``{_ZERO_WIDTH_SPACE}`")

    def fence(self, language: str) -> tuple[str, str]:
        return "```\n", "\n```"
