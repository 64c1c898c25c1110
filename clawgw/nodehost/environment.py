"""The environment a command of somebody else's runs in.

It is this process's own, without what belongs to the Gateway (its tokens are in variables named
after it). The caller may add variables, except those that make a harmless program run other code:
those are refused, by name, because dropping one in silence would run something the caller did not
mean. ``PATH`` may only get more in front of it, and absolute directories at that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from clawgw.nodehost.calls import invalid

__all__ = ["DEFAULT_PATH", "base_environment", "with_overrides"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_OURS = ("CLAWGW_", "OPENCLAW_", "CLAWDBOT_")

_REFUSED = frozenset(
    {
        "BASHOPTS", "BASH_ENV", "CDPATH", "ENV", "GCONV_PATH", "GLOBIGNORE", "IFS",
        "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "NODE_OPTIONS", "NODE_PATH", "PERL5DB", "PERL5LIB",
        "PERL5OPT", "PROMPT_COMMAND", "PS4", "PYTHONHOME", "PYTHONINSPECT", "PYTHONPATH",
        "PYTHONSTARTUP", "RUBYLIB", "RUBYOPT", "SHELLOPTS", "ZDOTDIR", "_JAVA_OPTIONS",
    }
)  # fmt: skip
_REFUSED_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "GLIBC_", "MALLOC_", *_OURS)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for a child: without the Gateway's variables, ``PATH`` of absolute places."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_OURS)}
    # A relative entry would make what a name means depend on the caller's directory.
    places = [place for place in kept.get("PATH", "").split(os.pathsep) if os.path.isabs(place)]
    return {**kept, "PATH": os.pathsep.join(places) or DEFAULT_PATH}


def with_overrides(base: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """``base`` with what the caller wants different.

    :raises CommandError: naming the variable that is not to be set from outside.
    """
    merged = dict(base)
    for name, value in overrides.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise invalid(f"env: {name[:128]!r} is not a variable that can be set")
        upper = name.upper()
        if upper in _REFUSED or upper.startswith(_REFUSED_PREFIXES):
            raise invalid(f"env: {name} may not be set from outside this machine")
        if upper == "PATH":
            _check_path(value, base["PATH"])
        merged["PATH" if upper == "PATH" else name] = value
    return merged


def _check_path(value: str, base: str) -> None:
    front, found, rest = value.rpartition(base)
    if rest or not found or (front and not front.endswith(os.pathsep)):
        raise invalid("env: PATH must be this machine's PATH, or end with it after a colon")
    if not all(map(os.path.isabs, front.split(os.pathsep)[:-1])):
        raise invalid("env: PATH may only get absolute directories")
