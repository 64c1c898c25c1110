"""Discord's Markdown ("Markdown Text 101").

It is close to the source, so all that would be formatting is escaped in text; headings have three
levels, there are no tables and no nested quotations. ``@everyone``, ``@here`` and ids in angle
brackets are spelled so that they reach nobody.
"""

from __future__ import annotations

import re
from typing import ClassVar

from clawgw.channels.formats.dialect import Around, Dialect, Escapes
from clawgw.channels.markdown import Link, Style

__all__ = ["Discord"]

_ZERO_WIDTH_SPACE = "\u200b"
_ESCAPES = {ord(character): f"\\{character}" for character in "\\*_~`|<["}
_TO_ALL = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_LINE_START = re.compile(r"(?=[#>+-])|(?<=\d)(?=[.)]\s)")


class Discord(Dialect):
    """A message's ``content``."""

    around: ClassVar[Around] = {
        Style.BOLD: ("**", "**"),
        Style.ITALIC: ("*", "*"),
        Style.STRIKE: ("~~", "~~"),
        Style.SPOILER: ("||", "||"),
        Style.CODE: ("`", "`"),
    }
    escapes: ClassVar[Escapes] = _ESCAPES
    code_escapes: ClassVar[Escapes] = {ord("`"): f"`{_ZERO_WIDTH_SPACE}"}
    schemes = ("http:", "https:")
    at_line_start = 1

    def escape(self, text: str) -> str:
        return _TO_ALL.sub(f"@{_ZERO_WIDTH_SPACE}", super().escape(text))

    def escape_code(self, text: str) -> str:
        return text.replace("```", f"``{_ZERO_WIDTH_SPACE}`")

    def escape_address(self, text: str) -> str:
        return text

    def longest(self) -> Escapes:
        return {**_ESCAPES, ord("@"): f"@{_ZERO_WIDTH_SPACE}"}

    def link(self, link: Link) -> tuple[str, str]:
        if link.bare:
            return "", ""
        return "[", f"]({link.url.replace('(', '%28').replace(')', '%29')})"

    def fence(self, language: str) -> tuple[str, str]:
        return f"```{language}\n", "\n```"

    def heading(self, level: int) -> tuple[str, bool]:
        return (f"{'#' * level} ", False) if level <= 3 else ("", True)

    def margin(self, text: str) -> str:
        return text.replace("•", "-").replace("☐", "- ☐").replace("☑", "- ☑")

    def line_start(self, text: str) -> str:
        return _LINE_START.sub(r"\\", text, count=1) if _begins_something(text) else text


def _begins_something(text: str) -> bool:
    """Whether a line would begin a heading, a quotation, a list or small print."""
    return re.match(r"#{1,3}\s|>|[+-]\s|-#|\d+[.)]\s", text) is not None
