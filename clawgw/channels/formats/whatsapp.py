"""WhatsApp's formatting ("How to format your messages"): styles, code and quotations, no links."""

from __future__ import annotations

from typing import ClassVar

from clawgw.channels.formats.dialect import Around, Dialect, Escapes
from clawgw.channels.markdown import Style

__all__ = ["WhatsApp"]

_ZERO_WIDTH_SPACE = "\u200b"


class WhatsApp(Dialect):
    """The text of a message."""

    around: ClassVar[Around] = {
        Style.BOLD: ("*", "*"),
        Style.ITALIC: ("_", "_"),
        Style.STRIKE: ("~", "~"),
        Style.CODE: ("`", "`"),
    }
    code_escapes: ClassVar[Escapes] = {ord("`"): f"`{_ZERO_WIDTH_SPACE}"}
    links_inside = False

    def escape_code(self, text: str) -> str:
        return text.replace("```", f"``{_ZERO_WIDTH_SPACE}`")

    def fence(self, language: str) -> tuple[str, str]:
        return "```", "```"
