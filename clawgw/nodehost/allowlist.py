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

__all__ = ["Program", "find_program", "match", "programs"]

_SHELLS = frozenset({"sh", "bash", "dash", "ksh", "zsh"})
_SHELL_PLACES = frozenset({"/bin", "/usr/bin"})
_LONGEST_PATTERN = 1024

_RUN_OTHERS = frozenset(
    {"!", ".", "alias", "builtin", "case", "command", "coproc", "do", "done", "elif", "else",
     "enable", "eval", "exec", "export", "fi", "for", "function", "hash", "if", "readonly",
     "select", "set", "source", "then", "time", "trap", "until", "while"}
)  # fmt: skip
"""Words of the shell that are no programs, whatever is in PATH under that name."""


@dataclass(frozen=True)
class Program:
    """A program of a command line: what it is called there, and the file that would be run."""

    name: str
    path: str | None


def find_program(name: str, path: str, cwd: str) -> str | None:
    """The executable file that ``name`` means, as a tidy absolute path; None if there is none.

    Blocks for as long as the file system takes: call it in a thread.
    """
    if not name or "\0" in name:
        return None
    if "/" in name:
        candidates = [os.path.join(cwd, os.path.expanduser(name))]
    else:
        places = (place for place in path.split(os.pathsep) if os.path.isabs(place))
        candidates = [os.path.join(place, name) for place in places]
    return next(filter(None, map(_tidy_executable, candidates)), None)


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


def split_line(line: str) -> list[list[str]] | None:
    """The commands of a plain shell line as words; None when the line is not plain."""
    commands: list[list[str]] = []
    for part in _split_commands(line) or [""]:
        words = _split_words(part)
        if not words or "=" in words[0] or words[0] in _RUN_OTHERS:
            return None
        commands.append(words)
    return commands


def _shell_line(argv: Sequence[str], path: str | None) -> str | None:
    """The line a shell of the system is given, if that is what ``argv`` is."""
    if path is None or len(argv) != 3 or argv[1] not in ("-c", "-lc"):
        return None
    place, name = os.path.split(path)
    return argv[2] if name in _SHELLS and place in _SHELL_PLACES else None


def _tidy_executable(candidate: str) -> str | None:
    tidy = os.path.abspath(candidate)
    # Behind a symbolic link, "x/.." is not what it looks like.
    if ".." in candidate.split("/") and os.path.realpath(candidate) != os.path.realpath(tidy):
        return None
    return tidy if os.path.isfile(tidy) and os.access(tidy, os.X_OK) else None


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


def _split_words(part: str) -> list[str]:
    return [_unquote(word) for word in _WORD.findall(part)]


def _unquote(word: str) -> str:
    return re.sub(r"'([^']*)'|\"([^\"]*)\"", lambda m: m[1] if m[1] is not None else m[2], word)
