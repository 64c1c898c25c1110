"""What a language model writes, as blocks of lines of styled text.

The source is CommonMark with tables, strikethrough and task lists, and ``||spoilers||``. Chat is
not a page, so some things are read as their writer meant them:

- A line break is a line break, and blocks with no blank line between them stay together.
- HTML is text like any other, but for ``<br>``. Bare addresses are links.
- A table becomes lines of text with aligned columns, to be shown in a fixed-width font.

Nothing of the text is lost, whatever it looks like: what is nested deeper than anyone writes is
taken as it stands, without its Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

__all__ = ["Block", "Kind", "Line", "Link", "Span", "Style", "parse"]

_MAX_NESTING = 100
"""Blocks within blocks the parser follows; what is deeper it would drop."""

_MAX_BRACKETS = 16
"""Brackets within brackets in one paragraph; the parser's time grows with them."""

_MAX_INDENT = 24
"""Columns; deeper lists are shown at this depth."""


class Style(Enum):
    """How a span looks."""

    BOLD = auto()
    ITALIC = auto()
    STRIKE = auto()
    SPOILER = auto()
    CODE = auto()


@dataclass(frozen=True, slots=True)
class Link:
    """Where a span leads.

    ``bare``: the text is the address itself. ``goes_on``: the rest of its text is elsewhere.
    """

    url: str
    bare: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Text in one style, without line breaks."""

    text: str
    styles: frozenset[Style] = frozenset()
    link: Link | None = None


Line = tuple[Span, ...]


class Kind(Enum):
    """What a block is."""

    TEXT = auto()
    HEADING = auto()
    CODE = auto()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a heading, or a block of code; in a list or a quotation perhaps.

    ``first`` stands before the first line (a list's bullet or number), ``rest`` before the others.
    ``close``: there is no blank line before it.
    """

    kind: Kind
    lines: tuple[Line, ...]
    level: int = 0
    language: str = ""
    quote: bool = False
    first: str = ""
    rest: str = ""
    close: bool = False


def parse(source: str) -> list[Block]:
    """The blocks of a Markdown text, in their order."""
    # A half of a surrogate pair is no text, and no provider takes it.
    text = source.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    try:
        tokens = _parser().parse(text)
    except RecursionError:
        return _as_it_stands(text)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return _as_it_stands(text)
    return list(_Reader().blocks(tokens))


def _as_it_stands(text: str) -> list[Block]:
    return [
        Block(Kind.TEXT, tuple((Span(line),) for line in paragraph.splitlines()))
        for paragraph in re.split(r"\n[ \t]*\n", text)
        if paragraph.strip()
    ]


# The parser, and what we add to it.


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.core.ruler.before("inline", "brackets", _spare_brackets)
    parser.inline.ruler.before("escape", "address", _address)
    return parser


def _spare_brackets(state: StateCore) -> None:
    """Take text with many brackets open at a time as it stands."""
    for token in state.tokens:
        if token.type == "inline" and _bracket_depth(token.content) > _MAX_BRACKETS:
            token.type = "verbatim"


def _bracket_depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]]", text):
        depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


_SCHEME = re.compile(r"(?<![A-Za-z0-9])https?\Z", re.IGNORECASE)
_SCHEME_LENGTH = len("?https")
_ADDRESS = re.compile(r"://[^\s<>\"`|\\\x00-\x1f\x7f]+")


def _address(state: StateInline, silent: bool) -> bool:
    """A bare address, found at the ``:`` of its scheme; what is in it is no emphasis."""
    # Silent is the search for the end of a link's text, and that ends inside of an address too.
    if silent or state.src[state.pos] != ":":
        return False
    scheme = _SCHEME.search(state.src[max(state.pos - _SCHEME_LENGTH, 0) : state.pos])
    found = _ADDRESS.match(state.src, state.pos, state.posMax)
    if scheme is None or found is None:
        return False
    if not state.pending.endswith(scheme.group()):
        return False
    rest = _without_tail(found.group())
    if len(rest) <= len("://"):
        return False
    state.pending = state.pending[: -len(scheme.group())]
    url = scheme.group() + rest
    # In the text of a link it is just text.
    if not state.linkLevel:
        opening = state.push("link_open", "a", 1)
        opening.attrs = {"href": url}
        opening.info = "auto"
    state.push("text", "", 0).content = url
    if not state.linkLevel:
        state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _without_tail(address: str) -> str:
    """Leave out what follows an address in a sentence: full stops, emphasis, a bracket."""
    unmatched = {
        ending: address.count(ending) - address.count(opening) for opening, ending in _BRACKETS
    }
    end = len(address)
    while end:
        last = address[end - 1]
        if unmatched.get(last, 0) > 0:
            unmatched[last] -= 1
        elif last not in ".,;:!?'*_~":
            break
        end -= 1
    return address[:end]


_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))


# From tokens to blocks.


@dataclass
class _Item:
    """A list item that is being read; its marker goes before its first line."""

    marker: str
    used: bool = False


class _Reader:
    """Follows the tokens in and out of lists and quotations."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._quotes = 0
        self._last_line = 0

    def blocks(self, tokens: Sequence[Token]) -> Iterator[Block]:
        position = 0
        while position < len(tokens):
            token = tokens[position]
            if token.type == "table_open":
                end = next(i for i in range(position, len(tokens)) if _closes(tokens[i], token))
                yield from self._code(token, _table(tokens[position:end]))
                position = end
            elif token.type in ("fence", "code_block"):
                language = re.match(r"[\w+#.-]{1,20}", token.info.strip())
                lines = token.content.removesuffix("\n").split("\n")
                yield from self._code(token, lines, language.group() if language else "")
            elif token.type == "hr":
                yield self._block(token, Kind.TEXT, ((Span("———"),),))
            elif token.type in ("inline", "verbatim"):
                opening = tokens[position - 1]
                yield self._text(token, opening)
            else:
                self._step(token)
            position += 1

    def _step(self, token: Token) -> None:
        if token.type == "blockquote_open":
            self._quotes += 1
        elif token.type == "blockquote_close":
            self._quotes -= 1
        elif token.type == "list_item_open":
            self._items.append(_Item(f"{token.info}{token.markup} " if token.info else "• "))
        elif token.type == "list_item_close":
            self._items.pop()

    def _code(self, token: Token, lines: Iterable[str], language: str = "") -> Iterator[Block]:
        if self._items and not self._items[-1].used:
            # Code begins a line of its own, so its bullet or number needs one too.
            yield self._block(token, Kind.TEXT, ((),))
        plain = tuple((Span(line.replace("\t", "    ")),) for line in lines)
        yield self._block(token, Kind.CODE, plain, language=language)

    def _text(self, token: Token, opening: Token) -> Block:
        lines = _lines(token)
        if self._items and not self._items[-1].used and self._items[-1].marker == "• ":
            lines, box = _task(lines)
            self._items[-1].marker = box or "• "
        if opening.type == "heading_open":
            return self._block(token, Kind.HEADING, lines, level=int(opening.tag[1:]))
        return self._block(token, Kind.TEXT, lines)

    def _block(
        self,
        token: Token,
        kind: Kind,
        lines: tuple[Line, ...],
        level: int = 0,
        language: str = "",
    ) -> Block:
        begin, end = token.map or (self._last_line, self._last_line)
        close = begin <= self._last_line
        self._last_line = end
        first, rest = self._margins()
        return Block(kind, lines, level, language, self._quotes > 0, first, rest, close)

    def _margins(self) -> tuple[str, str]:
        # One quotation is for the format to show; those in it are shown as text.
        quoted = "> " * min(self._quotes - 1, 4)
        markers = "".join(" " * len(i.marker) if i.used else i.marker for i in self._items)
        first = quoted + markers[-_MAX_INDENT:]
        for item in self._items:
            item.used = True
        return first, quoted + " " * (len(first) - len(quoted))


def _closes(token: Token, opening: Token) -> bool:
    return token.type == "table_close" and token.level == opening.level


def _task(lines: tuple[Line, ...]) -> tuple[tuple[Line, ...], str | None]:
    """Take the box off a task list's item."""
    span = lines[0][0] if lines and lines[0] else Span("")
    found = re.match(r"\[([ xX])\] +", span.text)
    if found is None or span.styles or span.link:
        return lines, None
    text = replace(span, text=span.text[found.end() :])
    return ((text, *lines[0][1:]), *lines[1:]), "☐ " if found[1] == " " else "☑ "


# Inside a paragraph.

_STYLES = {"strong": Style.BOLD, "em": Style.ITALIC, "s": Style.STRIKE}
_BREAK = re.compile(r"<br */?>", re.IGNORECASE)


def _lines(token: Token) -> tuple[Line, ...]:
    if token.type == "verbatim":
        return tuple((Span(line),) for line in token.content.split("\n"))
    lines: list[list[Span]] = [[]]
    for span in _spans(token.children or ()):
        if span is None:
            lines.append([])
        else:
            lines[-1].append(span)
    return tuple(_with_spoilers(line) for line in lines)


def _spans(tokens: Sequence[Token]) -> Iterator[Span | None]:
    """The spans of a paragraph; None is a line break."""
    styles: list[Style] = []
    link: Link | None = None
    for token in tokens:
        name = token.type.removesuffix("_open").removesuffix("_close")
        if token.type in ("softbreak", "hardbreak"):
            yield None
        elif name in _STYLES and token.nesting:
            styles.append(_STYLES[name]) if token.nesting > 0 else styles.pop()
        elif token.type == "link_open":
            url = str(token.attrs["href"])
            # An address for mail is text enough.
            link = Link(url, bare=token.info == "auto")
        elif token.type == "link_close":
            link = None
        elif token.type == "image":
            url = link.url if link else str(token.attrs["src"])
            yield Span(token.content or "image", frozenset(styles), Link(url))
        elif token.type == "code_inline":
            code = frozenset((*styles, Style.CODE)) if link is None else frozenset(styles)
            yield Span(token.content, code, link)
        else:
            yield from _text_spans(token.content, frozenset(styles), link)


def _text_spans(text: str, styles: frozenset[Style], link: Link | None) -> Iterator[Span | None]:
    for number, part in enumerate(_BREAK.split(text)):
        if number:
            yield None
        if part:
            is_address = link is not None and part == link.url
            yield Span(part, styles, Link(part, bare=True) if is_address else link)


def _with_spoilers(line: Sequence[Span]) -> Line:
    """Make a spoiler of what is between two ``||`` in a line."""
    text = "".join(
        "x" * len(span.text) if Style.CODE in span.styles else span.text for span in line
    )
    bars = _spoiler_bars(text)
    if not bars:
        return tuple(line)
    dropped = {place + offset for place in bars for offset in (0, 1)}
    spans: list[Span] = []
    begin = 0
    for span in line:
        characters = enumerate(span.text, begin)
        kept = ((number, each) for number, each in characters if number not in dropped)
        for hidden, group in groupby(kept, lambda each: bisect(bars, each[0]) % 2 == 1):
            styles = span.styles | {Style.SPOILER} if hidden else span.styles
            spans.append(replace(span, text="".join(each for _, each in group), styles=styles))
        begin += len(span.text)
    return tuple(spans)


def _spoiler_bars(text: str) -> list[int]:
    """Where the ``||`` are that begin and end spoilers, in turn: both touch what they hide."""
    bars: list[int] = []
    for found in re.finditer(r"\|\|", text):
        place = found.end() if len(bars) % 2 == 0 else found.start() - 1
        if text[place : place + 1].strip("| \t"):
            bars.append(found.start())
    return bars[: len(bars) - len(bars) % 2]


# Tables.


def _table(tokens: Sequence[Token]) -> list[str]:
    rows: list[list[str]] = []
    aligned: list[str] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "th_open":
            aligned.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
        elif token.type in ("inline", "verbatim"):
            rows[-1].append(" ".join("".join(s.text for s in line) for line in _lines(token)))
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    if sum(widths) * len(rows) > 2000 + 4 * sum(len(cell) for row in rows for cell in row):
        # A few very long cells: filling up the others would be mostly spaces.
        widths = [0 for _ in widths]
    head, *body = (" | ".join(map(_fill, row, widths, aligned)).rstrip() for row in rows)
    return [head, "-+-".join("-" * max(width, 3) for width in widths), *body]


def _fill(cell: str, width: int, align: str) -> str:
    missing = max(width - _width(cell), 0)
    before = {"right": missing, "center": missing // 2}.get(align, 0)
    return " " * before + cell + " " * (missing - before)


def _width(text: str) -> int:
    """Columns a text takes in a fixed-width font."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
