"""Writing blocks of styled text in a format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from clawgw.channels.formats.dialect import INNERMOST, Dialect, Mark, units
from clawgw.channels.markdown import Block, Kind, Line, Link, Span, Style

__all__ = ["Piece", "Rendered", "render"]


@dataclass
class Piece:
    """A block, or as much of it as goes into one message.

    ``begun``: the first of the lines is not the block's first.
    """

    block: Block
    lines: list[Line]
    begun: bool = False


@dataclass(frozen=True)
class Rendered:
    """A message's text; ``styles`` are Signal's, ``start:length:STYLE``."""

    text: str
    styles: tuple[str, ...] = ()


def render(pieces: Sequence[Piece], dialect: Dialect) -> Rendered:
    """Write one message."""
    writer = _Writer(dialect)
    for before, piece in pairwise([None, *pieces, None]):
        writer.between(before, piece)
        if piece is not None:
            writer.piece(piece)
    styles = (f"{start}:{length}:{style}" for start, length, style in sorted(writer.styles))
    return Rendered("".join(writer.parts), tuple(styles))


@dataclass
class _Writer:
    """The text so far, and what is open in it."""

    dialect: Dialect
    parts: list[str] = field(default_factory=list)
    position: int = 0
    styles: list[tuple[int, int, str]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def put(self, text: str) -> None:
        if text:
            self.parts.append(text)
            self.position += units(text)

    # Blocks.

    def between(self, before: Piece | None, after: Piece | None) -> None:
        """End and begin quotations; leave a blank line if there was one."""
        opening, closing = self.dialect.quotation()
        was, is_ = (piece is not None and piece.block.quote for piece in (before, after))
        if was and not is_:
            self.put(closing)
        if before is not None and after is not None:
            blank = self.dialect.quote_prefix.rstrip() if was and is_ else ""
            self.put("\n" if after.block.close else f"\n{blank}\n")
        if is_ and not was:
            self.put(opening)

    def piece(self, piece: Piece) -> None:
        block, dialect = piece.block, self.dialect
        prefix = dialect.quote_prefix if block.quote else ""
        if block.kind is Kind.CODE:
            self._code(piece, prefix)
            return
        bold = False
        if block.kind is Kind.HEADING:
            before, bold = dialect.heading(block.level)
            prefix += before
        for number, line in enumerate(piece.lines):
            margin = block.rest if number or piece.begun else block.first
            self.put(("\n" if number else "") + prefix + dialect.margin(margin))
            self._line(map(_bold, line) if bold else line)

    def _code(self, piece: Piece, prefix: str) -> None:
        opening, closing = self.dialect.fence(piece.block.language)
        between = f"\n{prefix}"
        self.put(prefix + opening.replace("\n", between))
        begin = self.position
        texts = ("".join(span.text for span in line) for line in piece.lines)
        self.put(between.join(map(self.dialect.escape_code, texts)))
        self.dialect.code_written(self, begin)
        self.put(closing.replace("\n", between))

    # Lines. Spaces at the edges of a mark are put outside of it: inside, most formats take the
    # delimiter for text.

    def _line(self, line: Iterable[Span]) -> None:
        gap, last = "", ""
        for span in line:
            wanted, body = self.dialect.marks(span), span.text.strip()
            if not body:
                # Space is not formatted, but neither does it hold together what is beside it.
                self._change([mark for mark in self.marks if mark in wanted], "", "", "")
                gap += span.text
                continue
            gap += span.text[: len(span.text) - len(span.text.lstrip())]
            self._change(wanted, gap, last, body[0])
            at_start = not last and not self.marks
            text = self._spelled(body)
            self.put(self.dialect.line_start(text) if at_start else text)
            gap, last = span.text[len(span.text.rstrip()) :], body[-1]
        self._change([], gap, "", "")

    def _spelled(self, text: str) -> str:
        if Style.CODE in self.marks:
            return self.dialect.escape_code(text)
        if any(isinstance(mark, Link) and mark.bare for mark in self.marks):
            return self.dialect.escape_address(text)
        return self.dialect.escape(text)

    def _change(self, wanted: Sequence[Mark], gap: str, before: str, after: str) -> None:
        """Between two spans: end what ends, then the space, then begin what begins."""
        kept = self._kept(wanted)
        begun = [mark for mark in wanted if mark not in self.marks[:kept]]
        ends = len(self.marks) > kept
        if not gap and ((ends and after.isalnum()) or (begun and before.isalnum())):
            gap = self.dialect.joint
        while len(self.marks) > kept:
            self.dialect.close(self, self.marks.pop())
        self.put(gap)
        for mark in begun:
            self.dialect.open(self, mark)
            self.marks.append(mark)

    def _kept(self, wanted: Sequence[Mark]) -> int:
        """How many of the marks can stay open, the outermost first."""
        rank = self.dialect.rank
        missing = (rank(mark) for mark in wanted if mark not in self.marks)
        lowest = min(missing, default=INNERMOST)
        for number, mark in enumerate(self.marks):
            if mark not in wanted or rank(mark) > lowest:
                return number
        return len(self.marks)


def _bold(span: Span) -> Span:
    return replace(span, styles=span.styles | {Style.BOLD})
