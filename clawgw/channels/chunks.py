"""PLACEHOLDER until the real module replaces it (its author: overwrite this file).

`Format` lives in `clawgw.channels.format`, so that the adapters' interface does not load a Markdown parser.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from clawgw.channels.format import Format

__all__ = ["Chunk", "Format", "chunks"]


class Chunk(msgspec.Struct, frozen=True):
    text: str
    styles: tuple[str, ...] = ()
    plain: str = ""


def chunks(
    markdown: str, fmt: Format, limit: int, *, mode: Literal["length", "newline"] = "length"
) -> list[Chunk]:
    return [
        Chunk(markdown[at : at + limit], (), markdown[at : at + limit])
        for at in range(0, len(markdown), limit)
    ]
