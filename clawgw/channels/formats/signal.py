"""Signal's text styles: plain text, and where in it which style is.

A style is ``start:length:STYLE`` as signal-cli takes it (``textStyle``), counted in UTF-16 code
units.
"""

from __future__ import annotations

from typing import ClassVar

from clawgw.channels.formats.dialect import Around, Dialect, Mark, Output
from clawgw.channels.markdown import Link, Style

__all__ = ["Signal"]

_NAMES = {
    Style.BOLD: "BOLD",
    Style.ITALIC: "ITALIC",
    Style.STRIKE: "STRIKETHROUGH",
    Style.SPOILER: "SPOILER",
    Style.CODE: "MONOSPACE",
}


class Signal(Dialect):
    """Text beside its styles."""

    around: ClassVar[Around] = dict.fromkeys(_NAMES, ("", ""))
    links_inside = False

    def allows_code(self, text: str) -> bool:
        return True

    def open(self, output: Output, mark: Mark) -> None:
        output.begun.append(output.position)

    def close(self, output: Output, mark: Mark) -> None:
        begin = output.begun.pop()
        if isinstance(mark, Link):
            super().close(output, mark)
        else:
            output.styles.append((begin, output.position - begin, _NAMES[mark]))

    def code_written(self, output: Output, begin: int) -> None:
        if output.position > begin:
            output.styles.append((begin, output.position - begin, "MONOSPACE"))
