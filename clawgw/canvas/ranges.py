"""Byte ranges (RFC 9110, section 14): which part of a file a media player asks for."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=[ \t]*(\d{0,18})[ \t]*-[ \t]*(\d{0,18})[ \t]*", re.IGNORECASE)


class Span(NamedTuple):
    """A part of a file: the first byte, and how many."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """The value of a 206's `Content-Range`."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


class Unsatisfiable(ValueError):
    """The range lies outside the file: 416."""


def parse_range(header: str | None, size: int) -> Span | None:
    """The part asked for; None for the whole file.

    A header that is not understood, or names several parts, is ignored, as the RFC allows.

    Raises:
        Unsatisfiable: there is no such part.
    """
    match = _ONE.fullmatch(header) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
        if int(last) == 0:
            raise Unsatisfiable
    else:
        start, end = int(first), int(last) if last else size - 1
        if last and end < start:
            return None
        end = min(end, size - 1)
    if start >= size:
        raise Unsatisfiable
    return Span(start, end - start + 1)
