"""Which programs a command line starts, where that can be told without running it.

A command joined by `;`, `&&`, `||`, `|` or `&` starts a program in each part. Whatever a shell
would work out first (a substitution, a redirection, a variable, a group) can start anything, and a
builtin such as `eval`, or a program such as `sudo` or `sh` that runs what it is given, does too: of
such a line nothing is said, so it matches no pattern. The reading is narrower than any shell's on
purpose: what is not understood is asked about.
"""

from __future__ import annotations

import re

from clawgw.programs import CARRIERS, SHELL_WORDS

_PLAIN = re.compile(r"[A-Za-z0-9_./+@:%,~-]+\Z")
_JOINTS = ";|&"
_WORKED_OUT = frozenset("`$<>(){}!#\\\n\r\0")
_WORKED_OUT_IN_QUOTES = frozenset("`$\\\0")


def programs(command: str) -> tuple[str, ...] | None:
    """The word each part of a command line starts with; None where that cannot be told."""
    parts = _parts(command)
    if parts is None:
        return None
    words = [part.split(maxsplit=1) for part in parts]
    first = [word[0] for word in words if word]
    if not first or len(first) != len(words):
        return None  # nothing between two joints
    return None if any(map(_starts_another, first)) else tuple(first)


def _starts_another(word: str) -> bool:
    """Whether the program at the beginning of a part says nothing of what will run."""
    name = word.rpartition("/")[2].lower()
    return name in CARRIERS or word in SHELL_WORDS or not _PLAIN.match(word)


def _parts(command: str) -> list[str] | None:
    """The line cut at its joints, quoted text as `"`; None where a shell would work something out.

    A quote in the first word makes that word odd, and `programs` says nothing of odd words.
    """
    parts, quote, joined = [""], "", False
    for letter in command.strip().removesuffix(";"):
        if quote:
            if letter == quote:
                quote = ""
            elif quote == '"' and letter in _WORKED_OUT_IN_QUOTES:
                return None
            continue
        if letter in _WORKED_OUT:
            return None
        if letter in _JOINTS:
            if not joined:
                parts.append("")
            joined = True
            continue
        joined = False
        quote = letter if letter in "'\"" else ""
        parts[-1] += '"' if quote else letter
    return None if quote else parts
