"""The Bot API's HTML: a text with tags is the plain text and its entities, or an error.

The tags and named references are those of "Formatting options" in the Bot API's documentation; the
errors are worded as Telegram words them, and count in bytes of UTF-8. Entities count in UTF-16
code units, as everywhere in the Bot API.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline",
    "ins": "underline", "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough",
    "tg-spoiler": "spoiler", "span": "spoiler", "a": "text_link", "code": "code", "pre": "pre",
    "blockquote": "blockquote", "tg-emoji": "custom_emoji", "tg-time": "date_time",
}  # fmt: skip
_REFERENCES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(#x[0-9a-fA-F]+|#[0-9]+|lt|gt|amp|quot);?")
_ATTRIBUTE = re.compile(r"""\s*([^\s=>"'/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[a-zA-Z0-9.\-]+))?""")


class MarkupError(Exception):
    """The text is not the Bot API's HTML; says what and where."""


class _Open(NamedTuple):
    name: str
    start: int
    attributes: dict[str, str]


def utf16_length(text: str) -> int:
    """How many UTF-16 code units a text has."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def parse_html(source: str) -> tuple[str, list[dict[str, Any]]]:
    """The plain text and its entities, in order of their start.

    Raises:
        MarkupError: it is not well-formed, or has a tag there is not.
    """
    text: list[str] = []
    units = 0
    entities: list[dict[str, Any]] = []
    stack: list[_Open] = []
    at = 0

    def add(piece: str) -> None:
        nonlocal units
        text.append(piece)
        units += utf16_length(piece)

    while at < len(source):
        char = source[at]
        if char == "&" and (found := _REFERENCE.match(source, at)):
            add(_reference(found.group(1)))
            at = found.end()
        elif char != "<":
            add(char)
            at += 1
        elif source.startswith("</", at):
            at = _close(source, at, stack, units, entities)
        else:
            opened, at = _open(source, at, units)
            stack.append(opened)
    if stack:
        raise MarkupError(f'Can\'t find end tag corresponding to start tag "{stack[-1].name}"')
    return "".join(text), sorted(entities, key=lambda entity: (entity["offset"], -entity["length"]))


def _reference(name: str) -> str:
    if name in _REFERENCES:
        return _REFERENCES[name]
    code = int(name[2:], 16) if name[1:2] in "xX" else int(name[1:])
    if not 0 < code < 0x110000:
        return f"&{name};"
    return chr(code)


def _offset(source: str, at: int) -> int:
    return len(source[:at].encode())


def _open(source: str, at: int, units: int) -> tuple[_Open, int]:
    where = _offset(source, at)
    end = source.find(">", at)
    if end < 0:
        raise MarkupError(f"Unclosed start tag at byte offset {where}")
    body = source[at + 1 : end]
    name = re.split(r"\s", body, maxsplit=1)[0].lower()
    if name not in TAGS:
        raise MarkupError(f'Unsupported start tag "{name}" at byte offset {where}')
    attributes = {
        found.group(1).lower(): (found.group(2) or "").strip("\"'")
        for found in _ATTRIBUTE.finditer(body, len(name))
    }
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise MarkupError(f'Tag "span" must have class "tg-spoiler" at byte offset {where}')
    return _Open(name, units, attributes), end + 1


def _close(
    source: str, at: int, stack: list[_Open], units: int, entities: list[dict[str, Any]]
) -> int:
    where = _offset(source, at)
    if not stack:
        raise MarkupError(f"Unexpected end tag at byte offset {where}")
    end = source.find(">", at)
    if end < 0:
        raise MarkupError(f"Unclosed end tag at byte offset {where}")
    name = source[at + 2 : end].strip().lower()
    opened = stack.pop()
    if name not in ("", opened.name):
        raise MarkupError(
            f"Unmatched end tag at byte offset {where}, "
            f'expected "</{opened.name}>", found "</{name}>"'
        )
    if units > opened.start:
        entity = {
            "type": TAGS[opened.name], "offset": opened.start, "length": units - opened.start
        }  # fmt: skip
        if opened.name == "a":
            entity["url"] = opened.attributes.get("href", "")
        if opened.name == "code" and opened.attributes.get("class", "").startswith("language-"):
            entity["language"] = opened.attributes["class"].removeprefix("language-")
        entities.append(entity)
    return end + 1
