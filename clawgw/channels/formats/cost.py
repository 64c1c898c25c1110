"""How long a text will be in a format, before it is written.

The estimate may be too high by a little, never too low, neither for the text with its markup nor
for the plain text that may have to do instead.
"""

from __future__ import annotations

from clawgw.channels.formats.dialect import Dialect, units
from clawgw.channels.markdown import Block, Kind, Line, Link, Span, Style

__all__ = ["Cost"]

_QUOTED = len("> ")
_BLANK_LINE = 2


class Cost:
    """The lengths of blocks, lines and spans, as the format's provider counts."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._counts_markup = dialect.counts_markup

    def block(self, block: Block) -> int:
        """All of a block, with what stands before it."""
        return self.around_block(block) + sum(self.line(block, line) for line in block.lines)

    def line(self, block: Block, line: Line) -> int:
        """A line with its margin and its end."""
        return self.around_line(block) + sum(self.span(span, block.kind) for span in line)

    def span(self, span: Span, kind: Kind) -> int:
        """A span in a block of a kind."""
        return self.around_span(span, kind) + self.text(span.text, span, kind)

    def around_block(self, block: Block) -> int:
        """What a block costs beside its lines."""
        markup = prefixes = 0
        if block.kind is Kind.CODE:
            markup += sum(map(len, self._dialect.fence(block.language)))
        if block.quote:
            markup += sum(map(len, self._dialect.quotation()))
            # In the blank line before it, and in the lines of a fence.
            prefixes = 3 * _QUOTED
        return _BLANK_LINE + prefixes + self._markup(markup)

    def around_line(self, block: Block) -> int:
        """What a line costs beside its spans."""
        heading = ""
        if block.kind is Kind.HEADING:
            heading, _ = self._dialect.heading(block.level)
        margin = units(self._dialect.margin(block.first)) + (_QUOTED if block.quote else 0)
        return 1 + margin + self._markup(len(heading) + self._dialect.at_line_start)

    def around_span(self, span: Span, kind: Kind) -> int:
        """What a span costs beside its text."""
        if kind is Kind.CODE:
            return 0
        around = [self._dialect.delimiters(mark) for mark in self._dialect.marks(span)]
        if kind is Kind.HEADING:
            around.append(self._dialect.around.get(Style.BOLD, ("", "")))
        markup = sum(units(before) + units(after) for before, after in around)
        joints = 2 * len(self._dialect.joint) if markup else 0
        return max(self._markup(markup + joints), _spoken(span.link))

    def text(self, text: str, span: Span, kind: Kind) -> int:
        """What a text costs that is a part of a span's."""
        if not self._counts_markup:
            return units(text)
        code = kind is Kind.CODE or Style.CODE in self._dialect.marks(span)
        escapes = self._dialect.code_escapes if code else self._dialect.longest()
        return units(text.translate(escapes))

    def _markup(self, cost: int) -> int:
        return cost if self._counts_markup else 0


def _spoken(link: Link | None) -> int:
    """A link's address behind its text, where there are no links."""
    return 0 if link is None or link.bare else len(f" ({link.url})")
