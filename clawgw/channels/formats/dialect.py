"""What a format says of itself.

A format says what stands around a style, a link, a quotation and a block of code, and how it spells
characters that mean something in it. ``formats.writing`` walks through the text and asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from clawgw.channels.markdown import Link, Span, Style

__all__ = ["INNERMOST", "Around", "Dialect", "Escapes", "Mark", "Output", "units"]

INNERMOST = 3

Around = Mapping[Style, tuple[str, str]]
"""What stands before and after a style."""

Escapes = Mapping[int, str]
"""How characters are spelled, as ``str.translate`` takes it."""

Mark = Style | Link
"""What can stand around text."""


def units(text: str) -> int:
    """The length of a text in UTF-16 code units.

    Telegram and Signal count so; those that count characters never count more.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Output(Protocol):
    """Where text is written to."""

    position: int
    """How much is written, in UTF-16 code units."""

    begun: list[int]
    """Where the marks that are open began; for formats that keep account of it."""

    styles: list[tuple[int, int, str]]
    """Start, length and name of each style that stands beside the text."""

    def put(self, text: str) -> None:
        """Write."""


class Dialect:
    """Text without any formatting; the formats change what they do differently."""

    around: ClassVar[Around] = {}
    """What stands before and after a style; styles that are not there are not shown."""

    links_inside = True
    """Whether a link stands inside of styles; else around them."""

    schemes: tuple[str, ...] = ("http:", "https:", "mailto:")
    """Where links may lead; others are spelled out."""

    joint = ""
    """What to put between a word and a delimiter that has to stand apart from it."""

    quote_prefix = "> "

    at_line_start = 0
    """How much ``line_start`` may add."""

    counts_markup = True
    """Whether the provider's limit is on the text with its markup."""

    escapes: ClassVar[Escapes] = {}
    code_escapes: ClassVar[Escapes] = {}

    def escape(self, text: str) -> str:
        """Spell a text so that it stands for itself."""
        return text.translate(self.escapes)

    def escape_code(self, text: str) -> str:
        """Spell a text in code."""
        return text.translate(self.code_escapes)

    def escape_address(self, text: str) -> str:
        """Spell a bare address."""
        return self.escape(text)

    def link(self, link: Link) -> tuple[str, str]:
        """What stands around a link's text."""
        return "", "" if link.bare or link.goes_on else f" ({link.url})"

    def fence(self, language: str) -> tuple[str, str]:
        """What stands around a block of code."""
        return "", ""

    def heading(self, level: int) -> tuple[str, bool]:
        """What stands before a heading's lines, and whether they are bold."""
        return "", Style.BOLD in self.around

    def quotation(self) -> tuple[str, str]:
        """What stands around a quotation, apart from the prefix of its lines."""
        return "", ""

    def margin(self, text: str) -> str:
        """Spell what stands before a line: indentation, and a list's bullet, number or box."""
        return self.escape(text)

    def line_start(self, text: str) -> str:
        """Spell the begin of a line so that it begins no list and no heading."""
        return text

    def marks(self, span: Span) -> list[Mark]:
        """What is around a span, the outermost first."""
        styles = [style for style in self.around if style in span.styles]
        if Style.CODE in styles and not self.allows_code(span.text):
            styles.remove(Style.CODE)
        link = [span.link] if span.link is not None else []
        return sorted([*styles, *link], key=self.rank)

    def allows_code(self, text: str) -> bool:
        """Whether a text can be marked as code."""
        return "`" not in text

    def delimiters(self, mark: Mark) -> tuple[str, str]:
        """What stands around a mark."""
        return self.link(mark) if isinstance(mark, Link) else self.around[mark]

    def open(self, output: Output, mark: Mark) -> None:
        """Begin a mark."""
        output.put(self.delimiters(mark)[0])

    def close(self, output: Output, mark: Mark) -> None:
        """End the mark that was begun last."""
        output.put(self.delimiters(mark)[1])

    def code_written(self, output: Output, begin: int) -> None:
        """A block of code was written; ``begin`` is where it begins."""

    def rank(self, mark: Mark) -> int:
        """How far inside a mark has to be: marks stand in marks of the same or a lower rank."""
        if isinstance(mark, Link):
            return 2 if self.links_inside else 0
        return INNERMOST if mark is Style.CODE else 1

    def length(self, text: str) -> int:
        """How long a text in this format is, as the provider counts."""
        return units(text)

    def longest(self) -> Escapes:
        """The escapes with all that ``escape`` may add."""
        return self.escapes
