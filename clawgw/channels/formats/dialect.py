"""Writing blocks of styled text; what the formats have in common.

A format says what stands around a style, a link, a quotation and a block of code, and how it spells
characters that mean something in it. The walk through blocks, lines and spans is here, and so is
the estimate of how long something will be: it may be too high by a little, never too low.

Lengths are in UTF-16 code units. Telegram and Signal count so; those that count characters never
count more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from clawgw.channels.markdown import Block, Kind, Line, Link, Span, Style

__all__ = ["Around", "Dialect", "Escapes", "Mark", "Piece", "Rendered", "Writer", "units"]

_INNERMOST = 3

Around = Mapping[Style, tuple[str, str]]
"""What stands before and after a style."""

Escapes = Mapping[int, str]
"""How characters are spelled, as ``str.translate`` takes it."""

Mark = Style | Link
"""What can stand around text."""


def units(text: str) -> int:
    """The length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


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


@dataclass
class Writer:
    """The text so far, and where one is in it."""

    parts: list[str] = field(default_factory=list)
    position: int = 0
    styles: list[tuple[int, int, str]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)

    def put(self, text: str) -> None:
        if text:
            self.parts.append(text)
            self.position += units(text)


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
    counts_markup = True
    """Whether the provider's limit is on the text with its markup."""

    escapes: ClassVar[Escapes] = {}
    code_escapes: ClassVar[Escapes] = {}

    # What a format says of itself.

    def escape(self, text: str) -> str:
        """Spell a text so that it stands for itself."""
        return text.translate(self.escapes)

    def escape_code(self, text: str) -> str:
        """Spell a text in code."""
        return text.translate(self.code_escapes)

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
        return sorted([*styles, *link], key=self._rank)

    def allows_code(self, text: str) -> bool:
        """Whether a text can be marked as code."""
        return "`" not in text

    def delimiters(self, mark: Mark) -> tuple[str, str]:
        """What stands around a mark."""
        return self.link(mark) if isinstance(mark, Link) else self.around[mark]

    def open(self, writer: Writer, mark: Mark) -> None:
        """Begin a mark."""
        writer.put(self.delimiters(mark)[0])

    def close(self, writer: Writer, mark: Mark) -> None:
        """End the mark that was begun last."""
        writer.put(self.delimiters(mark)[1])

    # Writing.

    def render(self, pieces: Sequence[Piece]) -> Rendered:
        """Write one message."""
        writer = Writer()
        before: Piece | None = None
        for piece in pieces:
            quoted, goes_on = piece.block.quote, before is not None and before.block.quote
            if goes_on and not quoted:
                writer.put(self.quotation()[1])
            if before is not None:
                blank = self.quote_prefix.rstrip() if quoted and goes_on else ""
                writer.put("\n" if piece.block.close else f"\n{blank}\n")
            if quoted and not goes_on:
                writer.put(self.quotation()[0])
            self._piece(writer, piece)
            before = piece
        if before is not None and before.block.quote:
            writer.put(self.quotation()[1])
        styles = (f"{start}:{length}:{style}" for start, length, style in sorted(writer.styles))
        return Rendered("".join(writer.parts), tuple(styles))

    def _piece(self, writer: Writer, piece: Piece) -> None:
        block = piece.block
        prefix = self.quote_prefix if block.quote else ""
        if block.kind is Kind.CODE:
            self._code(writer, piece, prefix)
            return
        before, bold = self.heading(block.level) if block.kind is Kind.HEADING else ("", False)
        for number, line in enumerate(piece.lines):
            if number:
                writer.put("\n")
            margin = block.rest if number or piece.begun else block.first
            writer.put(prefix + before + self.margin(margin))
            self._line(writer, _bold(line) if bold else line)

    def _code(self, writer: Writer, piece: Piece, prefix: str) -> None:
        opening, closing = self.fence(piece.block.language)
        between = f"\n{prefix}"
        writer.put(prefix + opening.replace("\n", between))
        begin = writer.position
        writer.put(between.join(self.escape_code(_text(line)) for line in piece.lines))
        self.code_written(writer, begin)
        writer.put(closing.replace("\n", between))

    def code_written(self, writer: Writer, begin: int) -> None:
        """Called when a block of code is written, with where it begins."""

    def _line(self, writer: Writer, line: Iterable[Span]) -> None:
        """Write a line. Spaces at the edges of a mark are put outside of it."""
        opened: list[Mark] = []
        gap, last = "", ""
        for span in line:
            body = span.text.strip()
            if not body:
                # Space is not formatted, but neither does it hold together what is beside it.
                marks = self.marks(span)
                self._change(writer, opened, [each for each in opened if each in marks], "", "", "")
                gap += span.text
                continue
            gap += span.text[: len(span.text) - len(span.text.lstrip())]
            self._change(writer, opened, self.marks(span), gap, last, body[0])
            text = self._spell(body, opened)
            writer.put(text if last or opened else self.line_start(text))
            gap, last = span.text[len(span.text.rstrip()) :], body[-1]
        self._change(writer, opened, [], gap, "", "")

    def _spell(self, text: str, opened: Sequence[Mark]) -> str:
        if Style.CODE in opened:
            return self.escape_code(text)
        bare = any(isinstance(mark, Link) and mark.bare for mark in opened)
        return self.escape_address(text) if bare else self.escape(text)

    def escape_address(self, text: str) -> str:
        """Spell a bare address."""
        return self.escape(text)

    def _change(
        self,
        writer: Writer,
        opened: list[Mark],
        wanted: Sequence[Mark],
        gap: str,
        before: str,
        after: str,
    ) -> None:
        """Between two spans: end what ends, the space, begin what begins."""
        missing = [mark for mark in wanted if mark not in opened]
        lowest = min(map(self._rank, missing), default=_INNERMOST)
        kept = 0
        while kept < len(opened) and opened[kept] in wanted and self._rank(opened[kept]) <= lowest:
            kept += 1
        begun = [mark for mark in wanted if mark not in opened[:kept]]
        if not gap and ((opened[kept:] and after.isalnum()) or (begun and before.isalnum())):
            gap = self.joint
        while len(opened) > kept:
            self.close(writer, opened.pop())
        writer.put(gap)
        for mark in begun:
            self.open(writer, mark)
            opened.append(mark)

    def _rank(self, mark: Mark) -> int:
        """How far inside a mark has to be: marks stand in marks of the same or a lower rank."""
        if isinstance(mark, Link):
            return 2 if self.links_inside else 0
        return _INNERMOST if mark is Style.CODE else 1

    # Estimates.

    def around_block(self, block: Block) -> int:
        """What a block costs beside its lines."""
        fence = sum(map(len, self.fence(block.language))) if block.kind is Kind.CODE else 0
        quotation = sum(map(len, self.quotation())) if block.quote else 0
        prefixes = 3 * len(self.quote_prefix) if block.quote else 0
        return 2 + prefixes + self._markup(fence + quotation)

    def around_line(self, block: Block) -> int:
        """What a line costs beside its spans, with the line break."""
        prefix = len(self.quote_prefix) + 1 if block.quote else 0
        heading = len(self.heading(block.level)[0]) if block.kind is Kind.HEADING else 0
        bold = self._bold_cost() if block.kind is Kind.HEADING else 0
        margin = units(self.margin(block.first)) + 2
        return 1 + prefix + margin + self._markup(heading + bold)

    def around_span(self, span: Span, kind: Kind) -> int:
        """What a span costs beside its text."""
        if kind is Kind.CODE:
            return 0
        marks = [*self.marks(span)] + ([Style.BOLD] if kind is Kind.HEADING else [])
        known = (mark for mark in marks if isinstance(mark, Link) or mark in self.around)
        markup = sum(sum(map(units, self.delimiters(mark))) for mark in known)
        spoken = len(span.link.url) + 3 if span.link and not span.link.bare else 0
        return max(self._markup(markup + 2 * len(self.joint)), spoken)

    def in_text(self, text: str, *, code: bool) -> int:
        """What a text costs."""
        if not self.counts_markup:
            return units(text)
        # Each is spelled in the longest way it can be.
        return units(text.translate(self.code_escapes if code else self.longest()))

    def longest(self) -> Escapes:
        """The escapes with all that ``escape`` may add."""
        return self.escapes

    def _bold_cost(self) -> int:
        return sum(map(len, self.around.get(Style.BOLD, ("", ""))))

    def _markup(self, cost: int) -> int:
        return cost if self.counts_markup else 0


def _bold(line: Line) -> Iterator[Span]:
    for span in line:
        yield Span(span.text, span.styles | {Style.BOLD}, span.link)


def _text(line: Line) -> str:
    return "".join(span.text for span in line)
