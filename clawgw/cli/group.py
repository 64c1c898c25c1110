"""The command line as a whole: what is wrong with it is one line, or JSON where that is wanted.

Click would print three: how the command is used, where its help is, and only then what is wrong.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from clawgw.cli.output import clean

__all__ = ["CommandLine"]


class CommandLine(click.Group):
    """The outermost group."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """See click."""
        plain = functools.partial(
            super().main, args, prog_name, complete_var, standalone_mode=False, **extra
        )
        if not standalone_mode:
            return plain()
        try:
            code: Any = plain()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            _fail(error)
        except click.Abort:
            print("Aborted!", file=sys.stderr)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(error: click.ClickException) -> NoReturn:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    if _wants_json(context):
        told = {"error": {"code": type(error).__name__, "message": message}}
        print(json.dumps(told, ensure_ascii=False), file=sys.stderr)
    else:
        help_ = f" See {context.command_path} --help." if context is not None else ""
        end = "" if message.endswith((".", "?", "!")) else "."
        print(clean(f"clawgw: {message}{end}{help_}"), file=sys.stderr)
    sys.exit(error.exit_code)


def _wants_json(context: click.Context | None) -> bool:
    return context is not None and context.find_root().params.get("as_json") is True
