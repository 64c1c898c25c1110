"""What the commands print: tables and lines for people, tabs for pipes, JSON for programs.

Names, texts and labels come from elsewhere. On their way to a terminal they lose their control
characters, so that nobody's device name moves the cursor or recolours the screen.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["ago", "clean", "facts", "note", "print_json", "table", "write"]


def print_json(value: Any) -> None:
    """One JSON value on standard output: indented for a person, on one line for a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, ensure_ascii=False, indent=indent))


def note(text: str) -> None:
    """A remark to the person, beside the output proper."""
    print(clean(text), file=sys.stderr)


def write(text: str) -> None:
    """Text as it comes, at once."""
    sys.stdout.write(clean(text))
    sys.stdout.flush()


def clean(text: str) -> str:
    """Without control characters other than line feed and tab."""
    if text.isprintable():
        return text
    return "".join(
        char if char in "\n\t" or not unicodedata.category(char).startswith("C") else "�"
        for char in text
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one pair a line; what has no value is left out."""
    known = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [])]
    width = max((len(name) for name, _ in known), default=0) + 1
    for name, value in known:
        print(f"{name + ':':<{width}} {value}")


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table on a terminal, lines of tab-separated cells in a pipe."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(headings), *cells]:
            print("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for line in cells:
        shown.add_row(*(Text(cell) for cell in line))
    Console().print(shown)


def ago(milliseconds: Any, now: float | None = None) -> str:
    """How long ago a moment (milliseconds since the epoch) was, roughly."""
    if not isinstance(milliseconds, (int, float)):
        return ""
    seconds = max(0.0, (time.time() if now is None else now) - milliseconds / 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return clean(str(value)).replace("\n", " ").replace("\t", " ")
