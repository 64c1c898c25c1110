"""One Markdown text, as the messages a provider takes.

A text that is longer than a message may be is cut where a reader would pause: between blocks, else
between lines, else after a sentence, else between words, and in the midst of a word only when it is
longer than a message, but never inside a character that is made of several. A heading stays with
what it is above of. Each message is complete in itself: a style, a quotation or a block of code
that goes on in the next is ended here and begun there again.

The work is in proportion to the length of the text: 0.1 s for 20,000 characters, more or less. Call
it in a thread for texts of which that may be too much.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from clawgw.channels.formats import Dialect, Format, dialect_of
from clawgw.channels.formats.cost import Cost
from clawgw.channels.formats.dialect import units
from clawgw.channels.formats.plain import Plain
from clawgw.channels.formats.writing import Piece, render
from clawgw.channels.markdown import Block, Kind, Line, Link, Span, parse

__all__ = ["MIN_LIMIT", "Chunk", "Format", "Mode", "chunks"]

MIN_LIMIT = 128
"""The shortest limit there can be: markup has to fit with some text in it."""

Mode = Literal["length", "newline"]
"""Cut where it must be, or also at every blank line."""


@dataclass(frozen=True)
class Chunk:
    """One message.

    ``text`` is in the format that was asked for; ``styles`` are Signal's (``start:length:STYLE``).
    ``plain`` says the same without formatting, for when the provider does not take ``text``.
    """

    text: str
    styles: tuple[str, ...] = ()
    plain: str = ""


def chunks(markdown: str, fmt: Format, limit: int, *, mode: Mode = "length") -> list[Chunk]:
    """Turn Markdown into messages of at most ``limit`` UTF-16 code units each, in their order.

    For Telegram the limit is on the text without its tags, for the others on ``text``; ``plain``
    keeps to it too. A text with nothing to see in it gives no message.

    :raises ValueError: when ``limit`` is less than ``MIN_LIMIT``.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"a message cannot be limited to less than {MIN_LIMIT} characters")
    dialect = dialect_of(fmt)
    blocks = [_with_links_spelled(block, dialect, limit) for block in parse(markdown)]
    if mode == "length" and len(markdown) <= 2 * limit:
        pieces = [Piece(block, list(block.lines)) for block in blocks]
        whole = _written(pieces, dialect)
        if max(dialect.length(whole.text), units(whole.plain)) <= limit:
            return [whole] if _is_seen(pieces) else []
    packed = _packed(blocks, dialect, limit, mode)
    return [_written(pieces, dialect) for pieces in packed if _is_seen(pieces)]


def _is_seen(pieces: list[Piece]) -> bool:
    """Whether there is anything to see; the mark of a quotation with nothing in it is not."""
    return any(
        (piece.block.first.strip() and not piece.begun)
        or any(span.text.strip() for line in piece.lines for span in line)
        for piece in pieces
    )


def _written(pieces: list[Piece], dialect: Dialect) -> Chunk:
    rendered = render(pieces, dialect)
    return Chunk(rendered.text, rendered.styles, render(pieces, Plain()).text)


# Links.


def _with_links_spelled(block: Block, dialect: Dialect, limit: int) -> Block:
    """Write out where a link leads when the format has no such link, or no place for it."""
    if block.kind is Kind.CODE:
        return block
    lines = tuple(tuple(_spelled(line, dialect, limit)) for line in block.lines)
    return replace(block, lines=lines)


def _spelled(line: Line, dialect: Dialect, limit: int) -> Iterable[Span]:
    for number, span in enumerate(line):
        link = span.link
        if link is None or _can_be_link(span.text, link, dialect, limit):
            yield span
            continue
        yield replace(span, link=None)
        following = line[number + 1].link if number + 1 < len(line) else None
        if not link.bare and following != link:
            yield Span(f" ({link.url})")


def _can_be_link(text: str, link: Link, dialect: Dialect, limit: int) -> bool:
    return (
        link.url.lower().startswith(dialect.schemes)
        and len(link.url) <= limit // 8
        # An address as the text of a link to another is how people are deceived.
        and (link.bare or "://" not in text)
    )


# Filling messages.


def _packed(blocks: Iterable[Block], dialect: Dialect, limit: int, mode: Mode) -> list[list[Piece]]:
    """What goes into each message."""
    packer = _Packer(Cost(dialect), limit)
    heading = False
    for block in blocks:
        if mode == "newline" and not block.close and not heading:
            packer.flush()
        packer.add(block)
        heading = block.kind is Kind.HEADING
    return packer.finish()


class _Packer:
    """Puts blocks into messages, and cuts what is too long."""

    def __init__(self, cost: Cost, limit: int) -> None:
        self._cost = cost
        self._limit = limit
        self._room = limit
        self._pieces: list[Piece] = []
        self._costs: list[int] = []
        self._done: list[list[Piece]] = []

    def finish(self) -> list[list[Piece]]:
        """All messages."""
        self.flush()
        return self._done

    def flush(self) -> None:
        """Begin a new message."""
        if self._pieces:
            self._done.append(self._pieces)
        self._pieces, self._costs, self._room = [], [], self._limit

    def add(self, block: Block) -> None:
        """Put a block in, whole if that can be."""
        cost = self._cost.block(block)
        if cost <= self._limit:
            self._make_room(cost)
            self._put(Piece(block, list(block.lines)), cost)
        else:
            self._add_lines(block)

    def _make_room(self, cost: int) -> None:
        """Begin a new message unless there is room; headings at the end go along."""
        if cost <= self._room:
            return
        along: list[tuple[Piece, int]] = []
        while (
            len(self._pieces) > 1
            and self._pieces[-1].block.kind is Kind.HEADING
            and cost + self._costs[-1] + sum(each for _, each in along) <= self._limit
        ):
            along.insert(0, (self._pieces.pop(), self._costs.pop()))
        self.flush()
        for piece, each in along:
            self._put(piece, each)

    def _put(self, piece: Piece, cost: int) -> None:
        self._pieces.append(piece)
        self._costs.append(cost)
        self._room -= cost

    def _add_lines(self, block: Block) -> None:
        begun = False
        for line in block.lines:
            cost = self._cost.line(block, line)
            whole = cost + self._cost.around_block(block)
            if whole <= self._limit:
                self._make_room(whole)
                self._put_line(block, line, cost, begun=begun)
            else:
                self._add_words(block, line, begun=begun)
            begun = True

    def _add_words(self, block: Block, line: Line, *, begun: bool) -> None:
        rest = deque(line)
        enough = max(self._limit // 4, MIN_LIMIT // 2)
        around_line = self._cost.around_line(block)
        overhead = self._cost.around_block(block) + around_line
        while rest:
            if self._room - overhead < enough:
                self.flush()
            taken, cost = _take(rest, self._room - overhead, self._cost, block.kind)
            self._put_line(block, taken, cost + around_line, begun=begun)
            begun = True
            if rest:
                self.flush()

    def _put_line(self, block: Block, line: Line, cost: int, *, begun: bool) -> None:
        if not self._pieces or self._pieces[-1].block is not block:
            self._put(Piece(block, [], begun), self._cost.around_block(block))
        self._pieces[-1].lines.append(line)
        self._costs[-1] += cost
        self._room -= cost


# Cutting a line.


def _take(rest: deque[Span], room: int, costs: Cost, kind: Kind) -> tuple[Line, int]:
    """Take from the front of a line what fits, up to a good place to cut; and what it costs."""
    spans: list[Span] = []
    left = room
    # The first comparison spares us the second on all that is left of a very long line.
    while rest and len(rest[0].text) <= left:
        cost = costs.span(rest[0], kind)
        if cost > left:
            break
        spans.append(rest.popleft())
        left -= cost
    if not rest:
        return tuple(spans), room - left
    fits = "".join(span.text for span in spans)
    partial = rest.popleft()
    length = _fitting(partial, left, costs, kind)
    if not spans:
        length = max(length, 1)
    where = _cut(fits + partial.text[:length], partial.text[length], in_code=kind is Kind.CODE)
    taken, others = _split([*spans, partial], where)
    if kind is not Kind.CODE:
        others = _without_leading_space(others)
    rest.extendleft(reversed(others))
    return tuple(taken), sum(costs.span(span, kind) for span in taken)


def _fitting(span: Span, room: int, costs: Cost, kind: Kind) -> int:
    """How many characters of a span fit."""
    room -= costs.around_span(span, kind)
    if room <= 0:
        return 0
    # No character costs nothing, so there are not more of them than there is room.
    lengths = range(min(len(span.text), room + 1))
    return bisect_right(lengths, room, key=lambda n: costs.text(span.text[:n], span, kind)) - 1


def _split(spans: list[Span], where: int) -> tuple[list[Span], list[Span]]:
    """Cut a line after ``where`` characters."""
    taken: list[Span] = []
    for span in spans:
        if len(span.text) > where:
            break
        taken.append(span)
        where -= len(span.text)
    others = spans[len(taken) :]
    if where:
        span = others[0]
        link = None if span.link is not None and span.link.bare else span.link
        taken.append(Span(span.text[:where], span.styles, link))
        others[0] = Span(span.text[where:], span.styles, link)
    return _linked_on(taken, others[0].link), others


def _linked_on(taken: list[Span], link: Link | None) -> list[Span]:
    """Say of a link at the end that its text goes on."""
    if link is None:
        return taken
    first = len(taken)
    while first and taken[first - 1].link == link:
        first -= 1
    cut = replace(link, goes_on=True)
    return [*taken[:first], *(replace(span, link=cut) for span in taken[first:])]


def _without_leading_space(spans: list[Span]) -> list[Span]:
    for number, span in enumerate(spans):
        text = span.text.lstrip()
        if text:
            return [replace(span, text=text), *spans[number + 1 :]]
    return []


_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*(?=\s)|[。！？]")
_LONGEST_CHARACTER = 32


def _cut(text: str, following: str, *, in_code: bool) -> int:
    """Where to cut a text that goes on with ``following``: after how many characters."""
    half = len(text) // 2
    if not in_code:
        ends = [found.end() for found in _SENTENCE_END.finditer(text + following, half)]
        if ends and ends[-1] <= len(text):
            return ends[-1]
    words = text.rstrip()
    if words == text and not following.isspace():
        words = text.rsplit(maxsplit=1)[0] if len(text.split(maxsplit=1)) > 1 else ""
    if len(words) > (half if in_code else 0):
        return len(words)
    return _between_characters(text, following)


def _between_characters(text: str, following: str) -> int:
    """The last place in a text that is not inside of a character made of several."""
    whole = text + following
    for where in range(len(text), max(len(text) - _LONGEST_CHARACTER, 0), -1):
        if not _is_one(whole, where):
            return where
    return len(text)


def _is_one(text: str, where: int) -> bool:
    """Whether what is before and after a place makes one character to the eye."""
    before, after = text[where - 1], text[where]
    if before == "\u200d" or after == "\u200d" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    # Two letters make a flag.
    flags = len(text[:where]) - len(text[:where].rstrip(_FLAG_LETTERS))
    return after in _FLAG_LETTERS and flags % 2 == 1


_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
