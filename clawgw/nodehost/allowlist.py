"""Which programs a command line runs, and whether the allowlist has them all.

An entry is a glob over the absolute path of a program: ``*`` stays within a directory, ``**`` does
not, upper and lower case are the same; an entry without a slash means nothing (protocol 3,
tools/exec-approvals). What is matched is exactly what will be run: the path found in ``PATH``, with
no ``..`` left in it.

A shell that is given a line (``sh -c LINE``) is looked into, when it is a shell of the system and
the line is plain: words, quotes, and ``&&``, ``||``, ``;``, ``|`` between commands. Then every
command in it has to be on the list. A line with anything else (expansions, redirections,
substitutions) is as if it were not on it: nobody can say what it runs.

An entry with an ``argPattern`` (protocol 4) is never taken to match. We do not judge arguments, and
taking the entry without its pattern would allow more than its author did.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from clawgw.programs import CARRIERS, SHELL_WORDS, find_program

__all__ = ["Program", "can_be_listed", "match", "programs"]

_SHELLS = frozenset({"sh", "bash", "dash", "ksh", "zsh"})
_SHELL_PLACES = frozenset({"/bin", "/usr/bin"})
_LONGEST_PATTERN = 1024


@dataclass(frozen=True)
class Program:
    """A program of a command line: what it is called there, and the file that would be run."""

    name: str
    path: str | None


def programs(argv: Sequence[str], path: str, cwd: str) -> list[Program] | None:
    """The programs that ``argv`` runs, the inner ones for a shell line; None if nobody can say.

    Blocks like ``find_program``.
    """
    outer = Program(argv[0], find_program(argv[0], path, cwd))
    line = _shell_line(argv, outer.path)
    if line is None:
        return [outer]
    commands = split_line(line)
    if commands is None:
        return None
    return [Program(words[0], find_program(words[0], path, cwd)) for words in commands]


def match(program: Program, patterns: Iterable[str]) -> str | None:
    """The first pattern that covers the program; None if there is none."""
    path = program.path
    if path is None:
        return None
    return next((pattern for pattern in patterns if _matches(pattern, path)), None)


def can_be_listed(program: Program) -> bool:
    """Whether *always* may put it on the list: not a program that runs whatever it is told."""
    return program.path is not None and os.path.basename(program.path).lower() not in CARRIERS


def split_line(line: str) -> list[list[str]] | None:
    """The commands of a plain shell line as words; None when the line is not plain."""
    commands: list[list[str]] = []
    for part in _split_commands(line) or [""]:
        words = _WORD.findall(part)
        if not words or not _is_program(words[0]):
            return None
        commands.append([_unquote(word) for word in words])
    return commands


def _shell_line(argv: Sequence[str], path: str | None) -> str | None:
    """The line a shell of the system is given, if that is what ``argv`` is."""
    if path is None or len(argv) != 3 or argv[1] not in ("-c", "-lc"):
        return None
    place, name = os.path.split(path)
    return argv[2] if name in _SHELLS and place in _SHELL_PLACES else None


def _matches(pattern: str, path: str) -> bool:
    pattern = os.path.expanduser(pattern.strip())
    if "/" not in pattern or len(pattern) > _LONGEST_PATTERN:
        return False
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.findall(r"\*\*+|\*|\?|[^*?]+", pattern)
    return re.compile(
        "".join(wild.get(piece[:2], re.escape(piece)) for piece in pieces), re.IGNORECASE
    )


_QUOTED = r"'[^']*'|\"[^\"$`\\!]*\""
_PLAIN = r"[^\s'\"$`\\<>(){}&|;#!]"
_PART = re.compile(rf"(?:{_QUOTED}|{_PLAIN}|[ \t])+")
_JOINT = re.compile(r"&&|\|\||[;|]")
_WORD = re.compile(rf"(?:{_QUOTED}|{_PLAIN})+")


def _split_commands(line: str) -> list[str] | None:
    parts, position = [], 0
    while True:
        part = _PART.match(line, position)
        if part is None:
            return None
        parts.append(part.group())
        if part.end() == len(line):
            return parts
        joint = _JOINT.match(line, part.end())
        if joint is None:
            return None
        position = joint.end()


def _is_program(word: str) -> bool:
    """Whether the first word of a command, quotes and all, is the name of a program."""
    name = _unquote(word)
    if name.startswith("~") and not word.startswith("~/"):
        return False  # a quoted tilde is a letter to the shell, and ~name needs its own look
    return "=" not in name and name not in SHELL_WORDS


def _unquote(word: str) -> str:
    return re.sub(r"'([^']*)'|\"([^\"]*)\"", lambda m: m[1] if m[1] is not None else m[2], word)
