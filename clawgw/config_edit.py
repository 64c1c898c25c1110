"""Changing the configuration file as a person would: one value, and everything else stays.

The file belongs to its owner, who has put comments, an order and an indentation into it. So it is
not read and written anew: the text is changed where the value stands, and nowhere else. Whatever
comes of it is read again and compared with what was meant, so that a file this module does not
understand stays as it is.

A file is replaced as a whole, readable for its owner only; what was there before is beside it as
`.bak`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from clawgw.config import decode, read_text
from clawgw.section import ConfigError

Path_ = Sequence[str]
"""Keys from the outside in."""

_TOKENS = re.compile(
    r"""
    (?P<skipped>(?>\s+|//[^\n]*|/\*.*?\*/)+)
    | (?P<token>"(?:\\.|[^"\\])*+"|[{}\[\],:]|[^\s{}\[\],:"/]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_DEFAULT_UNIT = "  "


class _Token(NamedTuple):
    text: str
    start: int
    end: int


class _Member(NamedTuple):
    """One `"key": value` of an object.

    Attributes:
        value: the token its value begins with.
        end: where the value ends.
        comma: where the comma after it stands; None where there is none.
    """

    key: str
    start: int
    value: int
    end: int
    comma: int | None


class _Object(NamedTuple):
    """An object: `opens` and `closes` are where its braces stand."""

    opens: int
    closes: int
    members: list[_Member]

    def find(self, key: str) -> _Member | None:
        """The member that counts: of several, the last."""
        return next((one for one in reversed(self.members) if one.key == key), None)


def document(text: str) -> dict[str, Any]:
    """What a configuration file says; `{}` for an empty one.

    Raises:
        ConfigError: it is no JSON object.
    """
    value = decode(text, "it")
    if not isinstance(value, dict):
        raise ConfigError("an object is expected: { … }")
    return value


def put(text: str, path: Path_, value: Any) -> str:
    """The text with `value` at `path`; objects on the way are made.

    Raises:
        ConfigError: there is something else than an object on the way, or it cannot be changed.
    """
    wanted = deepcopy(document(text))
    _walk(wanted, path[:-1])[path[-1]] = value
    text = text if _tokens(text) else _line_end(text) + "{}\n"
    return _checked(_put(text, path, value), wanted)


def remove(text: str, path: Path_) -> str:
    """The text without what stands at `path`; unchanged where nothing does.

    Raises:
        ConfigError: it cannot be changed.
    """
    wanted = deepcopy(document(text))
    holder: Any = wanted
    for key in path[:-1]:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or path[-1] not in holder:
        return text
    del holder[path[-1]]
    while (changed := _remove(text, path)) != text:  # a key may be there twice
        text = changed
    return _checked(text, wanted)


def write_text(path: Path, text: str, before: str) -> None:
    """Replace a configuration file, at once or not at all.

    Args:
        before: what `text` was made from; kept beside it as `.bak`.

    Raises:
        ConfigError: it cannot be written, or somebody else has changed it meanwhile.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    if read_text(path) != before:
        raise ConfigError(f"{path} was changed by somebody else meanwhile; try again")
    try:
        if before:
            _replace(path.with_name(path.name + ".bak"), before)
        _replace(path, text)
    except OSError as problem:
        raise ConfigError(f"cannot write {path}: {problem.strerror}") from None


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _walk(value: dict[str, Any], path: Path_) -> dict[str, Any]:
    """The object at `path`, made where it is missing."""
    for number, key in enumerate(path):
        inner = value.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{'.'.join(path[: number + 1])}: an object is expected")
        value = inner
    return value


def _checked(text: str, wanted: dict[str, Any]) -> str:
    if document(text) != wanted:
        raise ConfigError("it is written in a way that this program cannot change; edit it by hand")
    return text


# Finding the place


def _tokens(text: str) -> list[_Token]:
    return [
        _Token(found["token"], *found.span("token"))
        for found in _TOKENS.finditer(text)
        if found["token"]
    ]


def _object(tokens: list[_Token], at: int) -> _Object:
    """The object whose brace is the token number `at`."""
    members: list[_Member] = []
    opens, number = tokens[at].start, at + 1
    while tokens[number].text != "}":
        key, value = tokens[number], number + 2
        number = _after(tokens, value)
        end, comma = tokens[number - 1].end, None
        if tokens[number].text == ",":
            comma = tokens[number].start
            number += 1
        members.append(_Member(json.loads(key.text), key.start, value, end, comma))
    return _Object(opens, tokens[number].start, members)


def _after(tokens: list[_Token], at: int) -> int:
    """The number of the token after the value that begins with number `at`."""
    depth = 0
    while True:
        text = tokens[at].text
        depth += (text in "{[") - (text in "}]")
        at += 1
        if depth == 0:
            return at


# Changing it


def _put(text: str, path: Path_, value: Any) -> str:
    tokens, at, found = _tokens(text), 0, None
    unit = _unit(text, _object(tokens, 0))
    for number, key in enumerate(path):
        around = _object(tokens, at)
        found = around.find(key)
        if found is None:
            for inner in reversed(path[number + 1 :]):
                value = {inner: value}
            return _insert(text, around, key, value, unit)
        at = found.value
    assert found is not None
    start = tokens[found.value].start
    shown = _shown(text, value, _indent(text, found.start), unit)
    return text[:start] + shown + text[found.end :]


def _insert(text: str, around: _Object, key: str, value: Any, unit: str) -> str:
    """The text with one more member at the end of an object."""
    last = around.members[-1] if around.members else None
    inside = text[around.opens : around.closes]
    if last is not None and "\n" not in inside:
        new = f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        before = "" if last.comma is None else text[last.end : last.comma]
        at = last.end if last.comma is None else last.comma + 1
        return f"{text[: last.end]}{before}, {new}{text[at:]}"
    base = _indent(text, around.opens)
    indent = base + unit
    if last is not None and _begins_line(text, last.start):
        indent = _indent(text, last.start)
    end = around.opens + len(inside.rstrip())
    line = _newline(text)
    new = f"{line}{indent}{json.dumps(key)}: {_shown(text, value, indent, unit)}"
    rest = text[end:]
    if "\n" not in text[end : around.closes]:
        rest = line + base + rest.lstrip(" \t")
    if last is None:
        return text[:end] + new + rest
    if last.comma is not None:  # they like one at the end
        return f"{text[:end]}{new},{rest}"
    return f"{text[: last.end]},{text[last.end : end]}{new}{rest}"


def _remove(text: str, path: Path_) -> str:
    tokens, at = _tokens(text), 0
    around, found = _object(tokens, 0), None
    for number, key in enumerate(path):
        around = _object(tokens, at)
        found = around.find(key)
        if found is None:
            return text
        if number < len(path) - 1 and tokens[found.value].text != "{":
            return text
        at = found.value
    assert found is not None
    place = around.members.index(found)
    before = around.members[place - 1] if place else None
    start, end = _span(text, found)
    if before is not None and before.comma is not None and _is_last(around, found):
        between = text[before.comma + 1 : start]
        if not between.strip() and "\n" not in between:
            start = before.comma
        else:
            return text[: before.comma] + text[before.comma + 1 : start] + text[end:]
    return text[:start] + text[end:]


def _is_last(around: _Object, member: _Member) -> bool:
    return member is around.members[-1] and member.comma is None


def _span(text: str, member: _Member) -> tuple[int, int]:
    """From where to where a member goes: its whole lines, where nothing else is on them."""
    end = member.end if member.comma is None else member.comma + 1
    space = re.compile(r"[ \t]*(\r?\n)?").match(text, end)
    assert space is not None
    if not _begins_line(text, member.start):
        return member.start, space.end() if space[1] is None and member.comma else end
    if space[1] is None:  # a comment, or the end of the object
        return member.start, space.end() if member.comma else end
    return text.rfind("\n", 0, member.start) + 1, space.end()


# How it is written


def _shown(text: str, value: Any, indent: str, unit: str) -> str:
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return (_newline(text) + indent).join(lines)


def _unit(text: str, root: _Object) -> str:
    """By how much the file is indented."""
    if root.members and _begins_line(text, root.members[0].start):
        return _indent(text, root.members[0].start) or _DEFAULT_UNIT
    return _DEFAULT_UNIT


def _indent(text: str, at: int) -> str:
    """What the line begins with that `at` is on."""
    start = text.rfind("\n", 0, at) + 1
    found = re.compile(r"[ \t]*").match(text, start)
    assert found is not None
    return found.group()


def _begins_line(text: str, at: int) -> bool:
    start = text.rfind("\n", 0, at) + 1
    return start > 0 and not text[start:at].strip()


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
