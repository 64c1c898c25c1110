"""What a command line means before anything is run: which files, and what changes their meaning.

The Gateway and the node host both allow programs by the file that will be run. So both look that
file up here, as the system will when it starts it, and both know the same words by which a line
runs something else than a file of that name. What cannot be told is None: a person is asked then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

__all__ = ["CARRIERS", "SHELL_WORDS", "are_harmless", "find_program"]

CARRIERS = frozenset((
    "ash", "bash", "busybox", "csh", "dash", "doas", "env", "fish", "ksh", "nice", "nohup", "sh",
    "ssh", "stdbuf", "su", "sudo", "tcsh", "time", "timeout", "xargs", "zsh",
))  # fmt: skip
"""Programs that run what their arguments say: the file says nothing of what will happen."""

SHELL_WORDS = frozenset((
    # The grammar's own, and those that run or define what comes behind them.
    "!", ".", "alias", "bind", "builtin", "case", "command", "coproc", "do", "done", "elif",
    "else", "enable", "eval", "exec", "export", "fc", "fi", "for", "function", "hash", "if",
    "jobs", "select", "shopt", "source", "then", "time", "trap", "unalias", "until", "while",
    # They change where the names after them lead.
    "cd", "popd", "pushd",
    # They take the names of variables: they can set PATH, and `a[$(…)]` is worked out even where
    # it is quoted (bash: printf -v, test -v, read, unset, wait -p; ksh, zsh: their arithmetic).
    "[", "[[", "declare", "getopts", "let", "local", "mapfile", "print", "printf", "read",
    "readarray", "readonly", "set", "test", "typeset", "unset", "wait",
))  # fmt: skip
"""Words of shells that do more than a program of that name would, whatever file has the name."""


_HARMLESS = frozenset((
    "CLICOLOR", "COLORTERM", "COLUMNS", "FORCE_COLOR", "LANG", "LANGUAGE", "LINES", "NO_COLOR",
    "TERM", "TZ",
))  # fmt: skip


def are_harmless(names: Iterable[str]) -> bool:
    """Whether these variables say at most how and where a program prints.

    A program that is allowed is not allowed with any environment whatever: think of
    ``GIT_SSH_COMMAND``, or of ``PATH``, where it looks for others.
    """
    return all(name in _HARMLESS or name.startswith("LC_") for name in names)


def find_program(name: str, path: str, cwd: str | None) -> str | None:
    """The executable file that ``name`` means, as a tidy absolute path; None if that is unknown.

    Blocks for as long as the file system takes: call it in a thread.

    Args:
        path: where a name without a slash is looked for, as in ``PATH``.
        cwd: where a relative name begins; None where nobody knows.
    """
    if not name or "\0" in name:
        return None
    if "/" in name:
        expanded = os.path.expanduser(name)
        candidate = os.path.join(cwd or "", expanded)
        if expanded.startswith("~") or not os.path.isabs(candidate):
            return None  # a shell may know this tilde
        return _tidy_executable(candidate)
    for place in path.split(os.pathsep):
        if not os.path.isabs(place):
            return None  # another place in every directory: what comes behind it may never count
        found = _tidy_executable(os.path.join(place, name))
        if found is not None:
            return found
    return None


def _tidy_executable(candidate: str) -> str | None:
    tidy = os.path.abspath(candidate)
    # Behind a symbolic link, "x/.." is not what it looks like.
    if ".." in candidate.split("/") and os.path.realpath(candidate) != os.path.realpath(tidy):
        return None
    return tidy if os.path.isfile(tidy) and os.access(tidy, os.X_OK) else None
